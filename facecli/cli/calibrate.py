"""`facecli calibrate`: set the threshold that verify and identify use, from data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import Range, command_options, library_options
from facecli.cli.output import confirmed, counted, emit, emit_all, shown
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError
from facecli.records import calibration as records

if TYPE_CHECKING:
    import numpy.typing as npt

    from facecli.types import Calibration, FloatArray

GALLERY = "gallery"
MAX_FAR = 0.1
"""The highest rate accepted: a higher one would let in more than one stranger of ten."""


@click.command()
@click.option(
    "--far",
    type=Range(0.0, MAX_FAR, min_open=True),
    default=1e-4,
    show_default=True,
    metavar="RATE",
    help="The highest false match rate to allow.",
)
@click.option(
    "--from",
    "source",
    metavar="DIR|gallery",
    default=GALLERY,
    show_default=True,
    help="A folder of people, or 'gallery' for all enrolled people.",
)
@click.option("--show", is_flag=True, help="Show the calibrations; change nothing.")
@click.option(
    "--clear",
    is_flag=True,
    help="Remove the calibrations: each model's own threshold counts again.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@library_options
@command_options
@pass_settings
def calibrate(
    settings: Settings,
    far: float,
    source: str,
    show: bool,
    clear: bool,
    yes: bool,
) -> None:
    """Set the threshold from your own photos, for a false match rate.

    All people are compared with each other. The new threshold is the largest squared L2 at which
    no more than RATE of the impostor pairs match. It is stored in the gallery for the model in
    use, and all commands obey it until you clear it. --threshold overrides it. A rate is refused
    if there are too few photos to measure it. Exit codes: 2 if a photo could not be read; the
    others are used.
    """
    if show and clear:
        raise click.UsageError("--show and --clear exclude each other.")
    if show:
        _show(settings)
    elif clear:
        _clear(settings, yes=yes)
    else:
        _calibrate(settings, far, source)


def _calibrate(settings: Settings, far: float, source: str) -> None:
    from facecli.calibration.threshold import calibrated_threshold

    card = settings.card()
    embeddings, people, text, unreadable = _data(settings, source)
    made = calibrated_threshold(embeddings, people, far=far, card=card, source=text)
    settings.gallery(create=True).set_calibration(made)
    emit(
        records.calibration(made), "\n".join([*_described(made), *_identification(settings, made)])
    )
    if unreadable:
        click.get_current_context().exit(2)


def _data(settings: Settings, source: str) -> tuple[FloatArray, npt.ArrayLike, str, int]:
    """Return embeddings, the person of each, the source's name, and how many were unreadable."""
    if source == GALLERY:
        matrix = settings.gallery().matrix(settings.card())
        everyone = counted(len(matrix.names), "person", "people")
        return matrix.embeddings, matrix.person_ids, f"the gallery's {everyone}", 0
    from facecli.cli.samples import read_samples

    samples = read_samples(settings, Path(source))
    return samples.embeddings, list(samples.people), source, samples.unreadable


def _show(settings: Settings) -> None:
    found = settings.gallery().calibrations()
    texts = ["\n".join(_described(one)) for one in found]
    nothing = "Nothing is calibrated: each model's own threshold counts."
    emit_all([records.calibration(one) for one in found], "\n".join(texts) or nothing)


def _clear(settings: Settings, *, yes: bool) -> None:
    """Clear the calibrations after asking; raise FacecliError if the answer is no."""
    gallery = settings.gallery()
    if not yes and not confirmed("Go back to the models' own thresholds?"):
        raise FacecliError("nothing was cleared: the answer was no")
    cleared = gallery.clear_calibrations()
    emit(records.calibration_cleared(cleared), f"{counted(cleared, 'calibration')} cleared")


def _described(made: Calibration) -> list[str]:
    """Return lines with the threshold, the data it comes from, and its error rates."""
    from facecli.calibration.operating import described

    lines = [
        f"{shown(made.model)}: threshold {made.threshold:.4f} squared L2, {described(made)}",
        f"  from {shown(made.source)}: {made.impostor_pairs:,} pairs of strangers among "
        f"{made.people:,} people",
        f"  FMR among other people: 95 % interval {made.far_low:.2g} to {made.far_high:.2g}",
    ]
    if made.fnmr is None:
        lines.append("  FNMR not known: nobody has two photos")
    else:
        lines.append(f"  FNMR {made.fnmr:.4f} of {made.genuine_pairs:,} pairs of one person")
    return lines


def _identification(settings: Settings, made: Calibration) -> list[str]:
    """Return a line with what the rate means for N enrolled templates: 1 - (1 - FMR)^N.

    Measured on LFW's development people (1,711 people, 2,761 templates) with the start weights of
    facecli-128: at an FMR of 1e-4, 21 % of the photos had another person's template within the
    threshold, and the formula gives 24 %; at 3.2e-5 these were 7.8 % and 8.4 %.
    """
    enrolled = {one.fingerprint: one.templates for one in settings.gallery().models()}
    if not (templates := enrolled.get(made.fingerprint, 0)):
        return []
    share = 1 - (1 - made.far) ** templates
    who = counted(templates, "template")
    return [f"  a stranger matches one of the {who} enrolled at a rate of {share:.2g}"]
