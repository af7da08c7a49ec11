"""One run, from a folder of people to a model: read, prepare, build, train, finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from facecli.calibration import impostor_table
from facecli.errors import MissingExtra
from facecli.models import encoders
from facecli.models.networks import FaceNetwork
from facecli.training.batches import TakeData
from facecli.training.chipstore import Acquire
from facecli.training.config import TrainingConfig
from facecli.training.intake import Listeners, TrainingRequest
from facecli.training.joint import SAMPLE
from facecli.training.moments import Witness
from facecli.training.outcome import (
    FinishedModel,
    FinishedRun,
    HeldOutTask,
    Part,
    parts_of,
    retrieval_measures,
)
from facecli.training.picture_threshold import with_picture_threshold
from facecli.training.plots import draw_run
from facecli.training.preparing import build, prepare, read
from facecli.training.probes import PROBES, Hardship, measure_probes
from facecli.training.promotion import FARS, Measurement, combine, compare, measure
from facecli.training.result import Calibrated, make_card, save_model, with_calibrated_head
from facecli.training.start import blend, load_start, views_of
from facecli.training.steps import Step
from facecli.training.story import ComparedPairs
from facecli.training.taking import embed_maps, embedder, seen_by
from facecli.training.telling import compared_pairs, story_of
from facecli.types import FloatArray


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
        self.witness: Witness | None = None
        if self.plan.has_page:
            self.witness = Witness(request.folder, self.trainer, self.data)

    def train(self) -> Iterator[Step]:
        """Train, and yield a report every few steps, after it was logged."""
        if self.witness is not None:
            self.witness.start()
        yield from self.trainer.run(
            self.data,
            save_to=self.plan.request.folder.state,
            time_budget=self.plan.request.time_budget,
            log=self._log,
        )

    def _log(self, step: Step) -> None:
        self.plan.request.folder.append(step)
        if self.witness is not None:
            self.witness.listen(step)

    def finish(self) -> FinishedRun:
        """Calibrate the averaged network, measure it, write the models, and promote if asked.

        A file at a model's place is replaced only when the new file is complete.
        """
        request = self.plan.request
        before = request.folder.before()
        assert before is not None
        if self.witness is not None:
            self.witness.end()
        network = self.trainer.averaged()
        if self.plan.config.blend < 1:
            blend(network, self._start(), self.plan.config.blend)
        parts = parts_of(
            network,
            before=before,
            labels=self.prepared.held_out.labels,
            tasks=self._tasks(),
            trained_on=partial(self.trained_on, network),
            see=lambda one: self._views(one)(),
        )
        made, *slices = [self._finished(part) for part in parts]
        pairs = compared_pairs(self.plan, made)
        self._draw(pairs)
        promoted = None
        if request.promote and made.verdict.better:
            promoted = encoders.user_models() / f"{request.name}.safetensors"
            save_model(promoted, made.network, made.card)
        story = None
        if self.plan.has_page:
            held_out = self.prepared.held_out
            story = story_of(self.plan, self.trainer, held_out, (made, *slices), pairs)
        return FinishedRun(made, tuple(slices), promoted, story)

    def _finished(self, part: Part) -> FinishedModel:
        """Calibrate, measure and write one model."""
        plan = self.plan
        rates = sorted({*FARS, plan.config.threshold_fmr}, reverse=True)
        before = measure(part.before, part.labels, rates=rates)
        result = self._calibrated(part, before)
        verdict = compare(part.before, result.embeddings, part.labels, plan.kind)
        source = f"its validation {plan.kind}"
        card = make_card(
            result,
            plan,
            facts=self._facts(),
            impostors=impostor_table(result.embeddings, part.labels, source=source),
            before=before,
            verdict=verdict,
            name=part.name(plan.request.name),
            more=self._more(part, result),
        )
        path = part.path(plan.request.out)
        card = save_model(path, result.network, card)
        return FinishedModel(
            task=part.task,
            path=path,
            card=card,
            network=result.network,
            before_embeddings=part.before,
            embeddings=result.embeddings,
            labels=part.labels,
            before=before,
            after=result.measurement,
            verdict=verdict,
        )

    def _calibrated(self, part: Part, before: Measurement) -> Calibrated:
        """Return the network of a part with its threshold."""
        config, see = self.plan.config, self._views(part.network)
        if self.plan.request.whole:
            return with_picture_threshold(
                part.network, config, see=see, labels=part.labels, before=before
            )
        former = (before, self.plan.baseline.threshold)
        return with_calibrated_head(
            part.network, config, see=see, labels=part.labels, former=former
        )

    def _more(self, part: Part, result: Calibrated) -> dict[str, Any]:
        """Return what the card tells besides verification: retrieval, and the errors on probes."""
        if not self.plan.request.whole:
            hardships = self._probed(result.network)
            return {"probes": {one.name: one.on_card() for one in hardships}} if hardships else {}
        apart = self.prepared.held_out.labels if part.task else None
        found: dict[str, Any] = {
            "before": retrieval_measures(part.before, part.labels, apart=apart),
            "after": retrieval_measures(result.embeddings, part.labels, apart=apart),
        }
        if part.longer:
            found[f"of all {self.plan.config.dimension} numbers"] = part.longer
        if part.task:
            found["neighbours"] = "without the pictures of the same class"
        return {"retrieval": found}

    def _tasks(self) -> tuple[HeldOutTask, ...]:
        """Return the tasks with their labels of the validation photos."""
        rows = self.prepared.held_out.rows
        assert rows is not None or not self.plan.photos.tasks
        return tuple(
            HeldOutTask(one.task.name, one.task.numbers, one.labels[rows])
            for one in self.plan.photos.tasks
        )

    def trained_on(self, network: FaceNetwork) -> FloatArray:
        """Return a network's embeddings (n, d) of some of the photos to learn from."""
        data = self.data
        some = np.random.default_rng(self.plan.config.seed).permutation(len(data.labels))[:SAMPLE]
        if isinstance(data, TakeData):
            return embed_maps(network, data.maps[np.sort(some), 0], data.cut)
        assert data.rows is not None
        return combine(views_of(network, data.chips[np.sort(data.rows[some])], mirror=False))

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

    def _draw(self, pairs: tuple[ComparedPairs, ComparedPairs]) -> None:
        folder = self.plan.request.folder
        before, after = pairs
        try:
            draw_run(folder.curves, folder.steps(), before=before, after=after)
        except MissingExtra as error:
            self.tell.say(str(error))
