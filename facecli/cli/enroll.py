"""`facecli enroll`: enroll people, and show for each photo whether it was accepted and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.completion import complete_name
from facecli.cli.options import PICTURES, Whole, command_options, library_option
from facecli.cli.output import (
    answer,
    bad,
    counted,
    emit,
    good,
    note,
    progress,
    shown,
    table,
    wants_json,
    warn,
)
from facecli.cli.samples import pictures_in
from facecli.cli.settings import Settings, pass_settings
from facecli.records import enrollment as records
from facecli.text import name_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facecli.recognition.recognizer import Recognizer
    from facecli.recognition.roster import EnrollmentRequest
    from facecli.recognition.screening import PhotoOutcome
    from facecli.stores.library import Library
    from facecli.types import Failure

SUMMED = {
    "enrolled_already": "enrolled already",
    "repeated": "given twice",
    "refused": "refused",
}
"""What the summary calls its counts beside the photos enrolled."""

LOOK_ALIKES = (
    "look-alikes: if they are one person, give them one name; if two, and each photo shows the "
    "right one, use --allow-look-alike"
)


@click.command()
@click.argument("name", required=False, shell_complete=complete_name)
@click.argument("photos", metavar="PHOTO…", nargs=-1, type=PICTURES)
@click.option(
    "--from",
    "source",
    metavar="DIR|CSV",
    type=click.Path(exists=True, path_type=Path),
    help="Enroll many people: DIR/name/*.jpg and DIR/name.jpg, or a table name,path[,external_id].",
)
@click.option(
    "--from-cluster",
    "number",
    type=Whole(min=1),
    metavar="ID",
    help="Enroll NAME from the best faces of a cluster. ID is its number in facecli cluster.",
)
@click.option("--dry-run", is_flag=True, help="Show the result for each photo; enroll nobody.")
@click.option(
    "--largest",
    is_flag=True,
    help="If a photo shows several faces, use the main one: large, central and whole.",
)
@click.option(
    "--allow-look-alike",
    is_flag=True,
    help="Accept a face that looks like another person, such as a twin.",
)
@click.option("--external-id", metavar="ID", help="The person's key in another system.")
@library_option
@command_options
@pass_settings
@click.pass_context
def enroll(
    ctx: click.Context,
    settings: Settings,
    name: str | None,
    photos: tuple[Path, ...],
    source: Path | None,
    number: int | None,
    dry_run: bool,
    largest: bool,
    allow_look_alike: bool,
    external_id: str | None,
) -> None:
    """Enroll people from one or more photos each.

    \b
    facecli enroll "Ada Lovelace" ada.jpg
    facecli enroll --from people/ --dry-run
    facecli enroll --from-cluster 3 "Ada Lovelace"

    A photo is refused if it cannot be read, if it shows no face or several faces, if the face is
    too small, blurred, dark or turned away, or if the face looks like another person. All other
    photos are stored in one transaction. The photo library remembers where the faces are, so that
    the run after a dry run searches no photo again. Exit codes: 0 if every photo was accepted or is
    already stored, 1 if some were refused, 2 if nothing could be enrolled.
    """  # noqa: D301 (Click keeps the lines of a paragraph that begins with a backspace)
    if number is not None and largest:
        raise click.UsageError("--from-cluster takes no --largest: its faces are chosen already.")
    requests = _requests(name, photos, source, external_id, cluster=number is not None)
    # The library is opened first: without it, no gallery must be created.
    library = settings.library(create=False) if number is not None else None
    recognizer = settings.recognizer(remembering=True)
    recognizer.prepare(dry_run=dry_run)
    if library is not None and number is not None:
        examined = _from_cluster(
            recognizer, library, number, name or "", external_id, dry_run=dry_run
        )
    else:
        examined = recognizer.examine(
            requests,
            largest=largest,
            follow=lambda found: progress(found, len(requests), "Looking at photos"),
        )
    outcomes = recognizer.admit(examined, allow_look_alikes=allow_look_alike, dry_run=dry_run)
    _show_outcomes(outcomes, dry_run=dry_run)
    refused = _show_summary(outcomes, settings, dry_run=dry_run)
    _advise(outcomes)
    ctx.exit(0 if not refused else 1 if refused < len(outcomes) else 2)


def _from_cluster(
    recognizer: Recognizer,
    library: Library,
    number: int,
    name: str,
    external_id: str | None,
    *,
    dry_run: bool,
) -> Iterable[PhotoOutcome]:
    """Return the faces of a cluster that are good enough to enroll."""
    from facecli.albums.from_cluster import faces_to_enroll
    from facecli.stores.library.clusters import AlbumStore

    with recognizer.open_to_store(dry_run=dry_run) as gallery:
        return faces_to_enroll(
            number,
            name,
            store=AlbumStore(library),
            gallery=gallery,
            card=recognizer.card,
            detector=recognizer.networks.detector.version,
            external_id=external_id,
        )


def _requests(
    name: str | None,
    photos: tuple[Path, ...],
    source: Path | None,
    external_id: str | None,
    *,
    cluster: bool,
) -> Sequence[EnrollmentRequest | Failure]:
    """Return the photos to enroll; raise UsageError for a wrong combination of arguments.

    The result is empty for `cluster`, since its faces come from the library.
    """
    from facecli.errors import FacecliError
    from facecli.recognition.roster import named_photos
    from facecli.recognition.roster_files import read_source

    if cluster:
        if name is None or photos or source is not None:
            raise click.UsageError("--from-cluster takes NAME, and no photos.")
        return ()
    if source is not None:
        if name is not None or external_id is not None:
            raise click.UsageError("--from takes neither NAME and PHOTO nor --external-id.")
        return read_source(source, note)
    if name is None or not photos:
        raise click.UsageError("Give NAME and PHOTO…, or --from DIR|CSV.")
    requests = named_photos(name, pictures_in(photos), external_id)
    if not requests:
        raise FacecliError(f"{photos[0]}: no pictures in this folder")
    return requests


def _show_outcomes(outcomes: Sequence[PhotoOutcome], *, dry_run: bool) -> None:
    for outcome in outcomes:
        emit(records.enrollment(outcome, dry_run=dry_run), "")
    if not wants_json():
        header = ("outcome", "person", "photo", "why")
        rows = [
            (one.outcome, one.person, one.source, "; ".join((*one.reasons, *one.warnings)))
            for one in outcomes
        ]
        answer(table(header, rows))


def _show_summary(outcomes: Sequence[PhotoOutcome], settings: Settings, *, dry_run: bool) -> int:
    """Show how many photos became what, which adds up to those given; return how many refused."""
    record = records.enrollment_summary(outcomes, dry_run=dry_run, gallery=settings.database)
    who = counted(record["people"], "person", "people")
    would = "would be " if dry_run else ""
    photos = counted(record["photos"], "photo")
    counts = [
        f"{record['accepted']} of {photos} {would}enrolled, {who}",
        *(
            f"{record[count]} {what}"  # type: ignore[literal-required]
            for count, what in SUMMED.items()
            if record[count]  # type: ignore[literal-required]
        ),
    ]
    paint = bad if record["refused"] else good
    emit(record, f"{paint(', '.join(counts))}: {shown(settings.database)}")
    return record["refused"]


def _advise(outcomes: Sequence[PhotoOutcome]) -> None:
    """Say on stderr what can be done about look-alikes, and which external ids are not stored."""
    from facecli.recognition.screening import Outcome

    if any(one.outcome is Outcome.LOOK_ALIKE for one in outcomes):
        note(LOOK_ALIKES)
    kept = {name_key(one.person) for one in outcomes if not one.outcome.refused}
    lost = {
        one.external_id: one.person
        for one in outcomes
        if one.external_id is not None and name_key(one.person) not in kept
    }
    for external_id, person in lost.items():
        warn(f"external id {external_id} is not stored: no photo of {person} was accepted")
