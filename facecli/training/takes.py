"""Takes of a photo: the same face shifted, blurred, shrunk, darkened or covered, made once.

Most people have one photo. Its takes stand in for the photos that a camera would make on a worse
day: they are positives of each other. All functions take RGB chips as float tensors
(n, 3, side, side) with values from 0 to 255, whose side is larger than the network's by a border,
which jitter needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facecli.training.augmentation import LUMA, Change, blurred, compressed, shrunk, uniform

TURN, GROWTH, SHIFT = 6.0, 0.05, 3.0
"""Largest jitter: degrees, relative change of size, and pixels. Alignment errs by about as much."""

DARK = (0.10, 0.25)
"""Brightness of dark takes."""

FRAME = 112
"""Covers are drawn in pixels of a chip of this side, with the landmarks of SFace."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of take: whether its place is jittered, and what else changes."""

    jitter: bool
    change: Change


def make_takes(
    chips: Tensor,
    kind: str,
    random: torch.Generator,
    *,
    border: int,
    photo: Tensor | None = None,
) -> Tensor:
    """Return one take of a kind of each chip, uint8 (n, 3, side - 2·border, …).

    `photo` bool (n, side, side) tells which pixels are not padding. The others are filled anew in
    each take, and as many in half of the chips besides: streaks that are a photo's own would give
    its takes away.
    """
    take = KINDS[kind]
    if photo is not None:
        chips = _refilled(chips, photo, random)
    if take.jitter:
        chips = _jittered(chips, random, border=border)
    elif border:
        chips = chips[..., border:-border, border:-border]
    return take.change(chips, random).round().clamp(0, 255).to(torch.uint8)


def _jittered(chips: Tensor, random: torch.Generator, *, border: int) -> Tensor:
    """Turn, scale, shift and mirror at random, and cut the border off."""
    side = chips.shape[-1]
    inner = side - 2 * border
    angle = math.radians(TURN) * uniform(chips, -1, 1, random)
    scale = (1 + GROWTH * uniform(chips, -1, 1, random)) * inner / side
    mirror = (uniform(chips, 0, 1, random) < 0.5).to(chips.dtype) * 2 - 1
    x, y = (uniform(chips, -1, 1, random) * 2 * SHIFT / side for _ in range(2))
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = [torch.stack([cosine * mirror, -sine, x], 1), torch.stack([sine * mirror, cosine, y], 1)]
    shape = [len(chips), 3, inner, inner]
    grid = functional.affine_grid(torch.stack(rows, 1), shape, align_corners=False)
    return functional.grid_sample(chips, grid, padding_mode="border", align_corners=False)


def _refilled(chips: Tensor, photo: Tensor, random: torch.Generator) -> Tensor:
    """Fill what is padding in each chip, and in half of the chips what is padding in another."""
    others = torch.randperm(len(chips), generator=random)
    half = uniform(chips, 0, 1, random) < 0.5
    kept = photo & torch.where(half[:, None, None], photo[others], True)
    return torch.where(kept[:, None], chips, _filling(chips, random))


def inside(outlines: Tensor, side: int) -> Tensor:
    """Return which pixels lie in each outline, bool (n, side, side); all if it is NaN.

    `outlines` (n, 4, 2) are the corners x and y of a convex area, in order.
    """
    place = torch.arange(side, dtype=outlines.dtype)
    y, x = torch.meshgrid(place, place, indexing="ij")
    following = outlines.roll(-1, dims=1)
    edge = following - outlines
    crosses = [
        edge[:, k, 0, None, None] * (y - outlines[:, k, 1, None, None])
        - edge[:, k, 1, None, None] * (x - outlines[:, k, 0, None, None])
        for k in range(4)
    ]
    signs = torch.stack(crosses)
    same_side = (signs >= 0).all(dim=0) | (signs <= 0).all(dim=0)
    return same_side | torch.isnan(outlines).any(dim=2).any(dim=1)[:, None, None]


def _filling(chips: Tensor, random: torch.Generator) -> Tensor:
    """Return black, one colour, or coarse noise for each chip, a third of them each."""
    choice = uniform(chips, 0, 3, random).floor()[:, None, None, None]
    filling = torch.where(choice == 1, _colour(chips, random), _texture(chips, random))
    return torch.where(choice == 0, torch.zeros(()), filling)


def _colour(chips: Tensor, random: torch.Generator) -> Tensor:
    """Return one colour for each chip, (n, 3, 1, 1); half of them are greys."""
    colours = torch.empty((len(chips), 3, 1, 1)).uniform_(0, 255, generator=random)
    grey = (uniform(chips, 0, 1, random) < 0.5)[:, None, None, None]
    return torch.where(grey, colours[:, :1], colours)


