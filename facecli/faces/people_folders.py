"""Read a folder of people: the one answer to who is in it and which photos are theirs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facecli.errors import FacecliError
from facecli.faces.images import display_name
from facecli.faces.photo_files import SHOWN, PassedOver, said, search_pictures
from facecli.text import name_key


@dataclass(frozen=True, slots=True)
class PeopleFolder:
    """The photos of a folder of people, sorted by path, each with its person.

    `names[i]` is the person of `photos[i]`, in the spelling of the person's first photo. `empty`
    are the folders in `root` without a picture. People are folders `depth` levels below it.
    """

    root: Path
    depth: int
    photos: tuple[Path, ...]
    names: tuple[str, ...]
    empty: tuple[Path, ...]
    passed: tuple[PassedOver, ...]

    @property
    def people(self) -> tuple[str, ...]:
        """The names, each once, in the order of their first photos."""
        return tuple(dict.fromkeys(self.names))

    def said(self) -> str:
        """Return in one line what was found, and what was passed over and why."""
        photos, people = len(self.photos), len(self.people)
        parts = [
            f"{photos} {'photo' if photos == 1 else 'photos'} of "
            f"{people} {'person' if people == 1 else 'people'}",
            said(self.passed),
            _listed("without a picture", [one.name for one in self.empty]),
            _listed("with pictures in several folders only", self.divided()),
        ]
        return "; ".join(filter(None, parts))

    def divided(self) -> list[str]:
        """Return the people whose photos lie in several subfolders, and none beside these.

        Perhaps their folders hold the folders of people, and not photos of one.
        """
        places: dict[str, set[str]] = {}
        for photo, name in zip(self.photos, self.names, strict=True):
            inside = photo.relative_to(self.root).parts[self.depth :]
            places.setdefault(name, set()).add(inside[0] if len(inside) > 1 else "")
        return [name for name, inside in places.items() if "" not in inside and len(inside) > 1]


def read_people_folder(folder: Path, *, depth: int = 1) -> PeopleFolder:
    """Read FOLDER/NAME/… and FOLDER/NAME.jpg: all pictures below a folder are of one person.

    With a `depth` of 2 the folder holds folders of people, as sets of training data do: people are
    FOLDER/SET/NAME/… and FOLDER/SET/NAME.jpg, and called SET/NAME.

    Folders and files whose names differ only in case, width, spacing or Unicode's form are one
    person. What is passed over is what `search_pictures` passes over. A folder of a person without
    permission to read counts as a photo that cannot be opened, so that it is reported. Raises
    FacecliError if the folder itself cannot be read.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise FacecliError(f"{display_name(folder)}: {error.strerror}") from error
    searched = search_pictures([folder])
    parts = [photo.relative_to(folder).parts for photo in searched.pictures]
    names = [
        "/".join(one[:depth]) if len(one) > depth else str(PurePosixPath(*one).with_suffix(""))
        for one in parts
    ]
    spelled: dict[str, str] = {}
    taken = {*(folder / one[0] for one in parts), *(one.path for one in searched.passed)}
    return PeopleFolder(
        root=folder,
        depth=depth,
        photos=searched.pictures,
        names=tuple(one_spelling(names, spelled)),
        empty=tuple(one for one in inside if one not in taken),
        passed=searched.passed,
    )


def one_spelling(names: Iterable[str], spelled: dict[str, str]) -> list[str]:
    """Return the names, each person's in the first spelling, which `spelled` holds by its key."""
    composed = (unicodedata.normalize("NFC", name).strip() for name in names)
    return [spelled.setdefault(name_key(name), name) for name in composed]


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = ", …" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(map(display_name, names[:SHOWN]))}{more})"
