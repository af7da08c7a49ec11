"""`facecli people-folder`: show who is in a folder of people, before anything is done with it."""

from __future__ import annotations

from pathlib import Path

import click

from facecli.cli.options import options_for
from facecli.cli.output import emit, emit_all, shown, table
from facecli.errors import FacecliError
from facecli.records import people as records


@click.command("people-folder")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@options_for()
def people_folder(folder: Path) -> None:
    """Show who is in a folder of people, and what is passed over.

    enroll --from, train, calibrate, train-verifier and evaluate read a folder in this way. All
    pictures below DIR/name/ are of one person, and so is DIR/name.jpg. Names that differ in case
    or spacing only are one person. Hidden files, those of operating systems and network storage,
    and files without a picture's ending are passed over. No picture is opened.
    """
    from facecli.faces.people_folders import read_people_folder

    found = read_people_folder(folder)
    if not found.photos:
        raise FacecliError(f"{folder}: no picture in it; {found.said()}")
    people = records.people_of_folder(found)
    rows = [(one["person"], len(one["photos"]), one["photos"][0]) for one in people]
    emit_all(people, table(("person", "photos", "the first"), rows))
    emit(records.people_folder(found), f"{shown(folder)}: {shown(found.said())}")
