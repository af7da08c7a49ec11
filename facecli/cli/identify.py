"""`facecli identify`: find enrolled people in photos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.annotating import Annotating, annotate_option, by_photo, marks_of_answers
from facecli.cli.gate import gate_options, stand_at_gate
from facecli.cli.options import (
    MAX_SQUARED_L2,
    PICTURES,
    Option,
    Range,
    Whole,
    command_options,
    is_given,
)
from facecli.cli.output import bad, counted, detail, doubtful, emit, good, note, progress, shown
from facecli.cli.samples import pictures_in
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError, PictureError
from facecli.records import recognition as records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from facecli.calibration.operating import OperatingPoint
    from facecli.cli.output import Item
    from facecli.faces.opened import OpenedPicture
    from facecli.recognition.identify import Identification
    from facecli.recognition.networks import Faces
    from facecli.types import ModelCard

STDIN = Path("-")
PAINT: dict[str, Callable[[str], str]] = {
    "match": good,
    "unknown": bad,
    "ambiguous": doubtful,
    "no face": doubtful,
    "error": bad,
}


@click.command()
@click.argument("paths", metavar="PHOTO|DIR|-…", nargs=-1, type=PICTURES)
@click.option(
    "-k",
    type=Whole(min=1),
    metavar="N",
    help="List the N nearest people for each face. JSON lists three by default.",
)
@click.option(
    "--gap",
    type=Range(0.0, MAX_SQUARED_L2),
    metavar="0..4",
    help="Smallest difference in squared L2 between two people that can be told apart.",
    show_default="5 % of the threshold",
    cls=Option,
)
@click.option(
    "--faces",
    type=click.Choice(["all", "largest"]),
    default="all",
    show_default=True,
    help="Which faces of a photo to identify: all, or the main one (large, central and whole).",
)
@annotate_option
@gate_options
@command_options
@pass_settings
@click.pass_context
def identify(
    ctx: click.Context,
    settings: Settings,
    /,
    paths: tuple[Path, ...],
    k: int | None,
    gap: float | None,
    faces: Faces,
    source: str | None,
    annotate: Path | None,
    **at_gate: Any,
) -> None:
    """Find enrolled people in photos or in a video stream.

    Each face is a match, unknown, or ambiguous (two people are too close to tell apart). A person
    is named at most once per photo. "-" reads a picture from stdin. Exit codes: 0 if every face is
    a match, 1 if some are not or a photo has no face, 2 if a photo could not be read or for
    another error.

    With --source it works as a gate: it follows faces from frame to frame and makes one decision
    for each appearance. It prints each decision (as text on a terminal, else as a JSON line) and
    logs it. It runs until the source ends or Ctrl-C, and then exits with 0. Of a video file,
    --annotate writes a video (.mp4).
    """
    _check_usage(ctx, paths, source, at_gate)
    if source is not None:
        stand_at_gate(settings, source=source, gap=gap, k=k, annotate=annotate, **at_gate)
        return
    from facecli.recognition.identify import CANDIDATES

    annotating = Annotating(annotate, paths)
    sources = _sources(paths)
    recognizer = settings.recognizer()
    snapshot = recognizer.snapshot()
    people, point = snapshot.known, snapshot.point
    if not people.templates:
        note("nobody is enrolled: everyone will be unknown")
    pictures = recognizer.embed(
        sources, faces=faces, follow=lambda found: _followed(found, len(sources))
    )
    answers = recognizer.answers(pictures, snapshot, k=k or CANDIDATES, gap=gap)
    code = 0
    for photo, of_photo in zip(sources, by_photo(answers), strict=True):
        for answer in of_photo:
            _show(answer, point, recognizer.card, enrolled=people.people, listed=k is not None)
            code = max(code, {"match": 0, "error": 2}.get(answer.status, 1))
        if of_photo[0].status != "error":
            annotating.write(photo, marks_of_answers(of_photo))
    ctx.exit(max(code, annotating.end()))


def _followed(found: Iterable[Item], count: int) -> Iterable[Item]:
    """Show progress on stderr, unless the answers appear on a terminal."""
    return found if sys.stdout.isatty() else progress(found, count, "Identifying")


def _check_usage(
    ctx: click.Context, paths: tuple[Path, ...], source: str | None, at_gate: dict[str, Any]
) -> None:
    """Refuse options that would have no effect."""
    if source is None and not paths:
        ctx.fail("Missing argument 'PHOTO|DIR|-…', or --source.")
    if source is not None and (paths or is_given(ctx, "faces")):
        ctx.fail("--source cannot be used with photos or --faces.")
    others = [name for name in at_gate if is_given(ctx, name)]
    if source is None and others:
        ctx.fail(f"--{others[0].replace('_', '-')} needs --source.")


def _sources(paths: tuple[Path, ...]) -> list[Path | OpenedPicture]:
    """Return the pictures at the paths; raise FacecliError if the folders have none."""
    sources: list[Path | OpenedPicture] = []
    for path in paths:
        if path == STDIN:
            sources.append(_from_stdin())
        else:
            sources.extend(pictures_in([path]))
    if not sources:
        raise FacecliError(f"{paths[0]}: no pictures in this folder")
    return sources


def _from_stdin() -> OpenedPicture:
    """Read one picture from stdin; raise PictureError if it is larger than a file may be."""
    from facecli.faces.images import MAX_FILE_BYTES, EncodedPicture
    from facecli.faces.opened import opened

    data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise PictureError(f"stdin: is larger than {MAX_FILE_BYTES // 2**20} MiB")
    return opened(EncodedPicture(data, "stdin"))


def _show(
    answer: Identification,
    point: OperatingPoint,
    card: ModelCard,
    *,
    enrolled: int,
    listed: bool,
) -> None:
    """Write an answer, with how many strangers come as close to an enrolled person."""
    from facecli.calibration import sentence

    lines = _described(answer, point, listed=listed)
    if answer.odds is not None:
        lines.insert(1, f"{'':11}{sentence(answer.odds, enrolled=enrolled)}")
    if not answer.face:
        lines += [f"{'':11}{shown(text)}" for text in answer.notes]
    emit(records.identification(answer, card, point), "\n".join(lines))
    detail(f"{answer.source}: {answer.reason}")


def _described(answer: Identification, point: OperatingPoint, *, listed: bool) -> list[str]:
    """Return a line with who the face is and, with `listed`, one for each candidate."""
    status = PAINT[answer.status](f"{answer.status:<9}")
    where = shown(answer.source)
    if answer.face is not None and answer.faces > 1:
        where += f" face {answer.face + 1} of {answer.faces}"
    lines = [f"{status}  {where}: {_who(answer, point)}"]
    if listed:
        lines += [
            f"{'':11}{shown(one.name)}, squared L2 {one.squared_l2:.3f}, "
            + counted(one.votes, "vote")
            for one in answer.candidates
        ]
    return lines


def _who(answer: Identification, point: OperatingPoint) -> str:
    if answer.person is not None:
        return f"{shown(answer.person)}, squared L2 {answer.squared_l2:.3f} {point.limit}"
    if answer.face is None:
        return shown(answer.reason)
    if not answer.candidates:
        return "nobody is enrolled"
    nearest = answer.candidates[0]
    text = f"nearest {shown(nearest.name)}, squared L2 {nearest.squared_l2:.3f} {point.limit}"
    return text if nearest.squared_l2 > point.threshold else f"{text}; {shown(answer.reason)}"
