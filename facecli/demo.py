"""Make the files of `facecli demo`: two portraits, and altered takes of each.

`facecli.cli.demo` runs the commands on them and checks the result of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from facecli import portraits
from facecli.errors import FacecliError
from facecli.faces.images import NEUTRAL_GREY, open_picture

MARKER = ".facecli-demo"
"""A file that marks the folder as the demo's own: it may be filled again."""

DARK = 0.4
"""Brightness of the darker take, as a share of the portrait's."""

COMPRESSED = "jpeg20"
JPEG_QUALITY = 20
PNG_EFFORT = 1
"""Compression level, of 9. The files live for minutes, and compressing them well took a second."""

SHRUNK_SIDE = 80
TILT_DEGREES = 12


@dataclass(frozen=True, slots=True)
class Sitter:
    """A person in the demo; `head` is left, top, right and bottom of the head, in pixels."""

    name: str
    portrait: Callable[[], Path]
    head: tuple[int, int, int, int]

    @property
    def slug(self) -> str:
        """Return the first part of the names of the sitter's files."""
        return self.name.split()[0].lower()


SITTERS = (
    Sitter("Grace Hopper", portraits.grace_hopper, (110, 60, 420, 370)),
    Sitter("Eileen Collins", portraits.eileen_collins, (130, 20, 320, 210)),
)


def _mirrored(portrait: Image.Image, _: Sitter) -> Image.Image:
    return ImageOps.mirror(portrait)


def _darker(portrait: Image.Image, _: Sitter) -> Image.Image:
    return ImageEnhance.Brightness(portrait).enhance(DARK)


def _as_it_is(portrait: Image.Image, _: Sitter) -> Image.Image:
    """Return the picture unchanged: it is altered by how it is saved."""
    return portrait


def _shrunk(portrait: Image.Image, sitter: Sitter) -> Image.Image:
    """Cut out the head and shrink it to 80 pixels a side."""
    return portrait.resize(
        (SHRUNK_SIDE, SHRUNK_SIDE), Image.Resampling.LANCZOS, box=sitter.head, reducing_gap=3.0
    )


def _tilted(portrait: Image.Image, _: Sitter) -> Image.Image:
    return portrait.rotate(TILT_DEGREES, Image.Resampling.BICUBIC, fillcolor=NEUTRAL_GREY)


TAKES: dict[str, Callable[[Image.Image, Sitter], Image.Image]] = {
    "mirrored": _mirrored,
    "darker": _darker,
    COMPRESSED: _as_it_is,
    "80px": _shrunk,
    "tilted": _tilted,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """The paths of the demo's files."""

    folder: Path

    @property
    def database(self) -> Path:
        """Return the gallery's path."""
        return self.folder / "gallery.db"

    @property
    def takes(self) -> Path:
        """Return the folder of altered takes."""
        return self.folder / "takes"

    def portrait(self, sitter: Sitter) -> Path:
        """Return the path of the one photo that a sitter is enrolled from."""
        return self.folder / "portraits" / f"{sitter.slug}.png"

    def take(self, sitter: Sitter, name: str) -> Path:
        """Return the path of an altered take."""
        kind = "jpg" if name == COMPRESSED else "png"
        return self.takes / f"{sitter.slug}-{name}.{kind}"

    def sitters_by_take(self) -> dict[str, str]:
        """Return the name of the sitter by the path of each take."""
        return {str(self.take(sitter, name)): sitter.name for sitter in SITTERS for name in TAKES}

    def files(self) -> list[Path]:
        """Return every file that the demo writes. It never deletes any other file."""
        database = [
            self.database.with_name(self.database.name + end) for end in ("", "-wal", "-shm")
        ]
        pictures = [self.portrait(sitter) for sitter in SITTERS]
        pictures += [self.take(sitter, name) for sitter in SITTERS for name in TAKES]
        return [*database, *pictures]


def set_the_stage(folder: Path) -> Stage:
    """Write portraits and takes into a folder that is new, empty, or filled by an earlier demo.

    Raises FacecliError for any other folder, so that nobody's files are touched, and MissingExtra
    if the packages with the portraits are not installed.
    """
    stage = Stage(folder)
    sources = {sitter: sitter.portrait() for sitter in SITTERS}
    if folder.exists() and not folder.is_dir():
        raise FacecliError(f"{folder}: not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise FacecliError(
            f"{folder}: holds files that are not the demo's; name another with --dir"
        )
    stage.takes.mkdir(parents=True, exist_ok=True)
    (folder / "portraits").mkdir(exist_ok=True)
    (folder / MARKER).touch()
    for path in stage.files():
        path.unlink(missing_ok=True)
    for sitter, source in sources.items():
        _draw(stage, sitter, source)
    return stage


def _draw(stage: Stage, sitter: Sitter, source: Path) -> None:
    """Write one sitter's portrait and takes."""
    portrait = open_picture(source).pixels
    portrait.save(stage.portrait(sitter), compress_level=PNG_EFFORT)
    for name, alter in TAKES.items():
        take = alter(portrait, sitter)
        take.save(stage.take(sitter, name), compress_level=PNG_EFFORT, quality=JPEG_QUALITY)
