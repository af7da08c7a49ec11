"""The layers of SFace's network, a MobileNet without bottlenecks (Zhong et al. 2021; OpenCV Zoo).

"SFace: sigmoid-constrained hypersphere loss for robust face recognition", IEEE Transactions on
Image Processing 30. The network is that of MobileNets (Howard et al. 2017, table 1) for chips of
112 pixels: its first layer keeps the size, and each activation is a PReLU.
"""

from __future__ import annotations

from dataclasses import dataclass

from facecli.types import ChipGeometry

WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
"""Channels after each pair of a depthwise 3x3 and a pointwise convolution."""

HALVING = frozenset({1, 3, 5, 11})
"""The pairs, counted from 0, whose depthwise convolution halves the side."""

SIDE = 7
"""Side of the last map; all of its numbers feed the head."""

FEATURES = WIDTHS[-1] * SIDE**2

SFACE_GEOMETRY = ChipGeometry(
    size=112,
    landmarks=(
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ),
)
"""The places of the landmarks in the chips that SFace was trained on: those of ArcFace (Deng et al.
2019), which lie on those of SphereFace moved by 8 pixels."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution without a gap at the border, followed by a PReLU."""

    channels_in: int
    channels_out: int
    kernel: int
    stride: int
    depthwise: bool

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the convolution's weight."""
        seen = 1 if self.depthwise else self.channels_in
        return (self.channels_out, seen, self.kernel, self.kernel)


def layers() -> list[Layer]:
    """Return the 27 layers in forward order."""
    found = [Layer(3, 32, kernel=3, stride=1, depthwise=False)]
    width = 32
    for place, wider in enumerate(WIDTHS):
        stride = 2 if place in HALVING else 1
        found.append(Layer(width, width, kernel=3, stride=stride, depthwise=True))
        found.append(Layer(width, wider, kernel=1, stride=1, depthwise=False))
        width = wider
    return found
