"""`facecli verify`: two photos, or a photo and an enrolled person, compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli import records
from facecli.cli.options import Settings, command_options, pass_settings
from facecli.cli.output import bad, counted, emit, good, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from facecli.calibration import Odds
    from facecli.calibration.operating import OperatingPoint
    from facecli.calibration.verifier import Judgement
    from facecli.recognition.verify import Sample, Side, Verdict

PERSON = "person:"
"""Marks a side that is an enrolled person; a file so named is written ./person:…"""


@click.command()
@click.argument("a", metavar="PHOTO|person:NAME")
@click.argument("b", metavar="PHOTO|person:NAME")
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
    photo shows several faces, the largest counts. Exit codes: 0 for the same person, 1 for
    different people, 2 for an error, such as a photo without a face.
    """
    from facecli.calibration.verifier import PRIOR, load_verifier
    from facecli.recognition.verify import verify as compare

    card = settings.card()
    point = settings.operating_point(card)
    unit = None if verifier_file is None else load_verifier(verifier_file, card)
    left, right = _samples(settings, (a, b))
    verdict = compare(left, right, threshold=point.threshold)
    odds = point.odds(verdict.squared_l2, templates=len(left.embeddings) * len(right.embeddings))
    judged = None if unit is None else unit.judge(left.embeddings, right.embeddings)
    same = judged.same if judged else verdict.same
    record = records.verification(verdict, card, point, odds) | {"same": same}
    record["verifier"] = judged and {
        "path": verifier_file,
        "probability": judged.probability,
        "needed": judged.needed,
        "prior": PRIOR,
    }
    emit(record, "\n".join([*_answered(verdict, point, judged), *_details(verdict, odds)]))
    ctx.exit(0 if same else 1)


def _samples(settings: Settings, texts: Sequence[str]) -> list[Sample]:
    """Return both sides; the networks are loaded only if there is a photo."""
    from facecli.faces.acquisition import acquire
    from facecli.faces.embedding import embed_pictures
    from facecli.recognition.verify import person_sample, photo_sample

    names = {text: text.removeprefix(PERSON) for text in texts if text.startswith(PERSON)}
    samples: dict[str, Sample] = {}
    if names:
        gallery = settings.gallery()
        people = {text: gallery.person(name) for text, name in names.items()}
        matrix = gallery.matrix(settings.card().fingerprint)
        samples = {text: person_sample(person, matrix) for text, person in people.items()}
    photos = [text for text in texts if text not in names]
    if photos:
        encoder = settings.encoder()
        acquired = acquire(map(Path, photos), settings.detector(), encoder.card.geometry)
        pictures = embed_pictures(acquired, encoder, largest_only=False)
        samples |= zip(photos, map(photo_sample, pictures), strict=True)
    return [samples[text] for text in texts]


def _answered(verdict: Verdict, point: OperatingPoint, judged: Judgement | None) -> Iterator[str]:
    """Yield the answer, and what it rests on."""
    same = judged.same if judged else verdict.same
    answer = good("same person") if same else bad("different people")
    measured = f"squared L2 {verdict.squared_l2:.3f} {point.limit}"
    if judged is None:
        yield f"{answer}: {measured}"
        return
    prior = "if half of the pairs compared are of one person"
    yield f"{answer}: probability {judged.probability:.3f}, {judged.needed:.3f} needed, {prior}"
    yield measured


def _details(verdict: Verdict, odds: Odds | None) -> Iterator[str]:
    """Yield how rare this is among strangers, then what was compared."""
    from facecli.calibration import sentence

    if odds is not None:
        yield sentence(odds)
    width = max(len(shown(side.source)) for side in verdict.sides)
    for side in verdict.sides:
        yield f"  {shown(side.source):<{width}}  {_taken(side)}"


def _taken(side: Side) -> str:
    """Say what was compared of a side."""
    if side.box is None:
        return "enrolled, " + counted(side.templates or 0, "template")
    box = ", ".join(f"{value:.0f}" for value in side.box)
    return "; ".join([f"face at {box}", *map(shown, side.notes)])
