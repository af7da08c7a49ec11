"""Read who is to be enrolled from which photo: a list of photos, a folder or a CSV table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.acquisition import Source
from facecli.faces.images import display_name
from facecli.faces.people_folders import one_spelling, read_people_folder
from facecli.faces.photo_files import find_pictures
from facecli.faces.tables import Row, Table, read_table
from facecli.recognition.photos import Photo, each, source_of
from facecli.types import Failure

COLUMNS = ("name", "path", "external_id")
"""The columns of a table whose first row does not name them."""

NO_PICTURES = "no pictures in this folder"
"""The reason of the failure that stands for the folder of a person without pictures."""


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


def read_source(
    path: Path, say: Callable[[str], None] = lambda _: None
) -> list[EnrollmentRequest | Failure]:
    """Read a folder of people or a table; raise FacecliError if it holds nothing to enroll.

    `say` is told in one line what was found in a folder, and what was passed over and why.
    """
    requests = _read_folder(path, say) if path.is_dir() else _read_table(path, say)
    if not requests:
        what = "no folder or picture in it" if path.is_dir() else "no row in it"
        raise FacecliError(f"{display_name(path)}: {what}")
    return requests


def _read_folder(folder: Path, say: Callable[[str], None]) -> list[EnrollmentRequest | Failure]:
    """Take DIR/name/… and DIR/name.jpg; a person's folder without pictures becomes a failure."""
    found = read_people_folder(folder)
    say(f"{folder}: {found.said()}")
    requests: dict[Path, EnrollmentRequest | Failure] = {
        photo: EnrollmentRequest(name, photo)
        for photo, name in zip(found.photos, found.names, strict=True)
    }
    requests |= {one: Failure(str(one), NO_PICTURES) for one in found.empty}
    return [requests[one] for one in sorted(requests)]


def _read_table(path: Path, say: Callable[[str], None]) -> list[EnrollmentRequest | Failure]:
    """Take rows of name, path and perhaps external_id; a bad row becomes a failure.

    The first row may name the columns, which may then be in any order and among others. Paths are
    relative to the table.
    """
    table = read_table(path, ("name", "path"), without_header=COLUMNS)
    if table.comments:
        comments = f"{table.comments} comment {'line' if table.comments == 1 else 'lines'}"
        say(f"{path}: {comments} passed over: they begin with #")
    spelled: dict[str, str] = {}
    return [_request(row, table, spelled) for row in table.rows]


def _request(row: Row, table: Table, spelled: dict[str, str]) -> EnrollmentRequest | Failure:
    if row.surplus:
        return Failure(table.where(row), table.surplus())
    if missing := [column for column in ("name", "path") if not row[column]]:
        return Failure(table.where(row), f"no {' and no '.join(missing)}")
    (name,) = one_spelling([row["name"]], spelled)
    return EnrollmentRequest(name, table.path.parent / row["path"], row["external_id"] or None)
