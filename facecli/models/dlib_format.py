"""Reader of dlib's serialised ResNet-29 face descriptor (`dlib_face_recognition_resnet_model_v1`).

The file is a depth-first dump of a network: integers with a length byte, floats as mantissa and
exponent, tensors as raw little-endian float32. Only this one architecture is accepted; anything
else in the file is an error, so that a hostile or damaged file cannot become a silent wrong
network. Batch normalisation is already folded into affine layers in the published file; here each
affine is folded into the convolution before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facecli.errors import ModelError
from facecli.models import DIMENSION
from facecli.types import FloatArray

MAX_BYTES = 64 * 2**20
"""Refuse larger files unread: the published one has 22,466,066 bytes."""

CHIP_SIZE = 150

STAGES = ((32, 3, False), (64, 3, True), (128, 2, True), (256, 2, True), (256, 0, True))
"""Per stage: channels, plain residual blocks, and whether a downsampling block comes first."""


@dataclass(frozen=True, slots=True)
class DlibWeights:
    """Convolutions in forward order, each float32 (out, in, h, w) with a bias (out,), and the head.

    `head` is float32 (128, 256); `mean_rgb` is what the input layer subtracts from 0..255 pixels
    before it divides by 256.
    """

    convolutions: tuple[tuple[FloatArray, FloatArray], ...]
    head: FloatArray
    mean_rgb: tuple[float, float, float]


class _Reader:
    """A cursor over the bytes; every read is bounds-checked."""

    def __init__(self, data: bytes, source: str) -> None:
        self.data = data
        self.source = source
        self.at = 0

    def fail(self, reason: str) -> ModelError:
        return ModelError(f"{self.source}: not dlib's face network: {reason} at byte {self.at}")

    def take(self, count: int) -> bytes:
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise self.fail("the file ends too early")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def integer(self) -> int:
        control = self.take(1)[0]
        length = control & 0x0F
        if not 1 <= length <= 8 or control & 0x70:
            raise self.fail("a malformed integer")
        value = int.from_bytes(self.take(length), "little")
        return -value if control & 0x80 else value

    def expect(self, *values: int) -> None:
        for value in values:
            if self.integer() != value:
                raise self.fail(f"{value} expected")

    def number(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        if not -2000 < exponent < 1024:  # dlib marks infinities and NaN beyond 32,000
            raise self.fail("a number out of range")
        return float(mantissa * 2.0**exponent)

    def name(self, *allowed: str) -> str:
        length = self.integer()
        if not 0 < length <= 64:
            raise self.fail("a malformed name")
        name = self.take(length).decode("ascii", "replace")
        if name not in allowed:
            raise self.fail(f"layer {name!r} where {' or '.join(allowed)} belongs")
        return name

    def tensor(self) -> FloatArray:
        self.expect(2)
        shape = tuple(self.integer() for _ in range(4))
        count = int(np.prod(shape, dtype=object))
        if min(shape) < 0 or count > MAX_BYTES:
            raise self.fail("a malformed tensor")
        values = np.frombuffer(self.take(4 * count), "<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise self.fail("weights that are not finite")
        return values.astype(np.float32)

    def alias(self) -> tuple[int, ...]:
        self.expect(1)
        return tuple(self.integer() for _ in range(4))


_RESIDUAL = ("tag", "convolution", "affine", "relu", "convolution", "affine", "add", "relu")
_DOWNSAMPLE = (*_RESIDUAL[:6], "tag", "skip", "average", "add", "relu")


def _forward_layers() -> list[str]:
    """Return the kinds of all layers from the input to just before the head."""
    layers = ["convolution", "affine", "relu", "maximum"]
    for _, plain, down in STAGES:
        layers += _DOWNSAMPLE * down + _RESIDUAL * plain
    return [*layers, "average"]


def read_dlib(path: Path) -> DlibWeights:
    """Read the network from a `.dat` file; raise ModelError for anything but that network."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: larger than dlib's face network can be")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    return parse_dlib(data, str(path))


def parse_dlib(data: bytes, source: str) -> DlibWeights:
    """Parse the bytes of a `.dat` file, called `source` in errors."""
    reader = _Reader(data, source)
    layers = _forward_layers()
    _loss(reader)
    _versions(reader, layers)
    mean = _input(reader)
    convolutions: list[tuple[FloatArray, FloatArray]] = []
    for position, layer in enumerate(layers):
        if layer == "convolution":
            convolutions.append(_convolution(reader))
        elif layer == "affine":
            convolutions[-1] = _fold(*convolutions[-1], *_affine(reader))
        elif layer in _NAMES:
            reader.name(*_NAMES[layer])
            if layer in ("maximum", "average"):
                [reader.integer() for _ in range(6)]  # window, stride, padding
        if layer not in ("tag", "skip"):
            _end_of_layer(reader, innermost=position == 0)
    head = _fully_connected(reader)
    _end_of_layer(reader, innermost=False)
    if reader.at != len(data):
        raise reader.fail("bytes left over")
    _check_shapes(reader, convolutions, head)
    return DlibWeights(tuple(convolutions), head, mean)


