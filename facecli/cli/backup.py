"""`facecli backup`: write a checked copy of a database, while other programs use it."""

from __future__ import annotations

from pathlib import Path

import click

from facecli.cli.gate import log_database, log_option
from facecli.cli.options import AnyCallable, is_given, library_option, options_for
from facecli.cli.output import counted, emit, shown
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import GalleryError
from facecli.records import copies as records
from facecli.stores.address import Location
from facecli.stores.copying import NAMES, Copyable, back_up, copyable


def which_database(function: AnyCallable) -> AnyCallable:
    """Add --of, and the options that say where the databases are."""
    choice = click.option(
        "--of",
        "name",
        type=click.Choice(NAMES),
        default=NAMES[0],
        show_default=True,
        help="Which database: that of people, the photo library, or the log of decisions.",
    )
    return choice(log_option(library_option(function)))


def chosen(settings: Settings, name: str, log: Path | None) -> tuple[Copyable, Path]:
    """Return the database of a name and its path; refuse the path of another one."""
    given = {
        "gallery": "db" in settings.given,
        "library": "library_path" in settings.given,
        "log": is_given(click.get_current_context(), "log"),
    }
    options = {"gallery": "--db", "library": "--library", "log": "--log"}
    for other, is_said in given.items():
        if is_said and other != name:
            raise click.UsageError(f"{options[other]} needs --of {other}.")
    found: dict[str, Location] = {
        "gallery": settings.database,
        "library": settings.library_database,
        "log": log_database(log),
    }
    return copyable(name), _file(found[name])


def _file(database: Location) -> Path:
    """Return a database that is a file; a server makes copies with tools of its own."""
    if isinstance(database, Path):
        return database
    raise GalleryError(
        f"{database}: a gallery on a server is copied with pg_dump and put back with pg_restore; "
        "see docs/scale.md"
    )


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@which_database
@options_for()
@pass_settings
def backup(settings: Settings, file: Path, name: str, log: Path | None) -> None:
    """Write a checked copy of a database, while other programs use it.

    The copy appears whole or not at all, in a file that only you can read. A file that exists is
    not replaced. Everything in the database is checked, and so is the copy. A person who is
    forgotten later is still in the backup: erase old backups.
    """
    what, database = chosen(settings, name, log)
    copied = back_up(database, file, what)
    record = records.backup(what, copied, file)
    count = counted(copied.entries, what.one, what.many)
    emit(
        record,
        f"{shown(file)}: {count} from {shown(database)}, {record['size'] / 1e6:.1f} MB, checked",
    )
