"""Chips as they are stored: lossless WebP."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from facecli.types import PixelArray


def compress(chip: PixelArray) -> bytes:
    """Return a chip, uint8 (size, size, 3), as a small lossless picture.

    Measured on 79 chips of 150 pixels: the fastest lossless WebP took 23 kB and 1.0 ms each, the
    fastest PNG 32 kB and 1.7 ms. Slower settings saved a fifth at most and took ten times as long.
    """
    data = BytesIO()
    Image.fromarray(chip).save(data, "WEBP", lossless=True, method=0, quality=0)
    return data.getvalue()


def decompress(data: bytes) -> PixelArray:
    """Return a stored chip; raise ValueError if it is damaged."""
    try:
        with Image.open(BytesIO(data), formats=("WEBP",)) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise ValueError(f"a damaged chip: {error}") from error
