"""One run, from a folder of people to a model: read, prepare, build, train, finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facecli.calibration import impostor_table
from facecli.errors import MissingExtra
from facecli.metrics import all_pairs
from facecli.models import encoders
from facecli.models.networks import FaceNetwork
from facecli.training.batches import TakeData
from facecli.training.chipstore import Acquire
from facecli.training.config import TrainingConfig
from facecli.training.intake import Listeners, TrainingRequest
from facecli.training.loop import Step
from facecli.training.plots import draw_run
from facecli.training.preparing import build, prepare, read
from facecli.training.probes import PROBES, Hardship, measure_probes
from facecli.training.promotion import FARS, Measurement, ModelComparison, compare, measure
from facecli.training.result import make_card, save_model, with_calibrated_head
from facecli.training.start import blend, load_start, views_of
from facecli.training.taking import embedder, seen_by
from facecli.types import FloatArray, ModelCard


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The result of a run. `promoted` is the file in the user's model folder, or None."""

    card: ModelCard
    before: Measurement
    after: Measurement
    verdict: ModelComparison
    promoted: Path | None


class Session:
    """A prepared run: the data are read, the network is built, a saved state is restored.

    Raises TrainingError or ModelError, which name the input, if any of that fails.
    """

    def __init__(
        self,
        request: TrainingRequest,
        config: TrainingConfig,
        *,
        acquire: Acquire,
        tell: Listeners | None = None,
    ) -> None:
        self.tell = tell or Listeners()
        self.plan = read(request, config)
        self.prepared = prepare(self.plan, acquire, self.tell)
        self.trainer, self.data = build(self.plan, self.prepared, self.tell)

    def train(self) -> Iterator[Step]:
        """Train, and yield a report every few steps, after it was logged."""
        folder = self.plan.request.folder
        yield from self.trainer.run(
            self.data,
            save_to=folder.state,
            time_budget=self.plan.request.time_budget,
            log=folder.append,
        )

    def finish(self) -> FinishedRun:
        """Calibrate the averaged network, measure it, write the model, and promote it if asked.

        A file at the model's place is replaced only when the new file is complete.
        """
        plan, held_out = self.plan, self.prepared.held_out
        before_embeddings = plan.request.folder.before()
        assert before_embeddings is not None
        network = self.trainer.averaged()
        if plan.config.blend < 1:
            blend(network, self._start(), plan.config.blend)
        rates = sorted({*FARS, plan.config.threshold_fmr}, reverse=True)
        before = measure(before_embeddings, held_out.labels, rates=rates)
        result = with_calibrated_head(
            network,
            plan.config,
            see=self._views(network),
            labels=held_out.labels,
            former=(before, plan.baseline.threshold),
        )
        verdict = compare(before_embeddings, result.embeddings, held_out.labels)
        table = impostor_table(result.embeddings, held_out.labels, source="its validation people")
        card = make_card(
            result,
            plan,
            facts=self._facts(),
            impostors=table,
            before=before,
            verdict=verdict,
            hardships=self._probed(result.network),
        )
        card = save_model(plan.request.out, result.network, card)
        self._draw(before_embeddings, result.embeddings, card)
        promoted = None
        if plan.request.promote and verdict.better:
            promoted = encoders.user_models() / f"{plan.request.name}.safetensors"
            save_model(promoted, result.network, card)
        return FinishedRun(card, before, result.measurement, verdict, promoted)

    def _views(self, network: FaceNetwork) -> Callable[[], FloatArray]:
        """Return what embeds the held-out chips with a network, as it then is."""
        chips, mirror = self.prepared.held_out.chips, self.plan.mirror
        if isinstance(self.data, TakeData):
            return partial(seen_by, network, chips, self.data.cut, mirror=mirror)
        return partial(views_of, network, chips, mirror=mirror)

    def _start(self) -> FaceNetwork:
        plan = self.plan
        network, _ = load_start(plan.config, plan.init, plan.architecture)
        return network.to(self.trainer.device).eval()

    def _probed(self, result: FaceNetwork) -> list[Hardship]:
        """Measure start and result on probes, if the run is about those."""
        if not isinstance(self.data, TakeData) or len(np.unique(self.prepared.held_out.labels)) < 2:
            return []
        held_out, cut = self.prepared.held_out, self.data.cut
        embed = embedder([self._start(), result], cut)
        self.tell.say(f"measuring {len(held_out.labels)} photos in {len(PROBES)} bad forms")
        return list(measure_probes(held_out.chips, held_out.labels, embed))

    def _facts(self) -> dict[str, Any]:
        """Return the facts of the run that the card states besides the config."""
        labels = self.prepared.data.labels
        targets = self.prepared.data.targets
        return {
            "data": self.plan.request.data.resolve().name,
            "people": len(np.unique(labels[labels >= 0])),
            "photos": len(labels),
            "photos with a target": 0 if targets is None else int(np.isfinite(targets[:, 0]).sum()),
            "steps": self.trainer.step,
            "seconds": round(self.trainer.seconds),
            "device": self.trainer.device.type,
            "validation_skipped": self.prepared.held_out.skipped,
        }

    def _draw(self, before: FloatArray, after: FloatArray, card: ModelCard) -> None:
        try:
            draw_run(
                self.plan.request.folder.curves,
                self.plan.request.folder.steps(),
                before=all_pairs(before, self.prepared.held_out.labels),
                after=all_pairs(after, self.prepared.held_out.labels),
                thresholds=(self.plan.baseline.threshold, card.threshold),
                names=(f"{self.plan.baseline.name} (before)", f"{card.name} (after)"),
            )
        except MissingExtra as error:
            self.tell.say(str(error))
