"""Records of calibrate and train-verifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from facecli.records.fields import (
    Choices,
    Count,
    Difference,
    Fingerprint,
    Share,
    Threshold,
    Time,
    WrittenBy,
)

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.calibration.comparing import VerifierComparison
    from facecli.metrics import Interval
    from facecli.types import Calibration

Impostors = Annotated[
    Mapping[str, Any],
    "how close strangers come: `counts` of the `pairs` are at or below each `squared_l2`, with "
    "the ends `low` and `high` of the 95 % interval of their share; empty if it is not known",
]


class CalibrationRecord(TypedDict):
    """A threshold set from photos, for one model."""

    kind: Annotated[
        Literal["calibration"], WrittenBy(("facecli calibrate", "facecli calibrate --show"))
    ]
    fingerprint: Fingerprint
    model: Annotated[str, "name of the model"]
    threshold: Threshold
    far: Annotated[Share, "the highest false match rate that was allowed"]
    far_low: Annotated[Share, "lower end of the 95 % interval of the rate among other people"]
    far_high: Annotated[Share, "upper end of that interval"]
    people: Annotated[Count, "people compared"]
    impostor_pairs: Annotated[Count, "pairs of photos of different people"]
    genuine_pairs: Annotated[Count, "pairs of photos of the same person"]
    fnmr: Annotated[
        Share | None, "share of genuine pairs beyond the threshold; null if there are none"
    ]
    source: Annotated[str, "the photos"]
    created: Annotated[Time, "when it was made"]
    impostors: Impostors


def calibration(made: Calibration) -> CalibrationRecord:
    """Return the record of a threshold set from photos."""
    return {
        "kind": "calibration",
        "fingerprint": made.fingerprint,
        "model": made.model,
        "threshold": made.threshold,
        "far": made.far,
        "far_low": made.far_low,
        "far_high": made.far_high,
        "people": made.people,
        "impostor_pairs": made.impostor_pairs,
        "genuine_pairs": made.genuine_pairs,
        "fnmr": made.fnmr,
        "source": made.source,
        "created": made.created,
        "impostors": made.impostors,
    }


class CalibrationClearedRecord(TypedDict):
    """The calibrations are removed; the models' own thresholds count again."""

    kind: Annotated[Literal["calibration_cleared"], WrittenBy(("facecli calibrate --clear",))]
    calibrations: Annotated[Count, "calibrations removed"]


def calibration_cleared(calibrations: int) -> CalibrationClearedRecord:
    """Return the record of calibrations removed."""
    return {"kind": "calibration_cleared", "calibrations": calibrations}


class AcceptedShare(TypedDict):
    """A share of accepted pairs, with its 95 % interval."""

    estimate: Annotated[Share, "the share"]
    low: Annotated[Share, "lower end of the interval"]
    high: Annotated[Share, "upper end of the interval"]


class Gain(TypedDict):
    """A difference of shares, with its 95 % interval."""

    estimate: Annotated[Difference, "the difference"]
    low: Annotated[Difference, "lower end of the interval"]
    high: Annotated[Difference, "upper end of the interval"]


class VerifierRecord(TypedDict):
    """A verifier was trained and compared with the threshold, on people it has never seen."""

    kind: Annotated[Literal["verifier"], WrittenBy(("facecli train-verifier",))]
    path: Annotated[str, "the verifier's file"]
    form: Annotated[
        str, Choices(("components", "squared-l2")), "what it looks at, as given by --form"
    ]
    better: Annotated[bool, "whether it is better than the threshold beyond doubt"]
    verdict: Annotated[str, "the comparison in one line"]
    far: Annotated[Share, "the false accept rate of the comparison"]
    people: Annotated[Count, "people compared"]
    genuine_pairs: Annotated[Count, "pairs of photos of the same person"]
    impostor_pairs: Annotated[Count, "pairs of photos of different people"]
    threshold: Annotated[AcceptedShare, "genuine pairs that the threshold accepts"]
    verifier: Annotated[AcceptedShare, "genuine pairs that the verifier accepts"]
    gain: Annotated[Gain, "verifier less threshold"]


def verifier(path: Path, form: str, found: VerifierComparison) -> VerifierRecord:
    """Return the record of a verifier and its comparison with the threshold."""
    return {
        "kind": "verifier",
        "path": str(path),
        "form": form,
        "better": found.better,
        "verdict": found.verdict,
        "far": found.far,
        "people": found.people,
        "genuine_pairs": found.genuine_pairs,
        "impostor_pairs": found.impostor_pairs,
        "threshold": _share(found.threshold),
        "verifier": _share(found.verifier),
        "gain": {
            "estimate": found.gain.estimate,
            "low": found.gain.low,
            "high": found.gain.high,
        },
    }


def _share(found: Interval) -> AcceptedShare:
    return {"estimate": found.estimate, "low": found.low, "high": found.high}
