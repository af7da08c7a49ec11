"""`facecli cluster photos`: sort the faces in photos into people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.annotating import Annotating, annotate_option, marks_of_clusters
from facecli.cli.cluster.pages import contact_sheet, sort_faces
from facecli.cli.cluster.sidecars import write_names
from facecli.cli.options import PICTURES, Whole, cluster_count, command_options, library_options
from facecli.cli.output import (
    answer,
    counted,
    emit,
    note,
    progress,
    shown,
    strong,
    table,
    wants_json,
    warn,
)
from facecli.cli.reports import publish_html, sheet_option
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError
from facecli.faces.tables import table_text
from facecli.records import albums as records

if TYPE_CHECKING:
    from facecli.albums.grouping import Grouping
    from facecli.types import ModelCard

SHOWN_PHOTOS = 3
SHOWN_ONCE = 20
BOX = ("left", "top", "right", "bottom")
COLUMNS = ("path", "face", *BOX, "confidence", "cluster", "cluster_size", "squared_l2", "name")


class Photos(click.Command):
    """The command `photos`, which may be mistaken for a folder with that name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; if there is no folder, explain how to name one called photos."""
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            text = f"{error.format_message()} A folder called photos is written ./photos."
            raise click.UsageError(text, ctx) from error


@click.command(cls=Photos)
@click.argument("paths", metavar="DIR|PHOTO…", nargs=-1, required=True, type=PICTURES)
@cluster_count
@click.option(
    "--min-photos",
    type=Whole(min=1),
    default=2,
    show_default=True,
    metavar="N",
    help="People without a name who are in fewer photos are listed separately.",
)
@click.option(
    "--export",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a folder for each person, with links to the photos.",
)
@click.option(
    "--copy", "copies", is_flag=True, help="Export copies of the photos instead of links."
)
@click.option(
    "--dry-run", is_flag=True, help="Show what --export and --xmp would write; write nothing."
)
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, one line per face.")
@click.option("--xmp", is_flag=True, help="Write the names and positions of faces to XMP sidecars.")
@click.option(
    "--from-xmp", "from_sidecars", is_flag=True, help="Read the names of faces from XMP sidecars."
)
@annotate_option
@sheet_option
@library_options
@command_options
@pass_settings
@click.pass_context
def photos(
    ctx: click.Context,
    settings: Settings,
    paths: tuple[Path, ...],
    k: int | None,
    min_photos: int,
    folder: Path | None,
    copies: bool,
    dry_run: bool,
    as_csv: bool,
    xmp: bool,
    from_sidecars: bool,
    annotate: Path | None,
    report: Path | None,
) -> None:
    """Sort the faces in photos into people.

    "facecli cluster DIR" does the same as "facecli cluster photos DIR".

    Two faces in one photo are never the same person. Without --k, the threshold decides how many
    people there are. The more faces there are, the smaller the threshold that is used, unless you
    give --threshold. Clusters near an enrolled person get that person's name. An XMP sidecar
    (photo.jpg.xmp) keeps what other programs wrote into it. If a photo cannot be read or a sidecar
    cannot be written, the other photos are still sorted, and the exit code is 2.
    """
    if as_csv and settings.json:
        raise click.UsageError("--csv and --json exclude each other.")
    if folder is None and (copies or (dry_run and not xmp)):
        raise click.UsageError("--copy needs --export, and --dry-run needs --export or --xmp.")
    if dry_run and (annotate is not None or report is not None):
        raise click.UsageError("--dry-run writes nothing: it excludes --annotate and --report.")
    if folder is not None:
        _check_export(folder, paths)
    annotating = Annotating(annotate, paths)
    found = sort_faces(settings, paths, k=k, min_photos=min_photos, from_sidecars=from_sidecars)
    pictures, grouping = found.pictures, found.grouping
    _show(grouping, settings.card(), as_csv=as_csv)
    if folder is not None:
        _export(grouping, folder, copies=copies, dry_run=dry_run, as_csv=as_csv)
    if report is not None:
        publish_html(contact_sheet(settings, grouping, pictures), report)
    if annotate is not None:
        drawn = marks_of_clusters(grouping)
        for photo, marks in progress(drawn.items(), len(drawn), "Drawing"):
            annotating.write(Path(photo), marks)
    failed = write_names(grouping, pictures, dry_run=dry_run, as_csv=as_csv) if xmp else 0
    ctx.exit(2 if annotating.end() or grouping.failures or failed else 0)


def _check_export(folder: Path, paths: tuple[Path, ...]) -> None:
    """Raise FacecliError if the folder is no export, or if the next run would sort its photos."""
    from facecli.albums.export import check_folder

    for path in paths:
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise FacecliError(f"{folder}: lies in {path}, whose photos are sorted; choose another")
    check_folder(folder)


def _export(grouping: Grouping, folder: Path, *, copies: bool, dry_run: bool, as_csv: bool) -> None:
    """Write the links and report them. With CSV the report goes to stderr."""
    from facecli.albums.export import export

    try:
        made = export(grouping, folder, copies=copies, dry_run=dry_run)
    except OSError as error:  # the error of a full disk has no file name
        reason = error.strerror or error
        raise FacecliError(f"{error.filename or folder}: {reason}") from error
    words = ("link", "links") if made.linked else ("copy", "copies")
    text = f"{folder}: {counted(len(made.entries), *words)} {'to write' if dry_run else 'written'}"
    record = records.export(made, dry_run=dry_run)
    lines = [*(f"  {entry}" for entry in made.entries if dry_run), text]
    emit(record, "" if as_csv else "\n".join(map(shown, lines)))
    if as_csv:
        note(text)


def _show(grouping: Grouping, card: ModelCard, *, as_csv: bool) -> None:
    """Write faces and counts in the chosen form; report photos without a face on stderr."""
    from facecli.types import NO_FACE_FOUND

    for source in grouping.without_face:
        note(f"{source}: {NO_FACE_FOUND}")
    if grouping.overruled:
        corrections = counted(grouping.overruled, "correction")
        warn(f"{corrections} ignored because of newer ones: see facecli cluster log")
    for one in grouping.clusters:
        for face in one.faces:
            emit(records.clustered_face(one, face), "")
    if as_csv:
        answer(_csv(grouping), ends=False)
    elif not wants_json():
        answer(_table(grouping))
    summary = records.clustering(grouping, card)
    emit(summary, "" if as_csv else _summarised(grouping))


def _csv(grouping: Grouping) -> str:
    """Return CSV: a header and one line per face."""
    rows = []
    for one in grouping.clusters:
        for face in one.faces:
            box = [round(value, 1) for value in face.box]
            place = (f"{face.confidence:.4f}", one.number, len(one.faces))
            last = (f"{face.squared_l2:.4f}", one.name or "")
            rows.append((face.source, face.face, *box, *place, *last))
    return table_text(COLUMNS, rows)


def _table(grouping: Grouping) -> str:
    """Return a table of the people, with the most typical photos of each."""
    rows = []
    for one in grouping.people:
        sources = list(dict.fromkeys(face.source for face in one.faces))
        more = ", …" if len(sources) > SHOWN_PHOTOS else ""
        photos = ", ".join(sources[:SHOWN_PHOTOS]) + more
        rows.append((one.number, one.name or "", len(one.faces), photos))
    what = counted_thing(grouping) + "s"
    return table(("cluster", "name", what, "photos, the most typical first"), rows)


def counted_thing(grouping: Grouping) -> str:
    """Return the noun for what was sorted."""
    from facecli.types import Subject

    return "picture" if grouping.subject is Subject.PICTURE else "face"


def _summarised(grouping: Grouping) -> str:
    few = grouping.min_photos
    rare = "seen once" if few == 2 else f"in fewer than {counted(few, 'photo')}"
    lines = []
    if grouping.seen_once:
        lines = [strong(rare)]
        listed = grouping.seen_once[:SHOWN_ONCE]
        lines += [f"  {face.cluster}: {shown(face.source)}" for face in listed]
        if (more := len(grouping.seen_once) - len(listed)) > 0:
            lines.append(f"  and {more} more, whom --csv and --report list")
    thing = counted_thing(grouping)
    faces = counted(sum(len(one.faces) for one in grouping.clusters), thing)
    photos = counted(grouping.photos, "photo")
    kinds = ("person", "people") if thing == "face" else ("cluster", "clusters")
    people = counted(len(grouping.people), *kinds)
    weak = sum(face.weak for face in grouping.seen_once)
    poor = f", {weak} of them too poor to tell" if weak else ""
    rest = {"without a face": len(grouping.without_face), "not readable": len(grouping.failures)}
    failed = "".join(f", {count} {what}" for what, count in rest.items() if count)
    lines.append(
        f"{faces} in {photos}{failed}: {people}, "
        f"{len(grouping.seen_once)} {rare}{poor} (threshold {grouping.threshold:.4g} squared L2)"
    )
    return "\n".join(lines)