def _texture(chips: Tensor, random: torch.Generator) -> Tensor:
    """Return smooth noise around a colour, of the shape of the chips."""
    cells = int(torch.randint(2, 17, (), generator=random))
    noise = torch.empty((len(chips), 3, cells, cells)).uniform_(-60, 60, generator=random)
    smooth = functional.interpolate(noise, size=chips.shape[-1], mode="bilinear")
    return (_colour(chips, random) + smooth).clamp(0, 255)


def _as_it_is(chips: Tensor, _: torch.Generator) -> Tensor:
    return chips


def _relit(chips: Tensor, random: torch.Generator) -> Tensor:
    """Change brightness and contrast a little; a third of the chips lose their colour."""
    gain, contrast = (uniform(chips, 0.8, 1.2, random)[:, None, None, None] for _ in range(2))
    grey = (uniform(chips, 0, 1, random) < 1 / 3)[:, None, None, None]
    chips = torch.where(grey, greyed(chips, random), chips)
    mean = chips.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (chips - mean) * contrast) * gain


def _darkened(chips: Tensor, random: torch.Generator) -> Tensor:
    return chips * uniform(chips, *DARK, random)[:, None, None, None]


def greyed(chips: Tensor, _: torch.Generator) -> Tensor:
    """Take the colour away."""
    luma = torch.tensor(LUMA, dtype=chips.dtype).view(1, 3, 1, 1)
    return (chips * luma).sum(dim=1, keepdim=True).expand_as(chips)


Shape = Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]
"""Tells which pixels are covered: of chips, with the places x and y of their pixels in FRAME."""


def _covered(shape: Shape) -> Change:
    def cover(chips: Tensor, random: torch.Generator) -> Tensor:
        """Cover a part of each face with a colour or a texture."""
        place = (torch.arange(chips.shape[-1], dtype=chips.dtype) + 0.5) * FRAME / chips.shape[-1]
        y, x = torch.meshgrid(place, place, indexing="ij")
        plain = (uniform(chips, 0, 1, random) < 0.5)[:, None, None, None]
        cloth = torch.where(plain, _colour(chips, random), _texture(chips, random))
        return torch.where(shape(chips, x, y, random)[:, None], cloth, chips)

    return cover


def _some(chips: Tensor, low: float, high: float, random: torch.Generator) -> Tensor:
    return uniform(chips, low, high, random)[:, None, None]


def _mask(chips: Tensor, x: Tensor, y: Tensor, random: torch.Generator) -> Tensor:
    """Cover mouth and nose, from the bridge of the nose down, lower at the cheeks."""
    top, drop = _some(chips, 58, 72, random), _some(chips, 0, 0.3, random)
    width = _some(chips, 28, 46, random)
    across = (x - FRAME / 2).abs()
    return (y > top + drop * across) & (across < width)


def _eyes(chips: Tensor, x: Tensor, y: Tensor, random: torch.Generator) -> Tensor:
    """Cover the eyes with a band, or with two round glasses."""
    top, bottom = _some(chips, 36, 44, random), _some(chips, 58, 66, random)
    width = _some(chips, 30, 50, random)
    across = (x - FRAME / 2).abs()
    band = (y > top) & (y < bottom) & (across < width)
    wide, high = _some(chips, 12, 18, random), _some(chips, 9, 14, random)
    glasses = ((across - 17.6) / wide).square() + ((y - 51.6) / high).square() < 1
    return torch.where(_some(chips, 0, 1, random) < 0.5, band, glasses)


def _forehead(chips: Tensor, x: Tensor, y: Tensor, random: torch.Generator) -> Tensor:
    """Cover the forehead as a cap or hair does, with a slanted edge."""
    bottom, slope = _some(chips, 28, 44, random), _some(chips, -0.15, 0.15, random)
    return y < bottom + slope * (x - FRAME / 2)


KINDS: dict[str, Kind] = {
    "clean": Kind(jitter=False, change=_as_it_is),
    "shifted": Kind(jitter=True, change=_as_it_is),
    "jitter": Kind(jitter=True, change=_relit),
    "blur": Kind(jitter=True, change=blurred(2.0, 3.0)),
    "small": Kind(jitter=True, change=shrunk(20, 28)),
    "jpeg": Kind(jitter=True, change=compressed(8, 16)),
    "dark": Kind(jitter=True, change=_darkened),
    "grey": Kind(jitter=True, change=greyed),
    "mask": Kind(jitter=True, change=_covered(_mask)),
    "eyes": Kind(jitter=True, change=_covered(_eyes)),
    "forehead": Kind(jitter=True, change=_covered(_forehead)),
}
"""The kinds of takes by name. To add one, give it a name here."""
