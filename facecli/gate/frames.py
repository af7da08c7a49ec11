"""Frames: the moments of a source, each with a picture or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from facecli.errors import FacecliError
from facecli.types import Picture

TICK = 0.25
"""If no picture arrives for this many seconds, a frame without a picture is yielded."""

Warn = Callable[[str], None]
"""Takes a message for the person who runs the gate."""

Load = Callable[[], Image.Image | None]


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a source: `at` in seconds on its clock, and how to load the picture, if any.

    Call `load` before asking for the next frame. For a damaged picture it warns and returns None.
    `source` is the name of the picture's origin.
    """

    at: float
    source: str
    load: Load | None = None


def loaded(opening: Callable[[], Picture], warn: Warn) -> Image.Image | None:
    """Return the pixels of a picture; warn and return None if it is damaged."""
    try:
        return opening().pixels
    except FacecliError as error:
        warn(str(error))
        return None
