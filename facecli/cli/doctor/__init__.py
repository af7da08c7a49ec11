"""`facecli doctor`: check the installation, the model and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecli.cli.lazy import LazyGroup
from facecli.cli.options import command_options, refuse_with
from facecli.cli.output import bad, counted, emit, good, shown
from facecli.cli.settings import Settings, pass_settings
from facecli.records import health as records

if TYPE_CHECKING:
    from facecli.types import Detector

CHECKS = {
    "gallery": "Check the gallery for look-alikes and for photos of the wrong person.",
}
"""Each other check with the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, table=CHECKS, invoke_without_command=True)
@command_options
@pass_settings
@click.pass_context
def doctor(ctx: click.Context, settings: Settings) -> None:
    """Check the installation, the model and the database.

    Exit codes: 0 if everything is in order, 1 if a problem was found.
    """
    if ctx.invoked_subcommand is None:
        refuse_with(ctx, "doctor", "threshold")
        ctx.exit(_examine(settings))


def _detector(settings: Settings) -> Detector:
    """Return the model's detector, or that for faces if the model cannot be read."""
    from facecli.errors import ModelError

    try:
        settings.card()
    except ModelError:  # the check of the model says why
        return settings.named_detector()
    return settings.detector()


def _examine(settings: Settings) -> int:
    """Show every finding; return the exit code."""
    from facecli.doctor import examine

    settings.check_detector()
    problems = 0
    for finding in examine(
        load_detector=lambda: _detector(settings),
        load_encoder=settings.encoder,
        place=settings.place(),
    ):
        problems += not finding.healthy
        mark = good("ok     ") if finding.healthy else bad("PROBLEM")
        emit(records.finding(finding), f"{mark} {finding.topic}: {shown(finding.text)}")
    text = counted(problems, "problem") if problems else "All in order."
    emit(records.diagnosis(problems), text)
    return 1 if problems else 0
