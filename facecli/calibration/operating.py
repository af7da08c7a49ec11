"""The threshold in use, where it comes from, and how many strangers come as close as a face did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facecli.calibration.odds import ImpostorDistribution, Odds, distribution_from
from facecli.errors import FingerprintMismatch, GalleryError
from facecli.metrics.support import rate_name
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
        return f"(threshold {self.threshold:.4g}, {described(self.calibration)})"

    def odds(self, squared_l2: float, *, templates: int = 1) -> Odds | None:
        """Return how many strangers come this close to at least one of so many templates."""
        if self.strangers is None:
            return None
        return self.strangers.share(squared_l2).among(templates)


def described(calibration: Calibration) -> str:
    """Say in words at what rate and when a threshold was set."""
    day = calibration.created.partition("T")[0]
    return f"calibrated at FMR {rate_name(calibration.far)} on {day}"


def calibration_of(
    card: ModelCard, calibrations: Sequence[Calibration], *, needed: bool
) -> Calibration | None:
    """Return the calibration of this model.

    Raises FingerprintMismatch if there are others only and one is `needed`, as no threshold was
    given.
    """
    found = {one.fingerprint: one for one in calibrations}
    if found and card.fingerprint not in found and needed:
        raise FingerprintMismatch(
            f"the gallery is calibrated for {', '.join(one.model for one in found.values())}, "
            f"not for {card.name}: calibrate again, or give --threshold"
        )
    return found.get(card.fingerprint)


def operating_point(
    card: ModelCard, calibrations: Sequence[Calibration], *, threshold: float | None
) -> OperatingPoint:
    """Return the threshold for a model and what is known of strangers under it.

    That is `threshold`, else what the gallery was calibrated to, else the model's own. An explicit
    0 is a threshold like any other. Raises as `calibration_of`, and GalleryError for a calibration
    that is damaged.
    """
    calibration = calibration_of(card, calibrations, needed=threshold is None)
    try:
        strangers = distribution_from(calibration.impostors if calibration else card.impostors)
    except ValueError as error:
        raise GalleryError(f"{card.name}: {error}: calibrate again") from error
    if threshold is not None:
        return OperatingPoint(threshold, None, strangers)
    used = card.threshold if calibration is None else calibration.threshold
    return OperatingPoint(used, calibration, strangers)
