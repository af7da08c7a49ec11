"""The threshold in use, where it comes from, and how many strangers come as close as a face did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facecli.cli.output import counted
from facecli.errors import GalleryError

if TYPE_CHECKING:
    from facecli.calibration import ImpostorDistribution, Odds
    from facecli.cli.options import Settings
    from facecli.types import Calibration, ModelCard


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold in squared L2, the calibration it is from, if any, and the strangers known of."""

    threshold: float
    calibration: Calibration | None
    strangers: ImpostorDistribution | None

    @property
    def limit(self) -> str:
        """The threshold in brackets, for a line that compares with it."""
        if self.calibration is None:
            return f"(threshold {self.threshold:.4g})"
        return f"(threshold {self.threshold:.4g}, {calibrated(self.calibration)})"

    def odds(self, squared_l2: float, *, templates: int = 1) -> Odds | None:
        """Return how many strangers come this close to at least one of so many templates."""
        if self.strangers is None:
            return None
        return self.strangers.share(squared_l2).among(templates)

    def record(self, odds: Odds | None) -> dict[str, Any]:
        """Return the JSON fields of odds and of where the threshold comes from."""
        strangers = self.strangers
        return {
            "calibrated": self.calibration
            and {"far": self.calibration.far, "created": self.calibration.created},
            "strangers": odds
            and strangers
            and {
                "share": odds.share,
                "low": odds.low,
                "high": odds.high,
                "pairs": strangers.pairs,
                "source": strangers.source,
            },
        }


def calibrated(calibration: Calibration) -> str:
    """Say in words at what rate and when a threshold was set."""
    from facecli.metrics.support import rate_name

    day = calibration.created.partition("T")[0]
    return f"calibrated at FMR {rate_name(calibration.far)} on {day}"


def whom(people: int) -> str:
    """Say in words that strangers are compared with everyone enrolled."""
    who = "the one person" if people == 1 else f"one of the {counted(people, 'person', 'people')}"
    return f" to {who} enrolled"


def operating_point(settings: Settings, card: ModelCard) -> OperatingPoint:
    """Return the threshold for a model and what is known of strangers under it."""
    from facecli.calibration import distribution_from

    threshold = settings.threshold_for(card)
    calibration = settings.calibration_for(card)
    table = calibration.impostors if calibration else card.impostors
    try:
        strangers = distribution_from(table)
    except ValueError as error:
        raise GalleryError(f"{card.name}: {error}: calibrate again") from error
    used = calibration if settings.threshold is None else None
    return OperatingPoint(threshold, used, strangers)
