"""`facecli cluster`: the faces of a folder sorted into people, without knowing anyone."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import Settings, command_options, pass_settings
from facecli.cli.output import counted, emit, note, progress, shown, strong, table, wants_json, warn
from facecli.errors import FacecliError

if TYPE_CHECKING:
    from facecli.recognition.cluster import ClusteredFace, Grouping
    from facecli.types import ModelCard

SHOWN_PHOTOS = 3
BOX = ("left", "top", "right", "bottom")
COLUMNS = ("path", "face", *BOX, "confidence", "cluster", "cluster_size", "squared_l2")


@click.command()
@click.argument(
    "paths", metavar="DIR|PHOTO…", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--k", "k", type=click.IntRange(min=1), metavar="N", help="Make N clusters; else automatic."
)
@click.option(
    "--export",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a folder of links to the photos for each person.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, a line a face.")
@command_options
@pass_settings
@click.pass_context
def cluster(
    ctx: click.Context,
    settings: Settings,
    paths: tuple[Path, ...],
    k: int | None,
    folder: Path | None,
    as_csv: bool,
) -> None:
    """Sort the faces of a folder into people.

    Faces of one photo are never the same person. Without --k the model's threshold decides how
    many people there are. Exits with 2 if a photo could not be read; the others are sorted all the
    same.
    """
    from facecli.images import find_pictures
    from facecli.recognition.acquisition import acquire
    from facecli.recognition.cluster import group
    from facecli.recognition.embedding import embed_pictures

    if as_csv and settings.json:
        raise click.UsageError("--csv and --json exclude each other.")
    if folder is not None:
        _check_export(folder, paths)
    found = find_pictures(paths)
    if not found:
        raise FacecliError(f"{paths[0]}: no pictures in this folder")
    encoder = settings.encoder()
    acquired = acquire(found, settings.detector(), encoder.card.geometry)
    watched = progress(acquired, len(found), "Looking at photos")
    pictures = embed_pictures(watched, encoder, largest_only=False)
    threshold = settings.threshold_for(encoder.card)
    grouping = group(pictures, threshold=threshold, k=k)
    _show(grouping, encoder.card, threshold, as_csv=as_csv)
    if folder is not None:
        _export(grouping, folder, as_csv=as_csv)
    ctx.exit(2 if grouping.failures else 0)


def _check_export(folder: Path, paths: tuple[Path, ...]) -> None:
    """Raise FacecliError for a folder that is not an export's, or that the next run would sort."""
    from facecli.recognition.export import check_folder

    for path in paths:
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise FacecliError(f"{folder}: lies in {path}, whose photos are sorted; choose another")
    check_folder(folder)


def _export(grouping: Grouping, folder: Path, *, as_csv: bool) -> None:
    """Write the links and say so, beside the CSV and not in it."""
    from facecli.recognition.export import export

    made = export(grouping, folder)
    words = ("link", "links") if made.linked else ("copy", "copies")
    text = f"{folder}: {counted(len(made.entries), *words)} written"
    record = {"kind": "export", "folder": folder, "entries": made.entries, "linked": made.linked}
    emit(record, "" if as_csv else shown(text))
    if as_csv:
        note(text)


def _show(grouping: Grouping, card: ModelCard, threshold: float, *, as_csv: bool) -> None:
    """Write faces and counts in the form asked for; say on stderr which photos gave nothing."""
    for failure in grouping.failures:
        warn(f"{failure.source}: {failure.reason}")
    for source in grouping.without_face:
        note(f"{source}: no face found")
    for faces in grouping.clusters:
        for face in faces:
            emit({"kind": "clustered_face", **_record(face), "cluster_size": len(faces)}, "")
    if as_csv:
        click.echo(_csv(grouping), nl=False)
    elif not wants_json():
        click.echo(_table(grouping))
    summary = {
        "kind": "clustering",
        "photos": grouping.photos,
        "faces": sum(map(len, grouping.clusters)),
        "people": len(grouping.people),
        "seen_once": len(grouping.seen_once),
        "without_face": grouping.without_face,
        "unreadable": [dataclasses.asdict(failure) for failure in grouping.failures],
        "threshold": threshold,
        "model": card.name,
    }
    emit(summary, "" if as_csv else _summarised(grouping, threshold))


def _record(face: ClusteredFace) -> dict[str, object]:
    record = dataclasses.asdict(face)
    return {"path": record.pop("source"), **record}


def _csv(grouping: Grouping) -> str:
    """Return a header and a line a face, quoted where needed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for faces in grouping.clusters:
        for face in faces:
            box = [f"{value:.1f}" for value in face.box]
            place = (f"{face.confidence:.4f}", face.cluster, len(faces), f"{face.squared_l2:.4f}")
            writer.writerow((face.source, face.face, *box, *place))
    return text.getvalue()


def _table(grouping: Grouping) -> str:
    """Lay the people out, with the most typical photos of each."""
    rows = []
    for number, faces in enumerate(grouping.people, start=1):
        photos = [face.source for face in faces[:SHOWN_PHOTOS]]
        more = ", …" if len(faces) > SHOWN_PHOTOS else ""
        rows.append((number, len(faces), ", ".join(photos) + more))
    return table(("person", "faces", "photos, the most typical first"), rows)


def _summarised(grouping: Grouping, threshold: float) -> str:
    lines = []
    if grouping.seen_once:
        lines = [strong("seen once")]
        lines += [f"  {shown(face.source)}" for face in grouping.seen_once]
    faces = counted(sum(map(len, grouping.clusters)), "face")
    photos = counted(grouping.photos, "photo")
    people = counted(len(grouping.people), "person", "people")
    lines.append(
        f"{faces} in {photos}: {people}, "
        f"{len(grouping.seen_once)} seen once (threshold {threshold:.4g} squared L2)"
    )
    return "\n".join(lines)
