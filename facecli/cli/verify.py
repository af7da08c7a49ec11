"""`facecli verify`: two photos, or a photo and an enrolled person, compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.operating import operating_point
from facecli.cli.options import Settings, command_options, pass_settings
from facecli.cli.output import bad, counted, emit, good, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.calibration import Odds
    from facecli.cli.operating import OperatingPoint
    from facecli.recognition.verify import Sample, Side, Verdict
    from facecli.types import ModelCard

PERSON = "person:"
"""Marks a side that is an enrolled person; a file so named is written ./person:…"""


@click.command()
@click.argument("a", metavar="PHOTO|person:NAME")
@click.argument("b", metavar="PHOTO|person:NAME")
@command_options
@pass_settings
@click.pass_context
def verify(ctx: click.Context, settings: Settings, a: str, b: str) -> None:
    """Tell whether two photos show the same person.

    Either side may be an enrolled person instead, who is compared by the nearest of their
    templates. Of a photo of several faces the largest counts. Exits with 0 for the same person, 1
    for different people, 2 for an error such as a photo without a face.
    """
    from facecli.recognition.verify import verify as compare

    left, right = _samples(settings, (a, b))
    card = settings.card()
    point = operating_point(settings, card)
    verdict = compare(left, right, threshold=point.threshold)
    odds = point.odds(verdict.squared_l2, templates=len(left.embeddings) * len(right.embeddings))
    emit(_record(verdict, card) | point.record(odds), _described(verdict, point, odds))
    ctx.exit(0 if verdict.same else 1)


def _samples(settings: Settings, texts: Sequence[str]) -> list[Sample]:
    """Return both sides; the networks are loaded only if there is a photo."""
    from facecli.recognition.acquisition import acquire
    from facecli.recognition.embedding import embed_pictures
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


def _record(verdict: Verdict, card: ModelCard) -> dict[str, Any]:
    return {
        "kind": "verification",
        "same": verdict.same,
        "squared_l2": verdict.squared_l2,
        "threshold": verdict.threshold,
        "model": card.name,
        "fingerprint": card.fingerprint,
        "sides": [dataclasses.asdict(side) for side in verdict.sides],
    }


def _described(verdict: Verdict, point: OperatingPoint, odds: Odds | None) -> str:
    """Lay the verdict out: the answer, how rare that is, then what it was based on."""
    from facecli.calibration import sentence

    answer = good("same person") if verdict.same else bad("different people")
    lines = [f"{answer}: squared L2 {verdict.squared_l2:.3f} {point.limit}"]
    if odds is not None:
        lines.append(sentence(odds))
    width = max(len(shown(side.source)) for side in verdict.sides)
    lines += [f"  {shown(side.source):<{width}}  {_taken(side)}" for side in verdict.sides]
    return "\n".join(lines)


def _taken(side: Side) -> str:
    """Say what was compared of a side."""
    if side.box is None:
        return "enrolled, " + counted(side.templates or 0, "template")
    box = ", ".join(f"{value:.0f}" for value in side.box)
    return "; ".join([f"face at {box}", *map(shown, side.notes)])
