"""The layers of the trunks for pictures of any object: rows of blocks of convolutions.

Both pad as TensorFlow's "SAME" does: half of what is missing on each side, the odd pixel last.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from facecli.faces.whole import picture_geometry
from facecli.types import ChipGeometry, Subject


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution, and the limit of what follows it.

    Its result is cut off below 0 and above `limit`; None leaves it as it is.
    """

    channels_in: int
    channels_out: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    limit: float | None = None

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the convolution's weight."""
        seen = 1 if self.depthwise else self.channels_in
        return (self.channels_out, seen, self.kernel, self.kernel)

    def padding(self, side: int) -> tuple[int, int]:
        """Return how many pixels are added before and after a row of `side` pixels."""
        missing = max((self.after(side) - 1) * self.stride + self.kernel - side, 0)
        return missing // 2, missing - missing // 2

    def after(self, side: int) -> int:
        """Return the side of the map that a map of this side gives."""
        return -(-side // self.stride)


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions one after the other; with `adds`, what went in is added to what comes out."""

    convolutions: tuple[Convolution, ...]
    adds: bool = False

    def sides(self, side: int) -> Iterator[tuple[Convolution, int]]:
        """Yield each convolution with the side of its map; `side` is that of the first one's."""
        for convolution in self.convolutions:
            yield convolution, side
            side = convolution.after(side)

    def after(self, side: int) -> int:
        """Return the side of the map that a map of this side gives."""
        for convolution in self.convolutions:
            side = convolution.after(side)
        return side


@dataclass(frozen=True, slots=True)
class Row:
    """A trunk: its blocks, the side of its chips in pixels, and what becomes of the last map.

    With `averaged` the features are the mean over the map, else all of its numbers.
    """

    blocks: tuple[Block, ...]
    size: int
    averaged: bool
    mean: tuple[float, float, float]
    scale: float

    @property
    def features(self) -> int:
        """Number of features."""
        channels = self.blocks[-1].convolutions[-1].channels_out
        if self.averaged:
            return channels
        *_, (last, side) = self.sides()
        return channels * last.after(side) ** 2

    def sides(self) -> Iterator[tuple[Block, int]]:
        """Yield each block with the side of the map that goes into it."""
        side = self.size
        for block in self.blocks:
            yield block, side
            side = block.after(side)

    @property
    def geometry(self) -> ChipGeometry:
        """The chips of whole pictures that the trunk takes."""
        return picture_geometry(self.size)

    def architecture(self, network: str, dimension: int) -> dict[str, Any]:
        """Return the architecture of a model of whole pictures with this trunk."""
        return {
            "network": network,
            "subject": str(Subject.PICTURE),
            "dimension": dimension,
            "mean": list(self.mean),
            "scale": self.scale,
            "mirror": False,
        }


def _efficientnet_lite0() -> Row:
    """Return EfficientNet-Lite0 without its classifier (Tan & Le 2019, table 1; Liu 2020, Lite).

    Without squeeze-and-excitation, and with activations cut off at 6.
    """
    blocks = [Block((Convolution(3, 32, kernel=3, stride=2, limit=6.0),))]
    width = 32
    for count, kernel, stride, growth, wider in _STAGES:
        for number in range(count):
            blocks.append(_inverted(width, wider, kernel, stride if not number else 1, growth))
            width = wider
    blocks.append(Block((Convolution(width, 1280, limit=6.0),)))
    return Row(tuple(blocks), size=224, averaged=True, mean=(127.0, 127.0, 127.0), scale=128.0)


_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first, growth of the channels inside, and channels after it."""


def _inverted(width: int, wider: int, kernel: int, stride: int, growth: int) -> Block:
    """Return an inverted residual block (Sandler et al. 2018, section 3.3)."""
    inner = width * growth
    first = (Convolution(width, inner, limit=6.0),) if growth > 1 else ()
    depthwise = Convolution(inner, inner, kernel, stride, depthwise=True, limit=6.0)
    last = Convolution(inner, wider)
    return Block((*first, depthwise, last), adds=stride == 1 and width == wider)


def _small_conv() -> Row:
    """Return four convolutions that halve the side, for small pictures and few of them."""
    widths = (3, 32, 64, 128, 128)
    blocks = tuple(
        Block((Convolution(before, after, kernel=3, stride=2, limit=math.inf),))
        for before, after in itertools.pairwise(widths)
    )
    return Row(blocks, size=64, averaged=False, mean=(127.5, 127.5, 127.5), scale=64.0)


ROWS = {"efficientnet-lite0": _efficientnet_lite0(), "small-conv": _small_conv()}
"""The trunks for whole pictures by name."""
