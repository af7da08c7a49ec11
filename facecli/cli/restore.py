"""`facecli restore`: put a backup in the place of a database, while other programs use it."""

from __future__ import annotations

from pathlib import Path

import click

from facecli.cli.backup import chosen, which_database
from facecli.cli.options import options_for
from facecli.cli.output import confirmed, counted, emit, shown
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError
from facecli.records import copies as records
from facecli.stores.copying import examine, put_back


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@which_database
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@options_for()
@pass_settings
def restore(settings: Settings, file: Path, name: str, log: Path | None, yes: bool) -> None:
    """Put a backup in the place of a database, while other programs use it.

    What the database holds now is lost: it asks first, unless there is no database yet. The backup
    is checked before anything is written. Then all of it is put in place at once, or nothing.
    Programs that use the database see the new contents with their next question. People who were
    forgotten after the backup was made are back: forget them again.
    """
    what, database = chosen(settings, name, log)
    held = examine(file, what)
    count = counted(held.entries, what.one, what.many)
    question = f"Replace all of {database} by {file} with {count}?"
    if database.exists() and not yes and not confirmed(question):
        raise FacecliError("nothing was restored: the answer was no")
    found = put_back(file, database, what)
    count = counted(found.entries, what.one, what.many)
    emit(
        records.restored(what, found, file),
        f"{shown(database)}: {count} restored from {shown(file)}, checked",
    )
