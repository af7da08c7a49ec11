"""The threshold of a model of whole pictures: measured on few classes, so set with caution.

A few dozen classes make hundreds of thousands of pairs, but all are of the same few classes, of
which some are very alike. The rate among other classes can be several times as large. So the
threshold is not where the rate was measured, but where it stays in nine of ten draws of classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from facecli.metrics import all_pairs, fmr, threshold_at_fmr
from facecli.metrics.caution import cautious_threshold
from facecli.metrics.support import rate_name, supported
from facecli.models.networks import FaceNetwork
from facecli.training.config import TrainingConfig
from facecli.training.head import calibrating_shift
from facecli.training.promotion import FARS, Measurement, combine, measure
from facecli.training.result import NEARLY_0, Calibrated, halve, where_it_lies
from facecli.types import FloatArray, IntArray

RATES = (1e-4, 1e-3, 1e-2)
"""The false match rates that the threshold may be at."""


def with_picture_threshold(
    network: FaceNetwork,
    config: TrainingConfig,
    *,
    see: Callable[[], FloatArray],
    labels: IntArray,
    before: Measurement,
) -> Calibrated:
    """Round the network to half precision, and find its threshold.

    `see`, `labels` and `before` are as in `with_calibrated_head`. The threshold is at the strictest
    rate of RATES that the pairs of pictures and of classes support. It is moved to that of the
    config only if it lies above: things can be so alike that it lies below, and then only another
    order of the pairs would help.
    """
    halve(network)
    network.shift.zero_()
    impostors = before.pairs[1]
    rate = next((one for one in RATES if _reaches(one, before)), RATES[-1])
    pairs = f"{impostors:,} impostor pairs of {before.people} validation classes"
    embeddings = combine(see())
    if not config.calibrate:
        threshold, source = config.threshold, where_it_lies(embeddings, labels, config, pairs)
    elif not supported(rate, impostors):
        threshold, source = _guess(embeddings, labels, rate, config, pairs)
    else:
        threshold = cautious_threshold(embeddings, labels, rate)
        moved = threshold >= config.threshold
        if moved:
            shift = calibrating_shift(embeddings, measured=threshold, wanted=config.threshold)
            network.shift.copy_(torch.from_numpy(shift))
            halve(network)
            embeddings, threshold = combine(see()), config.threshold
        threshold = max(threshold, NEARLY_0)
        source = _source(embeddings, labels, rate, threshold, pairs)
        if not moved:
            source += f"; not moved to {config.threshold} squared L2, since it lies below"
    measured = measure(embeddings, labels, rates=sorted({*FARS, rate}, reverse=True))
    return Calibrated(network, embeddings, measured, threshold, source)


def _reaches(rate: float, before: Measurement) -> bool:
    """Tell whether so many pairs of pictures, and of classes, can show a rate.

    Look-alikes are pairs of classes. If not even one pair of classes falls below the rate, none of
    the look-alikes that other classes have may be among them.
    """
    class_pairs = before.people * (before.people - 1) / 2
    return supported(rate, before.pairs[1]) and rate * class_pairs >= 1


def _source(
    embeddings: FloatArray, labels: IntArray, rate: float, threshold: float, pairs: str
) -> str:
    """Say which rate the threshold is at, for other classes and for those it was measured on."""
    found = fmr(all_pairs(embeddings, labels).impostor, threshold)
    same = "; different classes have the same embedding" if threshold <= NEARLY_0 else ""
    return (
        f"FMR at most {rate_name(rate)} in 9 of 10 draws of classes, {found:.1e} over {pairs}{same}"
    )


def _guess(
    embeddings: FloatArray, labels: IntArray, rate: float, config: TrainingConfig, pairs: str
) -> tuple[float, str]:
    """Return a threshold and its source if there are too few pairs, or none."""
    impostor = all_pairs(embeddings, labels).impostor
    if not impostor.size:
        return config.threshold, f"a guess: there are {pairs}"
    lies = threshold_at_fmr(impostor, rate)
    same = "; different classes have the same embedding" if lies < NEARLY_0 else ""
    return (
        min(max(lies, NEARLY_0), 3.9),
        f"a guess: FMR {rate_name(rate)} over {pairs}, which are too few to measure it{same}",
    )
