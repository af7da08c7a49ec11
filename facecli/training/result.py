"""What a run leaves: a calibrated network in half precision, its card, and its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from facecli.errors import TrainingError
from facecli.metrics.support import rate_name, supported
from facecli.models import DIMENSION, checkpoints
from facecli.models.networks import FaceNetwork
from facecli.training.config import TrainingConfig
from facecli.training.joint import move_sphere
from facecli.training.preparing import Plan
from facecli.training.promotion import (
    FARS,
    Measurement,
    ModelComparison,
    combine,
    measure,
    shift_to_rate,
)
from facecli.training.start import views_of
from facecli.types import FloatArray, IntArray, ModelCard, PixelArray


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A network as it will be saved, with what it gives for the validation photos, (n, 128).

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
    chips: PixelArray,
    labels: IntArray,
    mirror: bool,
    former: tuple[Measurement, float],
) -> Calibrated:
    """Round the network to half precision and put its threshold where the config wants it.

    `chips` and `labels` are the validation photos; `former` are measurement and threshold of the
    model that this one is compared with. Where the pairs are too few for `config.threshold_fmr`,
    the network is left as it is, and its threshold is the former one's, moved as far as the
    squared L2 did at the strictest rate that the pairs support for both.
    """
    _halve(network)
    rate, impostors = config.threshold_fmr, former[0].pairs[1]
    rates = sorted({*FARS, rate}, reverse=True)
    pairs = f"{impostors:,} impostor pairs of {former[0].people} validation people"
    see = partial(views_of, network, chips, mirror=mirror)
    if supported(rate, impostors):
        network.shift.zero_()
        aim, remark = {"rate": rate, "wanted": config.threshold}, ""
        try:
            if network.joined:
                move_sphere(network, see, labels, **aim)
            else:
                network.shift.copy_(torch.from_numpy(shift_to_rate(see(), labels, **aim)))
        except TrainingError as error:  # a long run must not end empty-handed
            remark = f"; not calibrated, {error}"
        _halve(network)
        embeddings = combine(see())
        measured = measure(embeddings, labels, rates=rates)
        threshold = max(measured.thresholds[rate], 1e-3) if remark else config.threshold
        source = f"FMR {rate_name(rate)} over {pairs}{remark}"
        return Calibrated(network, embeddings, measured, threshold, source)
    embeddings = combine(see())
    measured = measure(embeddings, labels, rates=rates)
    return Calibrated(network, embeddings, measured, *_moved_threshold(measured, former, pairs))


def _moved_threshold(
    now: Measurement, former: tuple[Measurement, float], pairs: str
) -> tuple[float, str]:
    """Return a threshold and its source where the validation pairs are too few to measure it."""
    earlier, threshold = former
    if not now.thresholds:
        return threshold, f"that of the model before; {pairs} are too few to measure any"
    rate = min(now.thresholds)
    ratio = now.thresholds[rate] / max(earlier.thresholds[rate], 1e-6)
    return (
        min(max(threshold * ratio, 1e-3), 3.9),
        f"estimated: that of the model before times {ratio:.3f}, as the squared L2 at FMR "
        f"{rate_name(rate)} moved; {pairs} are too few to measure it",
    )


def _halve(network: FaceNetwork) -> None:
    """Round all weights to what half precision can hold, so that what is measured is what is saved.

    Counters of batch normalisation, which nothing reads outside training, would not fit.
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
) -> ModelCard:
    """Return the card of a new model.

    `facts` is what is known of the run, `impostors` the table of the validation people as
    `calibration.impostor_table` makes it, `before` what the model to compare with does on them.
    """
    init, about = plan.init, plan.about
    unstated = f"not stated; the start was {init.name} ({init.licence})"
    own_data = about.get("data", [{"name": facts["data"], "terms": "not stated"}])
    name = plan.request.name
    return ModelCard(
        name=name,
        fingerprint="",
        architecture=plan.architecture,
        geometry=init.geometry,
        dimension=DIMENSION,
        threshold=result.threshold,
        threshold_source=result.threshold_source,
        licence=about.get("licence", unstated),
        description=about.get("description", f"{init.name} trained further with facecli"),
        source=f"facecli train from {init.name}, fingerprint {init.fingerprint}",
        thresholds={
            rate_name(rate): value for rate, value in result.measurement.thresholds.items()
        },
        metrics={
            **_metrics(before, result.measurement, skipped=facts["validation_skipped"]),
            "compared with": plan.baseline.name,
            "verdict": verdict.reason,
        },
        impostors=impostors,
        data=(*init.data, *own_data),
        config=plan.config.on_card(),
        history=(*init.history, {"name": name, "init": init.name, **facts}),
    )


def _metrics(before: Measurement, after: Measurement, *, skipped: int) -> dict[str, Any]:
    """Return what the card tells of the validation people, and VAL of both models on them."""
    people = {
        "people": before.people,
        "photos": before.photos,
        "genuine pairs": before.pairs[0],
        "impostor pairs": before.pairs[1],
        "photos without a face": skipped,
    }
    return {"validation": people} | {
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
