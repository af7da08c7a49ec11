"""`facecli verify`: compare two photos, or a photo and an enrolled person."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from facecli.cli.completion import complete_name
from facecli.cli.options import command_options, refuse_with
from facecli.cli.output import bad, counted, emit, good, shown
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import PictureError
from facecli.records import recognition as records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facecli.calibration.operating import OperatingPoint
    from facecli.calibration.verifier import Judgement
    from facecli.recognition.recognizer import Recognizer
    from facecli.recognition.verify import Enrolled, Side, Verdict

PERSON = "person:"
"""Marks a side that is an enrolled person. Write ./person:… for a file with such a name."""


def _complete_side(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return what begins a side of a comparison: `person:` and names, or files."""
    if not incomplete.startswith(PERSON):
        return [CompletionItem(incomplete, type="file")]
    found = complete_name(ctx, param, incomplete.removeprefix(PERSON))
    return [CompletionItem(PERSON + one.value) for one in found]


@click.command()
@click.argument("a", metavar="PHOTO|person:NAME", shell_complete=_complete_side)
@click.argument("b", metavar="PHOTO|person:NAME", shell_complete=_complete_side)
@click.option(
    "--verifier",
    "verifier_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Decide with a verifier made by train-verifier, and show a probability.",
)
@command_options
@pass_settings
@click.pass_context
def verify(
    ctx: click.Context, settings: Settings, a: str, b: str, verifier_file: Path | None
) -> None:
    """Check whether two photos show the same person.

    Each side is a photo or an enrolled person. For a person, the nearest template counts. If a
    photo shows several faces, the main one counts: large, central and whole. Exit codes: 0 for
    the same person, 1 for different people, 2 for an error, such as a photo without a face.
    """
    from facecli.calibration.verifier import PRIOR, load_verifier
    from facecli.recognition.verify import compare
    from facecli.types import Subject

    if verifier_file is not None:
        refuse_with(ctx, "--verifier, which has a limit of its own", "threshold")
    recognizer = settings.recognizer()
    point = recognizer.point()
    unit = None if verifier_file is None else load_verifier(verifier_file, recognizer.card)
    left, right = recognizer.samples([_side(text, recognizer) for text in (a, b)])
    verdict = compare(left, right, point)
    judged = None if unit is None else unit.judge(left.embeddings, right.embeddings)
    record = records.verification(verdict, recognizer.card, point)
    record = records.judged(record, judged, verifier_file, prior=PRIOR)
    of_faces = recognizer.card.subject is Subject.FACE
    lines = [*_answered(verdict, point, judged, of_faces), *_details(verdict, of_faces)]
    emit(record, "\n".join(lines))
    ctx.exit(0 if record["same"] else 1)


def _side(text: str, recognizer: Recognizer) -> Enrolled | Path:
    """Return the side that a text names: an enrolled person or a photo.

    Raises PictureError if there is no such file, but a person with nearly that name.
    """
    from facecli.faces.photo_files import PICTURE_EXTENSIONS
    from facecli.recognition.verify import Enrolled

    if text.startswith(PERSON):
        return Enrolled(text.removeprefix(PERSON))
    named_as_photo = Path(text).suffix.lower() in PICTURE_EXTENSIONS
    if not named_as_photo and not os.path.lexists(text) and recognizer.place.exists():
        from facecli.stores.names import closest, name_key

        names = {name_key(one.name): one.name for one in recognizer.people()}
        if (like := closest(text, names)) is not None:
            raise PictureError(f"{text}: no such file; did you mean {PERSON + like!r}?")
    return Path(text)


def _answered(
    verdict: Verdict, point: OperatingPoint, judged: Judgement | None, of_faces: bool
) -> Iterator[str]:
    """Yield the answer and the squared L2."""
    same = judged.same if judged else verdict.same
    answer = good("same person") if same else bad("different people")
    if not of_faces:
        answer = good("same") if same else bad("different")
    measured = f"squared L2 {verdict.squared_l2:.3f} {point.limit}"
    if judged is None:
        yield f"{answer}: {measured}"
        return
    prior = "if half of the pairs compared are of one person"
    yield f"{answer}: probability {judged.probability:.3f}, {judged.needed:.3f} needed, {prior}"
    yield measured


def _details(verdict: Verdict, of_faces: bool) -> Iterator[str]:
    """Yield how rare this is among strangers, then the two sides that were compared."""
    from facecli.calibration import sentence

    if verdict.odds is not None:
        yield sentence(verdict.odds)
    width = max(len(shown(side.source)) for side in verdict.sides)
    for side in verdict.sides:
        yield f"  {shown(side.source):<{width}}  {_taken(side, of_faces)}"


def _taken(side: Side, of_faces: bool) -> str:
    """Return what was compared on one side."""
    if side.box is None:
        return "enrolled, " + counted(side.templates or 0, "template")
    box = ", ".join(f"{value:.0f}" for value in side.box)
    taken = f"face at {box}" if of_faces else "the whole picture"
    return "; ".join([taken, *map(shown, side.notes)])
