"""What the header of a photo tells: when it was taken, how it lies, and its XMP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image

from facecli.faces.images import with_header
from facecli.faces.upright import UPRIGHT, orientation

_EXIF, _TAKEN = 0x8769, 0x9003
"""Exif 2.32: the block of the camera's tags, and the tag with the time (section 4.6.5)."""


def day_taken(path: Path) -> date | None:
    """Return the day a photo was taken, by its Exif DateTimeOriginal, or None.

    Reads no pixels. Returns None too if the file cannot be read or the text is no date.
    """
    said = _from_header(path, lambda image: str(image.getexif().get_ifd(_EXIF)[_TAKEN]))
    try:
        return date.fromisoformat(said[:10].replace(":", "-"))
    except (TypeError, ValueError):
        return None


def stored_orientation(path: Path) -> int:
    """Return the EXIF orientation of a photo, 1 to 8; 1 if there is none."""
    found = _from_header(path, orientation)
    return found if found in UPRIGHT else 1


def own_xmp(path: Path) -> bytes | None:
    """Return the XMP packet inside a photo, or None if there is none."""
    found = _from_header(path, lambda image: image.info.get("xmp"))
    return found if isinstance(found, bytes) else None


def _from_header(path: Path, read: Callable[[Image.Image], Any]) -> Any:
    """Return what `read` takes from a picture's header, without decoding it; None if it fails."""
    try:
        return with_header(path, read)
    # Hostile bytes can raise any exception, and the answer is optional.
    except Exception:
        return None
