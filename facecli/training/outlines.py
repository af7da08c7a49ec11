"""Outlines: which part of a chip is photo, and not padding, read from a table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from facecli.errors import TrainingError
from facecli.faces.tables import Row, read_table
from facecli.types import FloatArray

CORNERS = ("x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3")


def read_outlines(path: Path, paths: tuple[str, ...]) -> FloatArray:
    """Return the corners of the photo in each chip, float32 (n, 4, 2), NaN if it fills the chip.

    The table is a CSV file with the columns file, relative to the root of the photo set, and x0, y0
    to x3, y3, in pixels of the chip. Raises FacecliError for any other file, and if it has none of
    the photos.
    """
    place = {name: number for number, name in enumerate(paths)}
    result = np.full((len(paths), 4, 2), np.nan, np.float32)
    table = read_table(path, ("file", *CORNERS))
    for row in table.whole_rows():
        corners = _corners(row, table.where(row))
        if row["file"] in place:
            result[place[row["file"]]] = np.reshape(corners, (4, 2))
    if np.isnan(result).all():
        raise TrainingError(f"{path}: none of its files is a photo of this set")
    return result


def _corners(row: Row, where: str) -> list[float]:
    try:
        corners = [float(row[name]) for name in CORNERS]
    except ValueError:
        corners = [math.nan]
    if not all(map(math.isfinite, corners)):
        raise TrainingError(f"{where}: corners must be numbers")
    return corners
