"""Set a threshold from data: the largest that keeps a false match rate the data supports."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

import numpy.typing as npt

from facecli.calibration.odds import Odds, impostor_distribution
from facecli.errors import CalibrationError
from facecli.metrics import all_pairs, fnmr, threshold_at_fmr
from facecli.metrics.pairs import number_people
from facecli.metrics.support import ERRORS_NEEDED, rate_name, supported
from facecli.types import Calibration, FloatArray, ModelCard

MOST_TAKEN = 0.1
"""A calibration is of use to a gallery if at most this share of strangers is like somebody in it.

Above, more than one stranger in ten would be taken for a person enrolled.
"""

ONE_PICTURE = 1e-6
"""Squared L2 below which two pictures are the same: the error of `squared_l2` is 2e-7."""


def calibrated_threshold(
    embeddings: FloatArray, labels: npt.ArrayLike, *, far: float, card: ModelCard, source: str
) -> Calibration:
    """Set the threshold of a model from unit rows (n, d) and labels (n,).

    Labels are as in `metrics.pairs`. `far` is a false match rate; `source` names the data. Raises
    CalibrationError if there are too few impostor pairs to measure that rate (rule of 30), or if
    impostor pairs are so alike that no threshold keeps it.
    """
    pairs = all_pairs(embeddings, labels)
    refuse_unsupported(far, pairs.impostor.size, source)
    threshold = threshold_at_fmr(pairs.impostor, far)
    if threshold < ONE_PICTURE:
        raise CalibrationError(
            f"{source}: more than {rate_name(far)} of the pairs of strangers are one and the same "
            "picture: is someone there twice under two names?"
        )
    tail = impostor_distribution(embeddings, labels, pairs.impostor, source=source)
    reached = Odds(None, 0.0, 1.0) if tail is None else tail.share(threshold)
    genuine = pairs.genuine
    return Calibration(
        fingerprint=card.fingerprint,
        model=card.name,
        threshold=threshold,
        far=far,
        far_low=reached.low,
        far_high=reached.high,
        people=int(number_people(labels, len(embeddings))[1].max()) + 1,
        impostor_pairs=pairs.impostor.size,
        genuine_pairs=len(genuine),
        fnmr=fnmr(genuine, threshold) if len(genuine) else None,
        source=source,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        impostors={} if tail is None else tail.table(),
    )


def strangers_taken(far: float, templates: int) -> float:
    """Return the share of strangers who match one of so many templates: 1 - (1 - FMR)^N.

    Measured on LFW's development people (1,711 people, 2,761 templates) with the start weights of
    facecli-128: at an FMR of 1e-4, 21 % of the photos had another person's template within the
    threshold, and the formula gives 24 %; at 3.2e-5 these were 7.8 % and 8.4 %.
    """
    return -math.expm1(templates * math.log1p(-far))


def too_many_taken(far: float, templates: int) -> str:
    """Say why a gallery of so many templates cannot use this rate; empty if it can."""
    taken = strangers_taken(far, templates)
    if taken <= MOST_TAKEN:
        return ""
    usable = -math.expm1(math.log1p(-MOST_TAKEN) / templates)
    return (
        f"at FMR {rate_name(far)}, {taken:.0%} of strangers would be like somebody among the "
        f"{templates:,} templates enrolled; at most {MOST_TAKEN:.0%} is of use, which needs FMR "
        f"{_rounded(usable, math.floor)} or less"
    )


def refuse_unsupported(far: float, impostor_pairs: int, source: str) -> None:
    """Raise CalibrationError, which says what is needed, if the pairs do not support the rate."""
    if supported(far, impostor_pairs):
        return
    pairs = math.ceil(ERRORS_NEEDED / far)
    people = math.ceil((1 + math.sqrt(1 + 8 * pairs)) / 2)
    there = "is 1 pair" if impostor_pairs == 1 else f"are {impostor_pairs:,} pairs"
    reason = (
        f"{source}: FMR {rate_name(far)} needs {pairs:,} pairs of strangers, {ERRORS_NEEDED} of "
        f"them expected at or under the threshold: {people:,} people with a photo each; there "
        f"{there}"
    )
    if impostor_pairs > 10 * ERRORS_NEEDED:
        reason += f", enough for --far {_rounded(ERRORS_NEEDED / impostor_pairs, math.ceil)}"
    raise CalibrationError(reason)


def _rounded(rate: float, how: Callable[[float], int]) -> str:
    """Round a rate up or down to two digits, as text for --far."""
    step = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return f"{how(rate / step) * step:.1e}"
