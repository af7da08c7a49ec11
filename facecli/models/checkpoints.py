"""Checkpoints: safetensors files that hold the weights in half precision and the model card.

Nothing in such a file can run code. The card's fingerprint is computed from the weights and from
everything that shapes an embedding, and is checked on every load.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facecli.errors import ModelError
from facecli.faces.chips import ALIGNMENT_VERSION
from facecli.files import SHARED, replacing
from facecli.text import read_json_object
from facecli.types import ChipGeometry, ModelCard

Weights = Mapping[str, npt.NDArray[Any]]

MAX_BYTES = 512 * 2**20
"""Refuse larger checkpoints unread; InceptionResnetV1 in single precision has 110 MB."""


LARGEST_SIZE = 4096
"""Most numbers in an embedding, and most pixels a side of a chip, that a card may name."""


CARD_FIELDS: Mapping[type, tuple[str, ...]] = {
    str: ("name", "fingerprint", "threshold_source", "licence", "description", "source"),
    dict: ("architecture", "thresholds", "metrics", "config", "impostors"),
}
"""What kind of value the fields of a card hold."""

CARD_LISTS = ("data", "history")


def fingerprint(weights: Weights, architecture: dict[str, Any], geometry: ChipGeometry) -> str:
    """Return the SHA-256 (64 hex digits) over all that decides an embedding.

    That is weights, architecture with its normalisation, chip geometry and alignment version:
    two models compare if and only if their fingerprints are equal.
    """
    shape = {
        "alignment": ALIGNMENT_VERSION,
        "architecture": architecture,
        "geometry": dataclasses.asdict(geometry),
    }
    return digest_of(weights, shape)


def digest_of(weights: Weights, about: Mapping[str, Any]) -> str:
    """Return the SHA-256 (64 hex digits) over weights and what else decides their results."""
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for name in sorted(weights):
        tensor = weights[name]
        digest.update(f"{name} {tensor.dtype.name} {tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def save(path: Path, weights: Weights, card: ModelCard) -> ModelCard:
    """Write weights (as float16) and card; return the card with its true fingerprint.

    The file appears whole or not at all: a full disk raises ModelError and leaves what was there.
    """
    half = halved(weights)
    for name, tensor in half.items():
        if not is_finite(tensor):
            raise ModelError(f"{path}: weights {name} are not finite in half precision")
    card = dataclasses.replace(
        card, fingerprint=fingerprint(half, card.architecture, card.geometry)
    )
    write_tensors(path, half, {"card": json.dumps(dataclasses.asdict(card), sort_keys=True)})
    return card


def write_tensors(path: Path, tensors: Weights, metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; raise ModelError if the disk does not take it."""
    from safetensors.numpy import save as serialize

    # A transposed array would be written in its memory order, under the shape of its logical one.
    data = serialize(
        {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}, metadata=metadata
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=SHARED) as stream:
            stream.write(data)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_tensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return all tensors and the metadata of a safetensors file; raise ModelError if it is none."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_card(path: Path) -> ModelCard:
    """Return the card of a checkpoint without reading its weights."""
    with _opened(path) as file:
        return _card(path, file.metadata() or {})


def load(path: Path) -> tuple[dict[str, npt.NDArray[Any]], ModelCard]:
    """Return weights and card; raise ModelError if they do not belong together."""
    weights, metadata = read_tensors(path)
    card = _card(path, metadata)
    if fingerprint(weights, card.architecture, card.geometry) != card.fingerprint:
        raise ModelError(f"{path}: its weights are not those its model card describes")
    for name, tensor in weights.items():
        if not is_finite(tensor):
            raise ModelError(f"{path}: weights {name} are not finite")
    return weights, card


def halved(weights: Weights) -> dict[str, npt.NDArray[Any]]:
    """Return weights in half precision; numbers too large for it become infinite."""
    with np.errstate(over="ignore"):
        return {name: np.asarray(tensor, np.float16) for name, tensor in weights.items()}


def is_finite(tensor: npt.NDArray[Any]) -> bool:
    """Return whether a weight has neither infinities nor NaN."""
    if tensor.dtype == np.float16:
        # All bits of the exponent are set in infinities and NaN (IEEE 754). NumPy's own test of
        # half precision takes four times as long.
        return int((tensor.view(np.uint16) & 0x7C00).max(initial=0)) != 0x7C00
    return tensor.dtype.kind != "f" or bool(np.isfinite(tensor).all())


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        if not path.is_file():
            raise ModelError(f"{path}: no such checkpoint")
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: larger than {MAX_BYTES // 2**20} MiB")
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a safetensors checkpoint: {error}") from error


def _card(path: Path, metadata: dict[str, str]) -> ModelCard:
    try:
        return card_from_json(read_json_object(metadata["card"]))
    except (LookupError, TypeError, ValueError, AttributeError):
        raise ModelError(f"{path}: holds no readable model card") from None


def card_from_json(fields: dict[str, Any]) -> ModelCard:
    """Rebuild a card from its JSON form; raise KeyError, TypeError or ValueError if malformed."""
    for kind, names in CARD_FIELDS.items():
        if odd := [name for name in names if not isinstance(fields.get(name, kind()), kind)]:
            raise TypeError(f"{odd[0]} is no {kind.__name__}")
    if not all(isinstance(one, dict) for name in CARD_LISTS for one in fields.get(name, ())):
        raise TypeError("data and history are lists of objects")
    for rate, limit in fields.get("thresholds", {}).items():
        if not (0.0 < float(rate) <= 1.0 and 0.0 <= float(limit) <= 4.0):
            raise ValueError("an impossible threshold")
    geometry = fields["geometry"]
    points = tuple((float(x), float(y)) for x, y in geometry["landmarks"])
    sizes = int(geometry["size"]), int(fields["dimension"])
    if not all(1 <= one <= LARGEST_SIZE for one in sizes):
        raise ValueError("impossible sizes")
    if len(points) != 5 or not np.isfinite(points).all():
        raise ValueError("malformed landmarks")
    if not 0.0 < float(fields["threshold"]) <= 4.0:
        raise ValueError("an impossible threshold")
    card = ModelCard(
        **{
            **fields,
            "dimension": sizes[1],
            "threshold": float(fields["threshold"]),
            "geometry": ChipGeometry(int(geometry["size"]), points),
            "data": tuple(fields.get("data", ())),
            "history": tuple(fields.get("history", ())),
        }
    )
    _ = card.subject  # it raises ValueError for an unknown one
    return card
