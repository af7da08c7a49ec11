"""The two networks that find faces, as graphs: YuNet, which proposes, and O-Net, which confirms.

YuNet: Wu, Peng and Yu (2023), "YuNet: a tiny millisecond-level face detector". O-Net: the last
stage of Zhang et al. (2016), "Joint face detection and alignment using multitask cascaded
convolutional networks". Both take RGB pixels of 0 to 255.
"""

from __future__ import annotations

import numpy as np

from facecli.models.checkpoints import Weights
from facecli.models.graph_builder import GraphBuilder
from facecli.models.onnx_format import Graph, Shape
from facecli.types import FloatArray

STRIDES = (8, 16, 32)
"""Pixels of the picture to a cell of each of YuNet's maps."""

ONET_SIDE = 48
"""Side in pixels of what O-Net looks at."""

_WIDTHS = (16, 16, 32, 32, 64, 64, 64, 64, 64, 64, 64)
"""Channels after each pair of a pointwise and a depthwise convolution of YuNet's trunk."""

TRUNK_PAIRS = len(_WIDTHS)

_HALVED_BEFORE = (1, 5, 7, 9)
"""Pairs before which the map is halved; the first convolution has halved it already."""

_TAPS = {6: 8, 8: 16, 10: 32}
"""The pairs whose maps are looked at, and their strides."""

_HEAD = 16
"""Numbers of a cell: class, box (4), objectness, landmarks (10)."""

_ONET = ((32, 3), (64, 3), (64, 3), (128, 2), (256, 3))
"""Channels and kernel of O-Net's layers; the last but one of its file is dense, on 3×3."""

_POOLS = {0: 3, 1: 3, 2: 2}
"""Window of the pooling after each of O-Net's layers that has one."""


def yunet_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of YuNet by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    _add(shapes, "yunet.stem", (16, 3, 3, 3))
    before = 16
    for place, width in enumerate(_WIDTHS):
        _add_pair(shapes, f"yunet.trunk.{place}", before, width)
        before = width
    for stride in STRIDES:
        _add_pair(shapes, f"yunet.neck.{stride}", before, before)
        _add_pair(shapes, f"yunet.head.{stride}", before, _HEAD)
    return shapes


def onet_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of O-Net by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for place, (width, kernel) in enumerate(_ONET):
        _add(shapes, f"onet.{place}", (width, before, kernel, kernel))
        shapes[f"onet.{place}.slope"] = (width,)
        before = width
    _add(shapes, "onet.head", (16, before, 1, 1))
    return shapes


def _add(shapes: dict[str, tuple[int, ...]], name: str, shape: tuple[int, ...]) -> None:
    shapes[f"{name}.weight"] = shape
    shapes[f"{name}.bias"] = shape[:1]


def _add_pair(shapes: dict[str, tuple[int, ...]], name: str, before: int, width: int) -> None:
    _add(shapes, f"{name}.point", (width, before, 1, 1))
    _add(shapes, f"{name}.depth", (width, 1, 3, 3))


def yunet_graph(weights: Weights) -> Graph:
    """Return YuNet for pictures (1, 3, height, width) whose sides are multiples of 32.

    Its outputs are named by stride: (1, 16, height / stride, width / stride) with the logit of the
    class, the box, the logit of objectness and the landmarks of each cell.
    """
    build = _Layers(weights)
    x = build.add("Relu", build.conv("pixels", "yunet.stem", stride=2, padding=1))
    taps = {}
    for place in range(len(_WIDTHS)):
        if place in _HALVED_BEFORE:
            x = build.pool(x, 2)
        x = build.add("Relu", build.pair(x, f"yunet.trunk.{place}"))
        if place in _TAPS:
            taps[_TAPS[place]] = x
    outputs: dict[str, str] = {}
    above = ""
    for stride in reversed(STRIDES):
        if above:
            taps[stride] = build.add("Add", taps[stride], build.double(above))
        above = build.add("Relu", build.pair(taps[stride], f"yunet.neck.{stride}"))
        outputs[f"stride_{stride}"] = build.pair(above, f"yunet.head.{stride}")
    return build.whole("pixels", (1, 3, "height", "width"), outputs, _HEAD)


def onet_graph(weights: Weights) -> Graph:
    """Return O-Net for crops (n, 3, 48, 48).

    Its output (n, 16, 1, 1) has two logits, of no face and of a face, how far the box's sides are
    from the crop's (left, top, right, bottom, as shares of its side), and the five landmarks
    (five x, then five y, as shares of its side).
    """
    build = _Layers(weights)
    x = "pixels"
    for place in range(len(_ONET)):
        x = build.prelu(build.conv(x, f"onet.{place}"), build.of(f"onet.{place}.slope"))
        if place in _POOLS:
            x = build.pool(x, _POOLS[place])
    output = build.conv(x, "onet.head")
    return build.whole("pixels", ("n", 3, ONET_SIDE, ONET_SIDE), {"faces": output}, 16)


class _Layers(GraphBuilder):
    """Adds layers by the names of their weights."""

    def __init__(self, weights: Weights) -> None:
        super().__init__({})
        self._of = weights

    def of(self, name: str) -> FloatArray:
        """Return a weight in single precision."""
        return np.asarray(self._of[name], np.float32)

    def conv(self, x: str, name: str, *, stride: int = 1, padding: int = 0) -> str:
        """Add a convolution."""
        weight, bias = self.of(f"{name}.weight"), self.of(f"{name}.bias")
        groups = len(weight) if weight.shape[1] == 1 else 1
        return self.convolve(x, weight, bias, stride=stride, padding=padding, groups=groups)

    def pair(self, x: str, name: str) -> str:
        """Add a pointwise and a depthwise convolution."""
        return self.conv(self.conv(x, f"{name}.point"), f"{name}.depth", padding=1)

    def pool(self, x: str, size: int) -> str:
        """Add a pooling to half the size, rounded up."""
        return self.add("MaxPool", x, kernel_shape=(size, size), strides=(2, 2), ceil_mode=1)

    def double(self, x: str) -> str:
        """Repeat each cell of a map twice in both directions."""
        none, scales = (
            self.constant(np.array(value, np.float32)) for value in ([], [1.0, 1.0, 2.0, 2.0])
        )
        return self.add(
            "Resize",
            x,
            none,
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def whole(self, name: str, shape: Shape, outputs: dict[str, str], channels: int) -> Graph:
        """Return what was built; outputs are (n, channels, rows, columns)."""
        for output, step in outputs.items():
            self.finish(step, output)
        shapes: dict[str, Shape] = {
            one: (shape[0], channels, f"{one}_rows", f"{one}_columns") for one in outputs
        }
        return self.graph({name: shape}, shapes)
