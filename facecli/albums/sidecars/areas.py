"""The places of faces, as shares of the stored picture."""

from __future__ import annotations

from facecli.faces.finding import overlap
from facecli.types import Box

Area = tuple[float, float, float, float]
"""Centre x and y, width and height, as shares of the stored picture."""


def stored_area(box: Area, size: tuple[int, int], orientation: int) -> Area:
    """Convert a box in pixels of the upright picture to an area of the stored picture.

    `size` is that of the upright picture; `orientation` is the value of the EXIF tag, 1 to 8.
    """
    left, top, right, bottom = box
    width, height = size
    shown = ((left + right + 1) / 2 / width, (top + bottom + 1) / 2 / height)
    x, y = _stored_point(shown, orientation)
    extent = ((right - left) / width, (bottom - top) / height)
    w, h = extent[::-1] if orientation >= 5 else extent
    return (x, y, w, h)


def _stored_point(point: tuple[float, float], orientation: int) -> tuple[float, float]:
    """Convert shares of the upright picture to shares of the stored one (Exif 2.32, 4.6.4)."""
    x, y = point
    return {
        2: (1 - x, y),
        3: (1 - x, 1 - y),
        4: (x, 1 - y),
        5: (y, x),
        6: (y, 1 - x),
        7: (1 - y, 1 - x),
        8: (1 - y, x),
    }.get(orientation, point)


def area_overlap(a: Area, b: Area) -> float:
    """Return the intersection over union of two areas, in [0, 1]."""
    return overlap(_corners(a), _corners(b))


def _corners(area: Area) -> Box:
    x, y, width, height = area
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
