"""`facecli people`: list, rename, merge and forget enrolled people; set external ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecli.cli.completion import complete_name
from facecli.cli.leftovers import leftovers
from facecli.cli.options import library_option, options_for
from facecli.cli.output import (
    answer,
    confirmed,
    counted,
    emit,
    emit_all,
    note,
    shown,
    strong,
    table,
    wants_json,
    warn,
)
from facecli.cli.people_copy import copy_people
from facecli.cli.people_transfer import export_people, import_people
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import GalleryError
from facecli.faces.tables import table_text
from facecli.records import people as records

if TYPE_CHECKING:
    from facecli.types import Person, Template

FINGERPRINT_SHOWN = 12
"""Number of digits of a SHA-256 shown in a table: enough to tell files and models apart."""


@click.group()
def people() -> None:
    """List, rename, merge, forget, export, import and copy enrolled people."""


people.add_command(export_people)
people.add_command(import_people)
people.add_command(copy_people)


@people.command("list")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV to stdout, a line per person.")
@options_for()
@pass_settings
def list_people(settings: Settings, as_csv: bool) -> None:
    """List all enrolled people by name.

    In CSV an apostrophe is put before a name or id that a spreadsheet would take for a formula:
    one that begins with = + - @.
    """
    if as_csv and wants_json():
        raise click.UsageError("--csv and --json exclude each other.")
    gallery = settings.gallery()
    everyone = gallery.people()
    rows = [(one.name, one.templates, one.created, one.external_id or "") for one in everyone]
    if as_csv:
        answer(table_text(("name", "templates", "enrolled", "external_id"), rows), ends=False)
        return
    header = ("name", "templates", "enrolled", "external id")
    nobody = f"Nobody is enrolled in {shown(gallery.location)}."
    emit_all([records.person(one) for one in everyone], table(header, rows) if rows else nobody)


@people.command()
@click.argument("name", shell_complete=complete_name)
@options_for()
@pass_settings
def show(settings: Settings, name: str) -> None:
    """Show one person's templates."""
    gallery = settings.gallery()
    person = gallery.person(name)
    templates = gallery.templates_of(name)
    record = records.person_in_full(person, templates)
    emit(record, _described(person, templates))


@people.command()
@click.argument("old", metavar="NAME", shell_complete=complete_name)
@click.argument("new", metavar="NEW_NAME")
@options_for()
@pass_settings
def rename(settings: Settings, old: str, new: str) -> None:
    """Rename a person. Refused if another person has the new name."""
    person = settings.gallery().rename(old, new)
    emit(records.renamed(old, person), f"{shown(old)} is now {shown(person.name)}")


@people.command()
@click.argument("source", metavar="NAME", shell_complete=complete_name)
@click.argument("target", metavar="INTO_NAME", shell_complete=complete_name)
@options_for()
@pass_settings
def merge(settings: Settings, source: str, target: str) -> None:
    """Move all templates of NAME to INTO_NAME, and remove NAME."""
    person = settings.gallery().merge(source, target)
    count = _templates(person.templates)
    text = f"{shown(source)} is now part of {shown(person.name)}: {count}"
    emit(records.merged(source, person), text)


@people.command("set-id")
@click.argument("name", shell_complete=complete_name)
@click.argument("external_id", metavar="ID", required=False)
@click.option("--remove", is_flag=True, help="Remove the external id.")
@options_for()
@pass_settings
def set_id(settings: Settings, name: str, external_id: str | None, remove: bool) -> None:
    """Set a person's external id, the key in another system.

    It replaces the id before. Refused if another person has the id.
    """
    if (external_id is None) is not remove:
        raise click.UsageError("Give either ID or --remove.")
    gallery = settings.gallery()
    before = gallery.person(name).external_id
    person = gallery.set_external_id(name, external_id)
    now = "no external id" if remove else f"the external id {shown(person.external_id)}"
    was = "" if before in (None, person.external_id) else f", not {shown(before)} any more"
    emit(records.external_id(person, before), f"{shown(person.name)} has {now}{was}")


@people.command()
@click.argument("names", metavar="NAME…", nargs=-1, required=True, shell_complete=complete_name)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@library_option
@options_for()
@pass_settings
def forget(settings: Settings, names: tuple[str, ...], yes: bool) -> None:
    """Erase people and their templates for good, and print a receipt.

    In a file, the freed pages are overwritten and the write-ahead log is emptied. A PostgreSQL
    server writes its tables anew, and keeps its log for a while: the receipt says so. What
    enrolling left in the photo library is erased too: where the faces are in these photos. Faces
    that other commands remember there are left, and it says so. It also says where else they may
    still be: names of clusters, the decision log, and files that other commands wrote. Erase these
    yourself.
    """
    gallery = settings.gallery()
    known = {person.id: person for person in map(gallery.person, names)}.values()
    count = _templates(sum(person.templates for person in known))
    listed = ", ".join(person.name for person in known)
    if not yes and not confirmed(f"Forget {listed} with {count} for good?"):
        raise GalleryError("nobody was forgotten: the answer was no")
    sha256s = {one.image_sha256 for person in known for one in gallery.templates_of(person.name)}
    receipt = gallery.forget([person.name for person in known])
    left = "nothing of them is left in" if receipt.scrubbed else "erased from"
    emit(
        records.forgotten(receipt),
        f"Forgot {shown(listed)} with {count}: {left} {shown(gallery.location)}.",
    )
    if not receipt.scrubbed:
        warn(f"the erased data may still be in {receipt.remains}")
    _forget_photos(settings, sha256s)
    for line in leftovers(settings, receipt.people):
        note(line)


def _forget_photos(settings: Settings, sha256s: set[str]) -> None:
    """Erase where the faces of these photos are; warn if the library has the faces themselves."""
    from facecli.errors import LibraryError
    from facecli.stores.library.looks import forget_looks

    if not settings.has_library():
        return
    try:
        left = forget_looks(settings.library(create=False), sha256s)
    except LibraryError as error:
        warn(f"the photo library may still hold them: {error}")
        return
    if left:
        photos = counted(left, "of these photos is", "of these photos are")
        warn(
            f"{photos} still in the photo library, with the faces: "
            "'facecli library forget PHOTO…' erases them"
        )


def _templates(count: int) -> str:
    return f"{count} template" + ("" if count == 1 else "s")


def _described(person: Person, templates: list[Template]) -> str:
    """Return a line about a person, then a line for each template."""
    external = f", external id {shown(person.external_id)}" if person.external_id else ""
    head = f"{strong(shown(person.name))}{external}, enrolled {person.created}"
    rows = [
        (
            one.id,
            one.fingerprint[:FINGERPRINT_SHOWN],
            one.image_sha256[:FINGERPRINT_SHOWN],
            f"{one.quality.eye_distance:.0f} px" if one.quality.eye_distance else "-",
            one.created,
        )
        for one in templates
    ]
    header = ("template", "model", "photo (SHA-256)", "between the eyes", "enrolled")
    return f"{head}\n{table(header, rows)}"
