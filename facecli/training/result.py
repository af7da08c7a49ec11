"""The result of a run: a calibrated network in half precision, and its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facecli.errors import TrainingError
from facecli.metrics import all_pairs, fmr
from facecli.metrics.support import rate_name, supported
from facecli.models import checkpoints
from facecli.models.networks import FaceNetwork
from facecli.training.config import TrainingConfig
from facecli.training.joint import move_sphere
from facecli.training.plan import Plan
from facecli.training.promotion import (
    FARS,
    Measurement,
    ModelComparison,
    combine,
    measure,
    shift_to_rate,
)
from facecli.types import FloatArray, IntArray, ModelCard

NEARLY_0 = 1e-3
"""Thresholds are at least this, in squared L2."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A network as it will be saved, and its embeddings (n, d) of the validation photos.

    `threshold_source` says how `threshold`, in squared L2, was found.
    """

    network: FaceNetwork
    embeddings: FloatArray
    measurement: Measurement
    threshold: float
    threshold_source: str


def with_calibrated_head(
    network: FaceNetwork,
    config: TrainingConfig,
    *,
    see: Callable[[], FloatArray],
    labels: IntArray,
    former: tuple[Measurement, float],
) -> Calibrated:
    """Round the network to half precision, and move its threshold to that of the config.

    `see` gives the network's views of the validation photos, as `views_of` does, and `labels` says
    who they are; `former` are measurement and threshold of the
    model to compare with. If the pairs are too few for `config.threshold_fmr`, the network stays as
    it is: its threshold is the former one, times the ratio of the squared L2 of both models at the
    lowest rate that the pairs support.
    """
    halve(network)
    rate, impostors = config.threshold_fmr, former[0].pairs[1]
    pairs = f"{impostors:,} impostor pairs of {former[0].people} validation people"
    enough = supported(rate, impostors)
    problem = None
    if enough and config.calibrate:
        problem = _calibrate(network, see, labels, config)
    embeddings = combine(see())
    measured = measure(embeddings, labels, rates=sorted({*FARS, rate}, reverse=True))
    if not config.calibrate:
        threshold, source = config.threshold, where_it_lies(embeddings, labels, config, pairs)
    elif not enough:
        threshold, source = _moved_threshold(measured, former, pairs)
    elif problem is None:
        threshold, source = config.threshold, f"FMR {rate_name(rate)} over {pairs}"
    else:
        threshold = max(measured.thresholds[rate], NEARLY_0)
        source = f"FMR {rate_name(rate)} over {pairs}; not calibrated, {problem}"
    return Calibrated(network, embeddings, measured, threshold, source)


def where_it_lies(
    embeddings: FloatArray, labels: IntArray, config: TrainingConfig, pairs: str
) -> str:
    """Say which false match rate the threshold of the config has, if the pairs support one."""
    impostor = all_pairs(embeddings, labels).impostor
    rate = fmr(impostor, config.threshold)
    if not supported(rate, impostor.size):
        return f"chosen beforehand; {pairs} are too few to measure its FMR"
    return f"chosen beforehand; FMR {rate:.1e} over {pairs}"


def _calibrate(
    network: FaceNetwork, see: Callable[[], FloatArray], labels: IntArray, config: TrainingConfig
) -> str | None:
    """Move the false match rate of the config to its threshold; return why that failed, or None.

    It does not raise an error, so that a long run is not lost.
    """
    aim = {"rate": config.threshold_fmr, "wanted": config.threshold}
    network.shift.zero_()
    try:
        if network.joined:
            move_sphere(network, see, labels, **aim)
        else:
            network.shift.copy_(torch.from_numpy(shift_to_rate(see(), labels, **aim)))
        return None
    except TrainingError as error:
        return str(error)
    finally:
        halve(network)


def _moved_threshold(
    now: Measurement, former: tuple[Measurement, float], pairs: str
) -> tuple[float, str]:
    """Return a threshold and its source if there are too few validation pairs to measure it."""
    earlier, threshold = former
    if not now.thresholds:
        return threshold, f"that of the model before; {pairs} are too few to measure any"
    rate = min(now.thresholds)
    ratio = now.thresholds[rate] / max(earlier.thresholds[rate], 1e-6)
    return (
        min(max(threshold * ratio, NEARLY_0), 3.9),
        f"estimated: that of the model before times {ratio:.3f}, as the squared L2 at FMR "
        f"{rate_name(rate)} moved; {pairs} are too few to measure it",
    )


def halve(network: FaceNetwork) -> None:
    """Round all weights to half precision, so that the network measured is the one saved.

    Counters of batch normalisation would not fit; they are set to 0, since only training uses them.
    """
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half().float())
            else:
                value.zero_()


def make_card(
    result: Calibrated,
    plan: Plan,
    *,
    facts: dict[str, Any],
    impostors: dict[str, Any],
    before: Measurement,
    verdict: ModelComparison,
    name: str,
    more: dict[str, Any],
) -> ModelCard:
    """Return the card of a new model, of this name.

    `facts` are those of the run. `impostors` is `calibration.impostor_table` of the validation
    people, and `before` the measurement of the model to compare with on them. `more` are measures
    besides those.
    """
    init, about, after = plan.init, plan.about, result.measurement
    unstated = f"not stated; the start was {init.name} ({init.licence})"
    own_data = about.get("data", [{"name": facts["data"], "terms": "not stated"}])
    return ModelCard(
        name=name,
        fingerprint="",
        architecture=plan.architecture | {"dimension": result.network.head.out_features},
        geometry=plan.geometry,
        dimension=result.network.head.out_features,
        threshold=result.threshold,
        threshold_source=result.threshold_source,
        licence=about.get("licence", unstated),
        description=about.get("description", f"{init.name} trained further with facecli"),
        source=f"facecli train from {init.name}, fingerprint {init.fingerprint}",
        thresholds={rate_name(rate): value for rate, value in after.thresholds.items()},
        metrics={
            "validation": _held_out(before, facts["validation_skipped"], whole=plan.request.whole),
            **_vals(before, after),
            "compared with": plan.baseline.name,
            "verdict": verdict.reason,
            **more,
        },
        impostors=impostors,
        data=(*init.data, *own_data),
        config=plan.config.on_card(),
        history=(*init.history, {"name": name, "init": init.name, **facts}),
    )


def _held_out(before: Measurement, skipped: int, *, whole: bool) -> dict[str, int]:
    """Return what the card tells of the validation photos."""
    return {
        "classes" if whole else "people": before.people,
        "photos": before.photos,
        "genuine pairs": before.pairs[0],
        "impostor pairs": before.pairs[1],
        "photos that cannot be used" if whole else "photos without a face": skipped,
    }


def _vals(before: Measurement, after: Measurement) -> dict[str, Any]:
    """Return what the card tells of VAL, of both models on the validation photos."""
    return {
        f"VAL at FAR {rate_name(far)}": {
            "before": before.val[far].estimate,
            "interval before": (before.val[far].low, before.val[far].high),
            "after": new.estimate,
            "interval after": (new.low, new.high),
        }
        for far, new in after.val.items()
    }


def save_model(path: Path, network: FaceNetwork, card: ModelCard) -> ModelCard:
    """Write the model; return its card with the fingerprint."""
    weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
    return checkpoints.save(path, weights, card)
