"""What definitions are written with: units, choices, and fields that several records share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypedDict

if TYPE_CHECKING:
    from facecli.calibration import Odds
    from facecli.calibration.operating import OperatingPoint
    from facecli.evaluation import rates as measured
    from facecli.metrics import Interval
    from facecli.types import Failure


@dataclass(frozen=True, slots=True)
class WrittenBy:
    """The commands and the addresses of the service that write a kind; it marks `kind`."""

    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a number or the form of a text, and the range of a number.

    `low` and `high` are the ends of the range, None where it is open.
    """

    name: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """The only texts that a field may hold."""

    texts: tuple[str, ...]


SquaredL2 = Annotated[float, Unit("squared L2", 0, 4)]
Share = Annotated[float, Unit(low=0, high=1)]
Difference = Annotated[float, Unit(low=-1, high=1)]
Probability = Annotated[float, Unit(low=0, high=1)]
Count = Annotated[int, Unit(low=0)]
Position = Annotated[int, Unit(low=1)]
Seconds = Annotated[float, Unit("seconds", 0)]
Bytes = Annotated[int, Unit("bytes", 0)]
Time = Annotated[str, Unit("UTC, ISO 8601")]
Sha256 = Annotated[str, Unit("SHA-256, 64 hexadecimal digits")]
Box = Annotated[
    tuple[float, float, float, float], Unit("pixels: left, top, right, bottom of the upright photo")
]


class Calibrated(TypedDict):
    """The calibration that set the threshold."""

    far: Annotated[Share, "the highest false match rate that was allowed"]
    created: Annotated[Time, "when it was made"]


class Strangers(TypedDict):
    """How many strangers come as close: the share of pairs of different people."""

    share: Annotated[Share | None, "the share; null if it is only known to be within the interval"]
    low: Annotated[Share, "lower end of the 95 % interval"]
    high: Annotated[Share, "upper end of the 95 % interval"]
    pairs: Annotated[Count, "pairs of different people that this was counted on"]
    source: Annotated[str, "the photos these pairs are from"]


Threshold = Annotated[SquaredL2, "the largest squared L2 that counts as the same person"]
ModelName = Annotated[str, "name of the model in use"]
Fingerprint = Annotated[
    Sha256, "fingerprint of the model; embeddings of different fingerprints cannot be compared"
]
InForce = Annotated[
    Calibrated | None,
    "the calibration that set the threshold; null if --threshold or the model set it",
]
AsClose = Annotated[
    Strangers | None,
    "how many strangers come as close; null if it is not known",
]


def calibrated(point: OperatingPoint) -> Calibrated | None:
    """Return the calibration that set a threshold."""
    made = point.calibration
    return None if made is None else {"far": made.far, "created": made.created}


def strangers(odds: Odds | None) -> Strangers | None:
    """Return how many strangers come as close, where that is known."""
    if odds is None:
        return None
    return {
        "share": odds.share,
        "low": odds.low,
        "high": odds.high,
        "pairs": odds.pairs,
        "source": odds.source,
    }


class Unusable(TypedDict):
    """A file that could not be used."""

    source: Annotated[str, "the file"]
    reason: Annotated[str, "the reason, in one line"]


def unusable(failure: Failure) -> Unusable:
    """Return a file that could not be used."""
    return {"source": failure.source, "reason": failure.reason}


class Rate(TypedDict):
    """Errors among comparisons or searches, and the share that they are."""

    errors: Annotated[Count, "how many were wrong"]
    of: Annotated[Count, "out of how many"]
    rate: Annotated[Share | None, "the share; null if there are fewer than 30 errors"]
    low: Annotated[
        Share | None,
        "lower end of the 95 % interval, which is known also without `rate`; null if there is none",
    ]
    high: Annotated[Share | None, "upper end of the 95 % interval; null if there is none"]


def rate(found: measured.Rate) -> Rate:
    """Return errors among comparisons or searches."""
    return {
        "errors": found.errors,
        "of": found.of,
        "rate": found.value,
        **limits(found.interval),
    }


class Limits(TypedDict):
    """A 95 % interval."""

    low: Annotated[Share | None, "lower end; null if there is none"]
    high: Annotated[Share | None, "upper end; null if there is none"]


def limits(interval: Interval | None) -> Limits:
    """Return a 95 % interval, or that there is none."""
    if interval is None:
        return {"low": None, "high": None}
    return {"low": interval.low, "high": interval.high}
