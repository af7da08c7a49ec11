"""Fields that several kinds of records share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

if TYPE_CHECKING:
    from facecli.calibration.odds import Odds
    from facecli.calibration.operating import OperatingPoint
    from facecli.evaluation.rates import Curve, Rate
    from facecli.metrics import Interval

SquaredL2 = Annotated[float, "squared L2, 0 to 4; lower is more alike"]
Threshold = Annotated[float, "the largest squared L2 that counts as the same person"]
Box = Annotated[list[float], "left, top, right, bottom in pixels of the upright picture"]
Path = Annotated[str, "path of a file"]
Sha256 = Annotated[str, "SHA-256 of the file, hexadecimal"]
Model = Annotated[str, "name of the model"]
Fingerprint = Annotated[str, "SHA-256 that identifies the model; vectors compare only within one"]
RateCurve = Annotated[dict[str, list[float]], "two error rates at a list of thresholds"]
Utc = Annotated[str, "time in UTC, ISO 8601"]


class Strangers(TypedDict):
    """How many strangers come as close as this face."""

    share: Annotated[float | None, "0 to 1; null if it is only known to lie between low and high"]
    low: Annotated[float, "lower end of the 95 % interval"]
    high: Annotated[float, "upper end of the 95 % interval"]
    pairs: Annotated[int, "impostor pairs that this rests on"]
    source: Annotated[str, "whose pairs they are"]


class Calibrated(TypedDict):
    """The calibration that the threshold comes from."""

    far: Annotated[float, "false match rate that was asked for"]
    created: Utc


class Operating(TypedDict):
    """Where the threshold comes from, and what is known of strangers under it."""

    calibrated: Annotated[Calibrated | None, "null if the threshold was given, or is the model's"]
    strangers: Annotated[Strangers | None, "null if nothing is known of strangers"]


class Limits(TypedDict):
    """A 95 % interval over people, null where too few errors support it."""

    low: Annotated[float | None, "lower end of the 95 % interval"]
    high: Annotated[float | None, "upper end of the 95 % interval"]


class RateOf(TypedDict):
    """A rate with what it rests on."""

    errors: Annotated[int, "number of errors"]
    of: Annotated[int, "number of comparisons or searches"]
    rate: Annotated[float | None, "0 to 1; null if fewer than 30 errors support it"]
    low: Annotated[float | None, "lower end of the 95 % interval"]
    high: Annotated[float | None, "upper end of the 95 % interval"]


class Estimate(TypedDict):
    """A number with its 95 % interval over people."""

    estimate: float
    low: float
    high: float


class FailedPhoto(TypedDict):
    """A photo that could not be used."""

    source: Path
    reason: Annotated[str, "why, in one line"]


def operating(point: OperatingPoint, odds: Odds | None) -> Operating:
    """Return where a threshold comes from, and the odds of an answer."""
    known = point.strangers
    strangers: Strangers | None = None
    if odds is not None and known is not None:
        strangers = {
            "share": odds.share,
            "low": odds.low,
            "high": odds.high,
            "pairs": known.pairs,
            "source": known.source,
        }
    found = point.calibration
    calibrated: Calibrated | None = None
    if found is not None:
        calibrated = {"far": found.far, "created": found.created}
    return {"calibrated": calibrated, "strangers": strangers}


def rate_of(rate: Rate) -> RateOf:
    """Return a rate; `rate` is null where too few errors support it."""
    return {"errors": rate.errors, "of": rate.of, "rate": rate.value, **limits(rate.interval)}


def limits(interval: Interval | None) -> Limits:
    """Return a 95 % interval."""
    return {"low": low_of(interval), "high": high_of(interval)}


def low_of(interval: Interval | None) -> float | None:
    """Return the lower end of an interval, None without one."""
    return interval.low if interval else None


def high_of(interval: Interval | None) -> float | None:
    """Return the upper end of an interval, None without one."""
    return interval.high if interval else None


def curve_of(curve: Curve, false_match: str = "fmr", miss: str = "fnmr") -> dict[str, object]:
    """Return a curve, under the names that its two rates have."""
    return {"thresholds": curve.thresholds, false_match: curve.fmr, miss: curve.fnmr}
