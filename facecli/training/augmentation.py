"""Random changes to chips in training: place, light, resolution, compression, hidden parts.

Photos at a gate are dark, small, grey, compressed, blurred and partly hidden; training photos are
not. Each change is made to a random share of the batch. All functions take float tensors
(n, 3, size, size) with values from 0 to 255, on any device, and give the same result for one seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How often chips are changed, and how much at most.

    `mirror`, `grey`, `low_resolution`, `jpeg`, `blur`, `occlusion` and `glasses` are shares of the
    chips, from 0 to 1. The others are limits: `scale` is the largest relative change of size,
    `rotation` is in degrees, `shift` in pixels of a chip of 150 pixels, `light` is the largest
    relative change of brightness and contrast, `saturation` that of colour, `tint` that of one
    colour against the others, `smallest` the shortest side in pixels of a low-resolution chip, and
    `worst_jpeg` the lowest JPEG quality. `glasses` are a dark band over the eyes, which are at the
    same place in every chip of a face.
    """

    mirror: float = 0.5
    scale: float = 0.04
    rotation: float = 4.0
    shift: float = 2.0
    light: float = 0.3
    saturation: float = 0.3
    grey: float = 0.15
    low_resolution: float = 0.2
    smallest: int = 20
    jpeg: float = 0.15
    worst_jpeg: int = 15
    blur: float = 0.1
    occlusion: float = 0.1
    glasses: float = 0.05
    tint: float = 0.1


def augment(chips: Tensor, amounts: Augmentation, random: torch.Generator) -> Tensor:
    """Return changed copies of RGB chips (n, 3, size, size); `random` is on the same device."""
    chips = _warp(chips, amounts, random)
    chips = _some(chips, amounts.blur, random, blurred(0.5, 3.0))
    largest = chips.shape[-1] * 0.6
    chips = _some(chips, amounts.low_resolution, random, shrunk(amounts.smallest, largest))
    chips = _some(chips, amounts.jpeg, random, compressed(amounts.worst_jpeg, 75))
    chips = _relight(chips, amounts, random)
    chips = _some(chips, amounts.occlusion, random, _occlude)
    chips = _some(chips, amounts.glasses, random, _put_on_glasses)
    return chips.clamp(0.0, 255.0)


def uniform(chips: Tensor, low: float, high: float, random: torch.Generator) -> Tensor:
    """Return one random number per chip, (n,)."""
    empty = torch.empty(len(chips), device=chips.device, dtype=chips.dtype)
    return empty.uniform_(low, high, generator=random)


Change = Callable[[Tensor, torch.Generator], Tensor]


def _some(chips: Tensor, share: float, random: torch.Generator, change: Change) -> Tensor:
    """Apply `change` to a random share of the chips; the rest stay as they are."""
    count = round(share * len(chips))
    if not count:
        return chips
    chosen = torch.randperm(len(chips), generator=random, device=chips.device)[:count]
    return chips.index_copy(0, chosen, change(chips[chosen], random).to(chips.dtype))


def _warp(chips: Tensor, amounts: Augmentation, random: torch.Generator) -> Tensor:
    """Mirror, scale, rotate and shift in one resampling."""
    angle = uniform(chips, -1, 1, random) * math.radians(amounts.rotation)
    scale = 1 + uniform(chips, -1, 1, random) * amounts.scale
    mirror = (uniform(chips, 0, 1, random) >= amounts.mirror).to(chips.dtype) * 2 - 1
    step = 2 * amounts.shift / 150
    x, y = (uniform(chips, -1, 1, random) * step for _ in range(2))
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = [torch.stack([cosine * mirror, -sine, x], 1), torch.stack([sine * mirror, cosine, y], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(chips.shape), align_corners=False)
    return functional.grid_sample(chips, grid, padding_mode="border", align_corners=False)


def _relight(chips: Tensor, amounts: Augmentation, random: torch.Generator) -> Tensor:
    """Change brightness, contrast and colour, and make some chips grey."""
    column = (-1, 1, 1, 1)
    gain, contrast = (
        (1 + uniform(chips, -1, 1, random) * amounts.light).view(column) for _ in range(2)
    )
    colour = 1 + uniform(chips, -1, 1, random) * amounts.saturation
    colour = colour.where(uniform(chips, 0, 1, random) >= amounts.grey, 0.0).view(column)
    tint = 1 + amounts.tint * torch.empty(
        (len(chips), 3, 1, 1), device=chips.device, dtype=chips.dtype
    ).uniform_(-1, 1, generator=random)
    chips = chips * (gain * tint)
    luma = torch.tensor(LUMA, device=chips.device, dtype=chips.dtype).view(1, 3, 1, 1)
    grey = (chips * luma).sum(dim=1, keepdim=True)
    chips = grey + (chips - grey) * colour
    mean = grey.mean(dim=(2, 3), keepdim=True)
    return mean + (chips - mean) * contrast


def blurred(narrowest: float, widest: float) -> Change:
    """Return a change that blurs; its Gaussian has a random width in pixels."""

    def blur(chips: Tensor, random: torch.Generator) -> Tensor:
        """Blur all chips given by one Gaussian."""
        share = float(torch.rand((), generator=random, device=random.device))
        sigma = narrowest + (widest - narrowest) * share
        radius = math.ceil(2.5 * sigma)
        offsets = torch.arange(-radius, radius + 1, device=chips.device, dtype=chips.dtype)
        kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).repeat(3, 1)
        padded = functional.pad(chips, (radius,) * 4, mode="replicate")
        rows = functional.conv2d(padded, kernel[:, None, :, None], groups=3)
        return functional.conv2d(rows, kernel[:, None, None, :], groups=3)

    return blur


