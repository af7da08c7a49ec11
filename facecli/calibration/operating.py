"""Find the threshold in use and where it comes from, and the odds of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facecli.calibration.odds import ImpostorDistribution, Odds, distribution_from
from facecli.errors import FingerprintMismatch, GalleryError
from facecli.types import Calibration, ModelCard


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold (squared L2), its calibration if it has one, and the impostor pairs known.

    `strangers` are those of the gallery's calibration, then those of the model; none if not known.
    """

    threshold: float
    calibration: Calibration | None
    strangers: tuple[ImpostorDistribution, ...]

    @property
    def limit(self) -> str:
        """The threshold in brackets, for a line that compares a squared L2 with it."""
        if self.calibration is None:
            return f"(threshold {self.threshold:.4g})"
        return f"(threshold {self.threshold:.4g}, {described(self.calibration)})"

    def odds(self, squared_l2: float, *, templates: int = 1) -> Odds | None:
        """Return the share of other people who are this near to at least one of the templates.

        The user's own people count, as long as they tell: below their table only a largest share is
        known, and the model's table, of many more pairs, may know a smaller one. For 215 people
        that is the difference between "fewer than 1 in 3" and one in a million.
        """
        if not self.strangers:
            return None
        own, *others = (known.share(squared_l2) for known in self.strangers)
        if own.below:
            own = min([own, *others], key=lambda one: one.high)
        return own.among(templates)


def described(calibration: Calibration) -> str:
    """Say in words for which rate, and when, a threshold was set."""
    from facecli.metrics.support import rate_name

    day = calibration.created.partition("T")[0]
    return f"calibrated at FMR {rate_name(calibration.far)} on {day}"


def calibration_of(
    card: ModelCard, calibrations: Sequence[Calibration], *, needed: bool
) -> Calibration | None:
    """Return the calibration of this model.

    Raises FingerprintMismatch if the gallery is calibrated for other models only, and a calibration
    is `needed` because no threshold was given.
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
    """Return the threshold for a model, and the impostor pairs known for it.

    The threshold is the argument if given, otherwise that of the gallery's calibration, otherwise
    that of the model. A threshold of 0 is valid. Raises what `calibration_of` raises, and
    GalleryError for a damaged calibration.
    """
    calibration = calibration_of(card, calibrations, needed=threshold is None)
    try:
        tables = [calibration.impostors] if calibration else []
        made = map(distribution_from, [*tables, card.impostors])
        strangers = tuple(one for one in made if one is not None)
    except ValueError as error:
        raise GalleryError(f"{card.name}: {error}: calibrate again") from error
    if threshold is not None:
        return OperatingPoint(threshold, None, strangers)
    used = card.threshold if calibration is None else calibration.threshold
    return OperatingPoint(used, calibration, strangers)
