"""Outlines: which part of a chip is photo, and not padding, read from a table."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from facecli.errors import TrainingError
from facecli.types import FloatArray

CORNERS = ("x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3")


def read_outlines(path: Path, paths: tuple[str, ...]) -> FloatArray:
    """Return the corners of the photo in each chip, float32 (n, 4, 2), NaN if it fills the chip.

    The table is a CSV file with the columns file, relative to the root of the photo set, and x0, y0
    to x3, y3, in pixels of the chip. Raises TrainingError for any other file, and if it has none of
    the photos.
    """
    place = {name: number for number, name in enumerate(paths)}
    result = np.full((len(paths), 4, 2), np.nan, np.float32)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"file", *CORNERS} <= set(reader.fieldnames or ()):
                raise TrainingError(f"{path}: needs the columns file, {', '.join(CORNERS)}")
            for line, row in enumerate(reader, start=2):
                corners = _corners(row, f"{path}, line {line}")
                if row["file"] in place:
                    result[place[row["file"]]] = np.reshape(corners, (4, 2))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path}: cannot be read as a table: {error}") from error
    if np.isnan(result).all():
        raise TrainingError(f"{path}: none of its files is a photo of this set")
    return result


def _corners(row: dict[str, str], where: str) -> list[float]:
    try:
        corners = [float(row[name]) for name in CORNERS]
    except (TypeError, ValueError):
        corners = [math.nan]
    if not all(map(math.isfinite, corners)):
        raise TrainingError(f"{where}: corners must be numbers")
    return corners
