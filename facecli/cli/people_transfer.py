"""`facecli people export` and `facecli people import`: people go from one gallery to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.completion import complete_name
from facecli.cli.options import options_for
from facecli.cli.output import bad, counted, emit, emit_all, good, shown, table, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import GalleryError
from facecli.records import transfer as records

if TYPE_CHECKING:
    from facecli.recognition.importing import PersonImport


@click.command("export")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("names", metavar="[NAME…]", nargs=-1, shell_complete=complete_name)
@options_for("model")
@pass_settings
def export_people(settings: Settings, file: Path, names: tuple[str, ...]) -> None:
    """Write people with their embeddings to a new file, for another database.

    Without NAME, everyone. The embeddings are those of the model in use, and the file says which
    that is. Only you can read the file. A file that exists is not replaced.
    """
    from facecli.files import PRIVATE, creating
    from facecli.recognition.people_file import write_people

    gallery = settings.gallery()
    card = settings.card()
    named = {one.id: one for one in map(gallery.person, names)}.values()
    chosen = list(named) if names else gallery.people()
    if not chosen:
        raise GalleryError(f"nobody is enrolled in {shown(gallery.location)}")
    with creating(file, mode=PRIVATE) as stream:
        written = list(write_people(stream, gallery, chosen, card))
        templates = sum(count for _, count in written)
        if not templates:
            raise GalleryError(f"none of them has a template of model {card.name!r}")
    for person, count in written:
        if not count:
            warn(f"{person.name} is not written: no template of model {card.name}")
    people = sum(count > 0 for _, count in written)
    who = counted(people, "person", "people")
    emit(
        records.people_exported(file, people, templates, card),
        f"{shown(file)}: {who} with {counted(templates, 'template')} of model {shown(card.name)}",
    )


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what becomes of each person; store nobody.")
@click.option(
    "--allow-look-alike",
    is_flag=True,
    help="Accept a face that looks like another person, such as a twin.",
)
@options_for("model", "threshold")
@pass_settings
@click.pass_context
def import_people(
    ctx: click.Context, settings: Settings, file: Path, dry_run: bool, allow_look_alike: bool
) -> None:
    """Read people from a file that export wrote.

    A person is taken as a whole or refused. Nobody is merged: a person whose name, external id or
    face somebody else has is refused, and so is one who is here already with other faces. A person
    who is here already with the same faces is left as they are. All others are stored in one
    transaction. Exit codes: 0 if everyone is in the gallery now, 1 if some were refused, 2 if
    everyone was, or the file cannot be used.
    """
    from facecli.recognition.importing import judge_people, store_people
    from facecli.recognition.people_file import read_people

    card = settings.card()
    people = read_people(file, card)
    if not people:
        raise GalleryError(f"{shown(file)}: nobody is in it")
    recognizer = settings.recognizer()
    with recognizer.open_to_store(dry_run=dry_run) as gallery:
        judged = judge_people(
            people,
            gallery,
            card,
            threshold=recognizer.point().threshold,
            allow_look_alikes=allow_look_alike,
        )
        if not dry_run:
            store_people(judged, gallery, card)
    refused = _show(judged, settings, dry_run=dry_run)
    ctx.exit(0 if not refused else 1 if refused < len(judged) else 2)


def _show(judged: list[PersonImport], settings: Settings, *, dry_run: bool) -> int:
    """Show what became of each person, and the sums; return how many were refused."""
    rows = [
        (one.outcome, one.given.name, one.given.external_id or "", one.reason or one.warning)
        for one in judged
    ]
    lines = table(("outcome", "person", "external id", "why"), rows)
    emit_all([records.person_import(one, dry_run=dry_run) for one in judged], lines)
    record = records.people_import(judged, dry_run=dry_run, gallery=settings.database)
    would = "would be " if dry_run else ""
    text = f"{record['imported']} of {counted(len(judged), 'person', 'people')} {would}imported"
    text += f", {record['present']} there already" if record["present"] else ""
    text += f", {record['refused']} refused" if record["refused"] else ""
    paint = bad if record["refused"] else good
    emit(record, f"{paint(text)}: {shown(settings.database)}")
    return record["refused"]