def shrunk(smallest: int, largest: float) -> Change:
    """Return a change that loses resolution; the shortest side is a random number of pixels."""

    def shrink(chips: Tensor, random: torch.Generator) -> Tensor:
        """Shrink to a random size and enlarge again; the chips get four different sizes."""
        size = chips.shape[-1]
        parts = []
        for part in chips.chunk(4):
            spread = float(torch.rand((), generator=random, device=random.device))
            side = round(smallest * (largest / smallest) ** spread)
            small = functional.interpolate(part, size=side, mode="bilinear", antialias=True)
            parts.append(functional.interpolate(small, size=size, mode="bilinear"))
        return torch.cat(parts)

    return shrink


def _occlude(chips: Tensor, random: torch.Generator) -> Tensor:
    """Cover a random rectangle, at most half as wide and high as the chip, with a random grey."""
    size = chips.shape[-1]
    height, width = (uniform(chips, 0.15, 0.5, random) * size for _ in range(2))
    top, left = (uniform(chips, -0.1, 0.9, random) * size for _ in range(2))
    grey = uniform(chips, 0, 255, random).view(-1, 1, 1, 1).to(chips.dtype)
    place = torch.arange(size, device=chips.device)
    rows = (place >= top[:, None]) & (place < (top + height)[:, None])
    columns = (place >= left[:, None]) & (place < (left + width)[:, None])
    covered = (rows[:, :, None] & columns[:, None, :])[:, None]
    return torch.where(covered, grey, chips)


def _put_on_glasses(chips: Tensor, random: torch.Generator) -> Tensor:
    """Darken a band over both eyes, which lie at 0.31 of the height and 0.32 and 0.68 across."""
    size = chips.shape[-1]
    place = (torch.arange(size, device=chips.device, dtype=chips.dtype) + 0.5) / size
    top, bottom = uniform(chips, 0.20, 0.26, random), uniform(chips, 0.36, 0.44, random)
    left, right = uniform(chips, 0.12, 0.20, random), uniform(chips, 0.80, 0.88, random)
    rows = (place >= top[:, None]) & (place < bottom[:, None])
    columns = (place >= left[:, None]) & (place < right[:, None])
    covered = (rows[:, :, None] & columns[:, None, :])[:, None]
    glass = uniform(chips, 0, 70, random).view(-1, 1, 1, 1).to(chips.dtype)
    return torch.where(covered, glass + 0.15 * chips, chips)


# Annex K of the JPEG standard (ITU-T T.81), tables K.1 and K.2.
_LUMA_STEPS = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 "
    "62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 "
    "98 112 100 103 99"
)
_CHROMA_STEPS = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 "
    "99" + " 99" * 32
)


def compressed(worst: int, best: int) -> Change:
    """Return a change that compresses with a random JPEG quality."""

    def compress(chips: Tensor, random: torch.Generator) -> Tensor:
        """Lose what baseline JPEG loses, without chroma subsampling, with one quality per chip."""
        quality = uniform(chips, worst, best, random)
        # The usual mapping from quality to step size, that of the Independent JPEG Group.
        factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
        pixels = _to_ycbcr(chips.float().round()).round() - 128
        size = chips.shape[-1]
        extra = -size % 8
        padded = functional.pad(pixels, (0, extra, 0, extra), mode="replicate")
        blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8)  # (n, 3, rows, columns, 8, 8)
        basis = _dct_basis(chips.device)
        steps = torch.tensor(
            [[float(step) for step in table.split()] for table in (_LUMA_STEPS, _CHROMA_STEPS)],
            device=chips.device,
        )[[0, 1, 1]].view(1, 3, 1, 1, 8, 8)
        steps = (steps * factor.view(-1, 1, 1, 1, 1, 1)).clamp(1, 255).round()
        coefficients = (basis @ blocks @ basis.T / steps).round() * steps
        restored = (basis.T @ coefficients @ basis).transpose(3, 4)
        whole = restored.reshape(*padded.shape)[..., :size, :size]
        return _to_rgb((whole + 128).round().clamp(0, 255))

    return compress


def _dct_basis(device: torch.device) -> Tensor:
    """Return the 8×8 matrix of the orthonormal discrete cosine transform (T.81, A.3.3)."""
    k = torch.arange(8, device=device, dtype=torch.float32)
    basis = torch.cos((2 * k[None, :] + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


def _to_ycbcr(chips: Tensor) -> Tensor:
    """Convert RGB to JPEG's full-range YCbCr (ITU-T T.871, section 7)."""
    red, green, blue = chips.unbind(1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return torch.stack([luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402], 1)


def _to_rgb(chips: Tensor) -> Tensor:
    luma, blue_part, red_part = chips.unbind(1)
    red, blue = luma + 1.402 * (red_part - 128), luma + 1.772 * (blue_part - 128)
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], 1).clamp(0, 255)
