"""The PyTorch modules of the trunks in `block_trunks`."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from facecli.models.block_trunks import ROWS, Block


class ConvolutionBlock(nn.Module):
    """The convolutions of a block, with their activations and the shortcut."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
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
        for about, convolution in zip(self.block.convolutions, self.convolutions, strict=True):
            rows, columns = (about.padding(side) for side in y.shape[2:])
            y = cast("Tensor", convolution(functional.pad(y, (*columns, *rows))))
            if about.limit is not None:
                y = y.clamp(0.0, about.limit) if about.limit < float("inf") else functional.relu(y)
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
        self.layers = nn.Sequential(
            *map(ConvolutionBlock, row.blocks), Features(averaged=row.averaged)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised chips (n, 3, size, size) to features (n, `features`)."""
        return cast("Tensor", self.layers(x))
