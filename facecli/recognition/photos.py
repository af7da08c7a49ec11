"""Photos as a program hands them over: paths, bytes or pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from facecli.faces.acquisition import Source
from facecli.faces.images import EncodedPicture, picture_of
from facecli.faces.opened import OpenedPicture
from facecli.types import Picture

Photo = str | Path | bytes | Image.Image | Picture | EncodedPicture | OpenedPicture
"""A photo: the path of a file, the bytes of a file, or a picture that is decoded already."""

UNNAMED = "photo"
"""What a photo that is not a file is called in answers and messages."""


def each(photos: Photo | Iterable[Photo]) -> Iterable[Photo]:
    """Return the photos; a single one counts as a list of one."""
    return [photos] if isinstance(photos, Photo) else photos


def source_of(photo: Photo) -> Source:
    """Return a photo as `acquire` takes it; raise TypeError for anything else."""
    match photo:
        case str() | Path():
            return Path(photo)
        case bytes():
            return EncodedPicture(photo, UNNAMED)
        case Image.Image():
            return picture_of(photo, UNNAMED)
        case Picture() | EncodedPicture() | OpenedPicture():
            return photo
    raise TypeError(f"a photo is a path, bytes or a PIL.Image, not {type(photo).__name__}")
