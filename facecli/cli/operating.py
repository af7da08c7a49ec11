"""The threshold in use, as the options and the gallery say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.cli.output import counted

if TYPE_CHECKING:
    from facecli.calibration.operating import OperatingPoint
    from facecli.cli.options import Settings
    from facecli.types import ModelCard


def whom(people: int) -> str:
    """Say in words that strangers are compared with everyone enrolled."""
    who = "the one person" if people == 1 else f"one of the {counted(people, 'person', 'people')}"
    return f" to {who} enrolled"


def operating_point(settings: Settings, card: ModelCard) -> OperatingPoint:
    """Return the threshold for a model and what is known of strangers under it."""
    from facecli.calibration import operating

    calibrations = settings.gallery().calibrations() if settings.has_gallery() else []
    return operating.operating_point(card, calibrations, threshold=settings.threshold)
