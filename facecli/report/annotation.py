"""Write pictures with boxes and labels, never over another file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.images import Decode, display_name
from facecli.faces.opened import OpenedPicture, opened
from facecli.files import PRIVATE, creating
from facecli.report.drawing import Mark, draw

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""What pictures are written as, by the ending of their name."""

OTHERS = ".jpg"
"""The ending of a picture whose own format is not written, such as HEIC."""

QUALITY = 90
"""Of a JPEG or WebP, 0 to 100: text with sharp edges."""


class Annotations:
    """Where the annotated forms of pictures go: a file for one photo, else a folder.

    What exists already is never replaced.
    """

    def __init__(self, out: Path, given: Sequence[Path]) -> None:
        """Take the place, and the photos and folders that were given.

        Raises FacecliError if something is there already, and for a place that no picture can be
        written to.
        """
        self.out = out
        alone = len(given) == 1 and not given[0].is_dir() and not out.is_dir()
        self.one = alone and out.suffix != ""
        self._taken: set[str] = set()
        if self.one:
            check_new_file(out, FORMATS)
        else:
            _check_folder(out, given)

    def write(self, photo: Path | OpenedPicture, marks: Sequence[Mark]) -> Path:
        """Write a photo with marks on it and return the file.

        Raises FacecliError if the photo cannot be read, or not be written in this format, and
        OSError if the disk does not take it.
        """
        picture = opened(photo)
        decoded = picture.at_least()
        pixels = decoded.pixels
        draw(pixels, [_scaled(mark, decoded) for mark in marks])
        file = self.out if self.one else self.out / self._name(Path(picture.source))
        kind = FORMATS[file.suffix.lower()]
        if not self.one:
            self.out.mkdir(mode=0o700, exist_ok=True)
        with creating(file, mode=PRIVATE) as stream:
            try:
                pixels.save(stream, kind, quality=QUALITY)
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                reason = (
                    f"{display_name(file)}: no {kind} can have {'×'.join(map(str, pixels.size))}"
                )
                raise FacecliError(f"{reason} pixels") from error
        return file

    def _name(self, source: Path) -> str:
        """Return a name for a photo's annotated form that no other photo has, in any case."""
        ending = source.suffix if source.suffix.lower() in FORMATS else OTHERS
        name, number = f"{source.stem}{ending}", 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{source.stem} ({number}){ending}"
        self._taken.add(name.casefold())
        return name


def _scaled(mark: Mark, decoded: Decode) -> Mark:
    """Return a mark of the full picture as one of a decode, which may be smaller."""
    if mark.box is None:
        return mark
    left, top, right, bottom = mark.box
    return replace(mark, box=(*decoded.from_full((left, top)), *decoded.from_full((right, bottom))))


def check_new_file(out: Path, endings: Iterable[str]) -> None:
    """Raise FacecliError unless a new file with one of these endings can be made at a path."""
    where = display_name(out)
    if out.suffix.lower() not in endings:
        raise FacecliError(f"{where}: its name must end in {', '.join(endings)}")
    if not out.parent.is_dir():
        raise FacecliError(f"{where}: there is no folder {display_name(out.parent)}")
    if out.exists() or out.is_symlink():
        raise FacecliError(f"{where}: it exists already: choose another name")


def _check_folder(out: Path, given: Sequence[Path]) -> None:
    """Raise FacecliError unless a new or empty folder can be made at a path."""
    where = display_name(out)
    for path in given:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise FacecliError(f"{where}: lies in {display_name(path)}, whose photos are read")
    if not out.parent.is_dir():
        raise FacecliError(f"{where}: there is no folder {display_name(out.parent)}")
    if out.is_dir():
        if any(out.iterdir()):
            raise FacecliError(f"{where}: it is not empty: choose another folder")
    elif out.exists() or out.is_symlink():
        raise FacecliError(f"{where}: it is a file: for several photos name a folder")
