"""Read who is to be enrolled from which photo: a folder of people or a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.images import display_name
from facecli.faces.people_folders import one_spelling, read_people_folder
from facecli.faces.tables import Row, Table, read_table
from facecli.recognition.roster import NO_PICTURES, EnrollmentRequest
from facecli.types import Failure

COLUMNS = ("name", "path", "external_id")
"""The columns of a table whose first row does not name them."""


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
