"""Measure models on people they never saw, and decide whether the new one is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facecli.errors import TrainingError
from facecli.metrics import (
    Interval,
    all_pairs,
    bootstrap_by_person,
    bootstrap_difference,
    threshold_at_fmr,
)
from facecli.metrics.support import ERRORS_NEEDED, rate_name, supported
from facecli.training.head import calibrating_shift
from facecli.types import FloatArray, IntArray

FARS = (1e-2, 1e-3, 1e-4, 1e-5)
"""Models are measured at those of these false accept rates that the pairs support."""

PROMOTING_FAR = 1e-3
"""A model is preferred only if the pairs support this false accept rate, or a lower one."""

CALIBRATION_ROUNDS = 8
"""The limit of corrections; two or three bring the threshold within a thousandth."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The results of a model on the validation people.

    `val` maps each supported FAR to VAL with its interval over people. `thresholds` maps each
    supported rate to squared L2. `pairs` are the numbers of genuine and impostor pairs.
    """

    people: int
    photos: int
    pairs: tuple[int, int]
    val: dict[float, Interval]
    thresholds: dict[float, float]


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Whether the second of two models is better, why, and how much VAL it gains at which FAR."""

    better: bool
    reason: str
    far: float | None = None
    gain: Interval | None = None


def measure(embeddings: FloatArray, labels: IntArray, *, rates: Sequence[float]) -> Measurement:
    """Measure unit embeddings (n, d) of labelled photos at the rates that the pairs support.

    Raises TrainingError unless two people have two photos each.
    """
    pairs = all_pairs(embeddings, labels)
    reach = [rate for rate in rates if supported(rate, pairs.impostor.size)]
    try:
        fars = [far for far in reach if far in FARS]
        val = bootstrap_by_person(embeddings, labels, fars=fars) if fars else []
    except ValueError as error:
        raise TrainingError(f"validation: {error}") from error
    return Measurement(
        people=len(np.unique(labels[labels >= 0])),
        photos=int((labels >= 0).sum()),
        pairs=(len(pairs.genuine), pairs.impostor.size),
        val=dict(zip(fars, val, strict=True)),
        thresholds={rate: threshold_at_fmr(pairs.impostor, rate) for rate in reach},
    )


def compare(
    before: FloatArray, after: FloatArray, labels: IntArray, kind: str = "people"
) -> ModelComparison:
    """Tell whether `after` is better than `before` at the strictest FAR the pairs support.

    It is better if the interval of the difference of VAL, over the same draws of people, is above
    zero. `kind` is what the reason calls them: people, or classes.
    """
    impostors = all_pairs(after, labels).impostor.size
    reach = [far for far in FARS if supported(far, impostors)]
    if not reach or min(reach) > PROMOTING_FAR:
        needed = round(ERRORS_NEEDED / PROMOTING_FAR)
        return ModelComparison(
            better=False,
            reason=f"{impostors:,} impostor pairs of validation {kind} are too few to tell at FAR "
            f"{rate_name(PROMOTING_FAR)}: {needed:,} are needed",
        )
    far = min(reach)
    (gain,) = bootstrap_difference(before, after, labels, fars=[far])
    better = gain.low > 0
    verdict = "better" if better else "not shown to be better"
    return ModelComparison(
        better=better,
        reason=f"{verdict}: VAL at FAR {rate_name(far)} moved by {gain.estimate:+.4f} "
        f"(95 % interval {gain.low:+.4f} to {gain.high:+.4f})",
        far=far,
        gain=gain,
    )


def combine(views: FloatArray, shift: FloatArray | float = 0.0) -> FloatArray:
    """Return the embeddings (n, 128) of `views` (v, n, 128) with a calibrating `shift` (128,).

    The views are the outputs of the network for the chips and their mirror images, without the
    shift. As in the encoder, the shift is added, the vectors are scaled to unit length, and the
    mean over the views is scaled to unit length.
    """
    moved = views.astype(np.float64) + shift
    moved /= np.linalg.norm(moved, axis=2, keepdims=True)
    mean = moved.mean(axis=0)
    embeddings: FloatArray = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
    return embeddings


def shift_to_rate(views: FloatArray, labels: IntArray, *, rate: float, wanted: float) -> FloatArray:
    """Return the shift (128,) with which false match rate `rate` is at `wanted` squared L2.

    The closed form is exact for one view; mirror images, and larger squared L2, need a few
    corrections. Raises TrainingError if no shift can do it.
    """

    def threshold(shift: FloatArray | float) -> float:
        return threshold_at_fmr(all_pairs(combine(views, shift), labels).impostor, rate)

    bare = threshold(0.0)
    if bare < 1e-6:
        raise TrainingError("different people of the validation photos have the same embedding")
    shift = calibrating_shift(combine(views), measured=bare, wanted=wanted)
    for _ in range(CALIBRATION_ROUNDS):
        measured = threshold(shift)
        if abs(measured / wanted - 1) < 1e-3 or measured in (bare, 0.0):
            break
        if bare >= wanted:
            shift *= np.sqrt(abs((bare / wanted - 1) / (bare / measured - 1)))
        else:
            shift *= abs((wanted - bare) / (measured - bare))
    if abs(threshold(shift) / wanted - 1) > 0.01:
        raise TrainingError(
            f"FMR {rate_name(rate)} lies at {bare:.3f} squared L2 and cannot be moved to {wanted}"
        )
    return shift
