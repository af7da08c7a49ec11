"""The PyTorch modules of the trunks in `block_trunks`."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from facecli.models.block_trunks import ROWS, Block


class ConvolutionBlock(nn.Module):
    """The convolutions of a block, with their activations and the shortcut.

    `side` is that of the map that goes in; the paddings are for it.
    """

    def __init__(self, block: Block, side: int) -> None:
        super().__init__()
        self.block = block
        self.paddings = [one.padding(given) for one, given in block.sides(side)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                one.channels_in,
                one.channels_out,
                one.kernel,
                stride=one.stride,
                groups=one.channels_in if one.depthwise else 1,
            )
            for one in block.convolutions
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels_out, h / stride, w / stride)."""
        y = x
        parts = zip(self.block.convolutions, self.paddings, self.convolutions, strict=True)
        for about, padding, convolution in parts:
            y = cast("Tensor", convolution(functional.pad(y, (*padding, *padding))))
            if about.limit is not None:
                y = y.clamp(0.0, about.limit) if math.isfinite(about.limit) else functional.relu(y)
        return x + y if self.block.adds else y


class Features(nn.Module):
    """The last layer: the mean over a map, or all of its numbers."""

    def __init__(self, *, averaged: bool) -> None:
        super().__init__()
        self.averaged = averaged

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, features)."""
        return x.mean(dim=(2, 3)) if self.averaged else x.flatten(1)


class BlockTrunk(nn.Module):
    """A trunk of blocks, which can be cut after any of them."""

    def __init__(self, network: str) -> None:
        super().__init__()
        row = ROWS[network]
        self.features = row.features
        self.size = row.size
        blocks = [ConvolutionBlock(block, side) for block, side in row.sides()]
        self.layers = nn.Sequential(*blocks, Features(averaged=row.averaged))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised chips (n, 3, size, size) to features (n, `features`)."""
        return cast("Tensor", self.layers(x))
