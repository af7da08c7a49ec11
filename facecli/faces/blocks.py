"""Work through a picture block by block, so that no step needs a second copy of all of it."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

BLOCK = 1024
"""Side of a block in pixels: 4 MiB of RGB, and some more while it is worked on."""

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def blocks(width: int, height: int, step: int = 1) -> Iterator[PixelBox]:
    """Yield the blocks that cover a picture, row by row; `step` divides where they begin."""
    side = max(1, BLOCK // step) * step
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield left, top, min(left + side, width), min(top + side, height)


def reduced(
    picture: Image.Image, box: PixelBox, factor: int, *, fill: tuple[int, int, int] = (0, 0, 0)
) -> Image.Image:
    """Return a part of an RGB picture, reduced by a factor, filled where it leaves the picture.

    It has the pixels of `picture.crop(box).reduce(factor)`, without that crop.
    """
    left, top, right, bottom = box
    if left >= 0 and top >= 0 and right <= picture.width and bottom <= picture.height:
        return picture.reduce(factor, box) if factor > 1 else picture.crop(box)
    width, height = right - left, bottom - top
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)), fill)
    for a, b, c, d in blocks(width, height, factor):
        part = _cut(picture, (left + a, top + b, left + c, top + d), fill)
        if part is not None:
            small.paste(part.reduce(factor) if factor > 1 else part, (a // factor, b // factor))
    return small


def _cut(picture: Image.Image, box: PixelBox, fill: tuple[int, int, int]) -> Image.Image | None:
    """Cut out a block; None if all of it lies outside the picture."""
    left, top, right, bottom = box
    inside = (max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return None
    if inside == box:
        return picture.crop(box)
    block = Image.new("RGB", (right - left, bottom - top), fill)
    block.paste(picture.crop(inside), (inside[0] - left, inside[1] - top))
    return block
