"""`facecli calibrate`: set the threshold that verify and identify use, from data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import NETWORKS, Range, library_options, options_for, refuse_with
from facecli.cli.output import confirmed, counted, emit, emit_all, shown, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import CalibrationError, FacecliError
from facecli.records import calibration as records

if TYPE_CHECKING:
    import numpy.typing as npt

    from facecli.types import Calibration, FloatArray, ModelCard

GALLERY = "gallery"
LOOKING = ("library_path", "workers", "device", "detector_name", "precision")
"""Options that count only where photos are looked at."""

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
@click.option(
    "--force",
    is_flag=True,
    help="Store a threshold at which too many strangers are like somebody enrolled.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@library_options
@options_for(*NETWORKS)
@pass_settings
@click.pass_context
def calibrate(
    ctx: click.Context,
    settings: Settings,
    far: float,
    source: str,
    show: bool,
    clear: bool,
    force: bool,
    yes: bool,
) -> None:
    """Set the threshold from your own photos, for a false match rate.

    All people are compared with each other. The new threshold is the largest squared L2 at which
    no more than RATE of the impostor pairs match. It is stored in the gallery for the model in
    use, and all commands obey it until you clear it. --threshold overrides it. A rate is refused
    if there are too few photos to measure it. It is also refused if more than one stranger in ten
    would be like somebody among the N templates enrolled, at a rate of 1 - (1 - RATE)^N, unless
    --force is given. Exit codes: 2 if a photo could not be read; the others are used.
    """
    if show and clear:
        raise click.UsageError("--show and --clear exclude each other.")
    if show or clear:
        refuse_with(
            ctx, "--show" if show else "--clear", "far", "source", "force", *LOOKING, "model"
        )
    elif source == GALLERY:
        refuse_with(ctx, "--from gallery", *LOOKING)
    if yes and not clear:
        raise click.UsageError("--yes is for --clear.")
    if show:
        _show(settings)
    elif clear:
        _clear(settings, yes=yes)
    else:
        _calibrate(settings, far, source, force=force)


def _calibrate(settings: Settings, far: float, source: str, *, force: bool) -> None:
    from facecli.calibration.threshold import calibrated_threshold

    card = settings.card()
    templates = _templates(settings, card)
    _check_use(far, templates, force=force)
    embeddings, people, name, unreadable = _data(settings, source)
    made = calibrated_threshold(embeddings, people, far=far, card=card, source=name)
    settings.gallery(create=True).set_calibration(made)
    text = "\n".join([*_described(made), *_identification(templates, far)])
    emit(records.calibration(made), text)
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


def _templates(settings: Settings, card: ModelCard) -> int:
    """Count the templates of a model in the gallery, 0 if there is none."""
    if not settings.has_gallery():
        return 0
    enrolled = {one.fingerprint: one.templates for one in settings.gallery().models()}
    return enrolled.get(card.fingerprint, 0)


def _check_use(far: float, templates: int, *, force: bool) -> None:
    """Refuse a rate that a gallery of this size cannot use; with `force`, only warn."""
    from facecli.calibration.threshold import too_many_taken

    reason = too_many_taken(far, templates)
    if reason and not force:
        raise CalibrationError(f"{reason}; --force stores it all the same")
    if reason:
        warn(reason)


def _identification(templates: int, far: float) -> list[str]:
    """Return a line with what the rate means for the templates enrolled, if there are any."""
    from facecli.calibration.threshold import strangers_taken

    if not templates:
        return []
    share = strangers_taken(far, templates)
    who = counted(templates, "template")
    return [f"  a stranger matches one of the {who} enrolled at a rate of {share:.2g}"]
