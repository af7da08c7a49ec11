"""Read who is to be enrolled from which photo: a list of photos, a folder or a CSV table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.acquisition import Source
from facecli.faces.images import display_name
from facecli.faces.photo_files import PICTURE_EXTENSIONS, find_pictures
from facecli.recognition.photos import Photo, each, source_of
from facecli.types import Failure

COLUMNS = ("name", "path", "external_id")
DELIMITERS = (",", ";", "\t")
"""Spreadsheets write the semicolon where the comma is the decimal mark."""


@dataclass(frozen=True, slots=True)
class EnrollmentRequest:
    """One photo of one person: the path of a file, or a picture that was read already.

    `external_id` is the person's key in another system, if there is one.
    """

    person: str
    photo: Source
    external_id: str | None = None

    @property
    def source(self) -> str:
        """What the photo is called in answers."""
        return str(self.photo) if isinstance(self.photo, Path) else self.photo.source


def named_photos(
    person: str, paths: Iterable[Path], external_id: str | None = None
) -> list[EnrollmentRequest]:
    """Return a request for each photo; folders stand for the pictures in them."""
    return [EnrollmentRequest(person, path, external_id) for path in find_pictures(paths)]


def requests_for(
    person: str, photos: Photo | Iterable[Photo], external_id: str | None = None
) -> list[EnrollmentRequest]:
    """Return a request for each photo; a folder stands for the pictures in it.

    Raises FacecliError if there is no photo.
    """
    requests: list[EnrollmentRequest] = []
    for source in map(source_of, each(photos)):
        if isinstance(source, Path):
            requests += named_photos(person, [source], external_id)
        else:
            requests.append(EnrollmentRequest(person, source, external_id))
    if not requests:
        raise FacecliError(f"{person}: no photos to enroll from")
    return requests


def read_source(path: Path) -> list[EnrollmentRequest | Failure]:
    """Read a folder or a CSV table; raise FacecliError if it holds nothing to enroll."""
    requests = list(_read_folder(path)) if path.is_dir() else list(_read_table(path))
    if not requests:
        what = "no folder or picture in it" if path.is_dir() else "no row in it"
        raise FacecliError(f"{display_name(path)}: {what}")
    return requests


def _read_folder(folder: Path) -> Iterator[EnrollmentRequest | Failure]:
    """Take DIR/name/*.jpg and DIR/name.jpg; a name is kept as it is written."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise FacecliError(f"{display_name(folder)}: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            pictures = find_pictures([entry])
            if not pictures:
                yield Failure(str(entry), "no pictures in this folder")
            yield from (EnrollmentRequest(entry.name, picture) for picture in pictures)
        elif entry.suffix.lower() in PICTURE_EXTENSIONS:
            yield EnrollmentRequest(entry.stem, entry)


def _read_table(path: Path) -> Iterator[EnrollmentRequest | Failure]:
    """Take rows of name, path and perhaps external_id; a bad row becomes a failure.

    The first row may name the columns, which may then be in any order and among others. Paths are
    relative to the table.
    """
    text = _read_text(path)
    delimiter = _delimiter(text)
    columns: tuple[str, ...] = COLUMNS
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = True
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if first and {"name", "path"} <= {cell.casefold() for cell in cells}:
                columns = tuple(cell.casefold() for cell in cells)
            else:
                yield _read_row(cells, columns, path, reader.line_num)
            first = False
    except csv.Error as error:
        raise FacecliError(f"{display_name(path)} line {reader.line_num}: {error}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        reason = "not UTF-8 text; save the table as UTF-8 CSV"
        raise FacecliError(f"{display_name(path)}: {reason}") from error
    except OSError as error:
        raise FacecliError(f"{display_name(path)}: {error.strerror}") from error


def _delimiter(text: str) -> str:
    """Return the delimiter that the first line holds most of."""
    line = text.lstrip().partition("\n")[0]
    return max(DELIMITERS, key=line.count)


def _read_row(
    cells: list[str], columns: tuple[str, ...], table: Path, line: int
) -> EnrollmentRequest | Failure:
    where = f"{table} line {line}"
    if any(cells[len(columns) :]):
        return Failure(where, f"more than {len(columns)} cells; quote those that hold a delimiter")
    named = dict(zip(columns, cells, strict=False))
    missing = [column for column in ("name", "path") if not named.get(column)]
    if missing:
        return Failure(where, f"no {' and no '.join(missing)}")
    return EnrollmentRequest(
        named["name"], table.parent / named["path"], named.get("external_id") or None
    )