_NAMES = {
    "relu": ("relu_",),
    "add": ("add_prev_",),
    "maximum": ("max_pool_2",),
    "average": ("avg_pool_2",),
}


def _loss(reader: _Reader) -> None:
    reader.expect(1)
    reader.name("loss_metric_2")
    reader.number()  # margin
    reader.number()  # distance threshold of the unnormalised descriptor, 0.6


def _versions(reader: _Reader, layers: list[str]) -> None:
    """Read the version numbers of the whole stack, which precede all layer data, outermost first.

    Tags and skips have version 1, computing layers 2, and the layer next to the input 3.
    """
    reader.expect(2)  # the head
    for layer in reversed(layers[1:]):
        reader.expect(1 if layer in ("tag", "skip") else 2)
    reader.expect(3)


def _input(reader: _Reader) -> tuple[float, float, float]:
    reader.name("input_rgb_image_sized")
    mean = (reader.number(), reader.number(), reader.number())
    reader.expect(CHIP_SIZE, CHIP_SIZE)
    return mean


def _convolution(reader: _Reader) -> tuple[FloatArray, FloatArray]:
    reader.name("con_4")
    values = reader.tensor().ravel()
    filters, _rows, _columns, *_stride_and_padding = (reader.integer() for _ in range(7))
    shape = reader.alias()
    reader.alias()  # the biases are the last `filters` values
    [reader.number() for _ in range(4)]  # learning-rate multipliers
    if min(shape) < 1 or int(np.prod(shape, dtype=object)) + filters != values.size:
        raise reader.fail("a convolution whose shape does not fit its weights")
    return values[:-filters].reshape(shape), values[-filters:]


def _affine(reader: _Reader) -> tuple[FloatArray, FloatArray]:
    reader.name("affine_")
    values = reader.tensor().ravel()
    reader.alias()
    reader.alias()
    reader.expect(0)  # per channel
    if values.size % 2:
        raise reader.fail("an affine layer of odd length")
    gamma, beta = np.split(values, 2)
    return gamma, beta


def _fold(
    weight: FloatArray, bias: FloatArray, gamma: FloatArray, beta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the one convolution that equals `gamma * convolution + beta`."""
    return weight * gamma[:, None, None, None], bias * gamma + beta


def _fully_connected(reader: _Reader) -> FloatArray:
    reader.name("fc_2")
    outputs, inputs = reader.integer(), reader.integer()
    values = reader.tensor()
    reader.alias()
    reader.alias()
    reader.expect(1)  # no bias
    [reader.number() for _ in range(4)]
    if values.size != outputs * inputs:
        raise reader.fail("a head whose shape does not fit its weights")
    return np.ascontiguousarray(values.reshape(inputs, outputs).T)


def _end_of_layer(reader: _Reader, *, innermost: bool) -> None:
    """Read the flags and the empty training tensors that close each computing layer."""
    if reader.take(3).strip(b"01"):
        raise reader.fail("a malformed flag")
    for _ in range(3):
        if reader.tensor().size:
            raise reader.fail("training state")
    if innermost:
        reader.expect(1)  # samples per input


def _check_shapes(
    reader: _Reader, convolutions: list[tuple[FloatArray, FloatArray]], head: FloatArray
) -> None:
    """Refuse weights that are not the 29 convolutions and the 128-d head of this architecture."""
    expected = [(32, 3, 7, 7)]
    channels = 32
    for width, plain, down in STAGES:
        for _ in range(down + plain):
            expected += [(width, channels, 3, 3), (width, width, 3, 3)]
            channels = width
    if [weight.shape for weight, _ in convolutions] != expected or head.shape != (128, 256):
        raise reader.fail("an unexpected shape")


def resnet29_architecture(taps: dict[str, int]) -> dict[str, Any]:
    """Return the architecture of a 128-d ResNet-29 with dlib's input normalisation."""
    return {
        "network": "resnet29",
        "taps": taps,
        "dimension": DIMENSION,
        "mean": [122.782, 117.001, 104.298],
        "scale": 256.0,
        "mirror": True,
    }
