"""The file with the weights of the face detector, and its card.

It is a safetensors file with the weights of YuNet and O-Net in half precision. It holds no graph:
`detector_graphs` builds the graphs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecli.errors import ModelError
from facecli.models import checkpoints
from facecli.models.checkpoints import Weights
from facecli.models.detector_graphs import onet_shapes, yunet_shapes
from facecli.text import read_json_object
from facecli.types import FloatArray


@dataclass(frozen=True, slots=True)
class DetectorCard:
    """What is known of a detector's weights.

    `fingerprint` is a SHA-256 over the weights and the settings. `licences` and `sources` are by
    network; a source names a file and its SHA-256. `history` says how the file was made.
    """

    name: str
    fingerprint: str
    description: str
    settings: Mapping[str, str]
    licences: Mapping[str, str]
    sources: Mapping[str, str]
    history: tuple[str, ...]


def save(path: Path, weights: Weights, card: DetectorCard) -> DetectorCard:
    """Write weights, as float16, and card; return the card with its true fingerprint.

    Raises ModelError for weights that are not those of the two networks, and if the disk does not
    take the file.
    """
    half = checkpoints.halved(weights)
    _check(path, half)
    card = dataclasses.replace(card, fingerprint=fingerprint(half, card.settings))
    metadata = {"detector": json.dumps(dataclasses.asdict(card), sort_keys=True)}
    checkpoints.write_tensors(path, half, metadata)
    return card


def load(path: Path) -> tuple[dict[str, FloatArray], DetectorCard]:
    """Return the weights in single precision, and the card.

    Raises ModelError for a file that is missing or damaged, and for weights that are not finite, of
    other shapes, or not those that the card describes.
    """
    weights, metadata = checkpoints.read_tensors(path)
    card = _card(path, metadata)
    _check(path, weights)
    if fingerprint(weights, card.settings) != card.fingerprint:
        raise ModelError(f"{path}: its weights are not those its card describes")
    return {name: np.asarray(tensor, np.float32) for name, tensor in weights.items()}, card


def fingerprint(weights: Weights, settings: Mapping[str, str]) -> str:
    """Return the SHA-256 (64 hex digits) over weights and settings."""
    return checkpoints.digest_of(weights, settings)


def _check(path: Path, weights: Weights) -> None:
    wanted = {**yunet_shapes(), **onet_shapes()}
    if odd := sorted(set(weights) ^ set(wanted)):
        raise ModelError(f"{path}: not the weights of YuNet and O-Net: {odd[0]}")
    for name, shape in wanted.items():
        tensor = weights[name]
        if tensor.shape != shape or tensor.dtype.kind != "f":
            raise ModelError(f"{path}: weights {name} are {tensor.dtype} {tensor.shape}")
        if not checkpoints.is_finite(tensor):
            raise ModelError(f"{path}: weights {name} are not finite")


def _card(path: Path, metadata: Mapping[str, str]) -> DetectorCard:
    try:
        fields = read_json_object(metadata["detector"])
        return DetectorCard(
            name=str(fields["name"]),
            fingerprint=str(fields["fingerprint"]),
            description=str(fields["description"]),
            settings=dict(fields["settings"]),
            licences=dict(fields["licences"]),
            sources=dict(fields["sources"]),
            history=tuple(map(str, fields["history"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: holds no readable card of a detector") from error
