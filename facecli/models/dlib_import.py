"""dlib's own file into the model `dlib-128`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facecli.faces.chips import DLIB_GEOMETRY
from facecli.models import DIMENSION, checkpoints, encoders
from facecli.models.dlib_format import STAGES, read_dlib, resnet29_architecture
from facecli.types import FloatArray, ModelCard

DLIB_CARD: dict[str, Any] = {
    "threshold": 0.116,
    "threshold_source": "FMR 1e-4 over the impostor pairs of LFW's development people",
    "licence": "public domain (CC0 1.0)",
    "description": "dlib's 29-layer ResNet by Davis King, affine layers folded, unit length",
    "data": (
        {
            "name": "FaceScrub, VGG-Face and pictures gathered by dlib's author",
            "terms": "weights released into the public domain; 7,485 people, none of LFW's",
        },
    ),
}


def import_dlib(dat: Path, out: Path | None = None) -> ModelCard:
    """Write dlib's network as the model `dlib-128`, to `out` or into the user's model folder.

    Where the weights are those we ship, so is the card, with what was measured of them.
    """
    read = read_dlib(dat)
    weights = resnet29_weights(read.convolutions)
    weights["head.weight"] = read.head
    weights["head.bias"] = np.zeros(DIMENSION, np.float32)
    weights["shift"] = np.zeros(DIMENSION, np.float32)
    card = ModelCard(
        name="dlib-128",
        fingerprint="",
        architecture=resnet29_architecture({"5": 1}),
        geometry=DLIB_GEOMETRY,
        dimension=DIMENSION,
        source=f"dlib_face_recognition_resnet_model_v1.dat, SHA-256 {encoders.sha256_of(dat)}",
        **DLIB_CARD,
    )
    path = out or encoders.user_models() / "dlib-128.safetensors"
    saved = checkpoints.save(path, weights, card)
    ours = checkpoints.read_card(encoders.SHIPPED / "dlib-128.safetensors")
    same = saved.fingerprint == ours.fingerprint
    return checkpoints.save(path, weights, ours) if same else saved


def resnet29_weights(
    convolutions: Sequence[tuple[FloatArray, FloatArray]],
) -> dict[str, FloatArray]:
    """Name the 29 convolutions as `networks.ResNet29` does, in forward order."""
    names = ["stem"]
    for stage, (_, plain, down) in enumerate(STAGES):
        for block in range(plain + down):
            names += [f"stages.{stage}.{block}.first", f"stages.{stage}.{block}.second"]
    weights: dict[str, FloatArray] = {}
    for name, (weight, bias) in zip(names, convolutions, strict=True):
        weights[f"trunk.{name}.weight"] = weight
        weights[f"trunk.{name}.bias"] = bias
    return weights
