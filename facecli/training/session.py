"""One run, from a folder of people to a model: prepare, train, finish."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facecli.calibration import impostor_table
from facecli.errors import MissingExtra, ModelError, TrainingError
from facecli.metrics import all_pairs
from facecli.models import encoders
from facecli.training.batchnorm import insert_batch_norm
from facecli.training.chipstore import Acquire
from facecli.training.config import TrainingConfig
from facecli.training.intake import (
    Listeners,
    Photos,
    Reader,
    TrainingRequest,
    check_data,
    read_photos,
)
from facecli.training.loop import Step, Trainer
from facecli.training.plots import draw_run
from facecli.training.promotion import FARS, Measurement, ModelComparison, combine, compare, measure
from facecli.training.result import make_card, read_data_card, save_model, with_calibrated_head
from facecli.training.start import (
    architecture_of,
    fit_start,
    load_start,
    views_of,
)
from facecli.types import FloatArray, ModelCard

NORMALISED_OVER = 256
"""Chips over which inserted batch normalisation takes its first statistics."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What came of a run. `promoted` is where the model was put to be found by its name."""

    card: ModelCard
    before: Measurement
    after: Measurement
    verdict: ModelComparison
    promoted: Path | None


class Session:
    """A prepared run: data read, network built, state restored if there is one.

    Raises TrainingError or ModelError, each naming the input, if any of that cannot be.
    """

    def __init__(
        self,
        request: TrainingRequest,
        config: TrainingConfig,
        *,
        acquire: Acquire,
        tell: Listeners | None = None,
    ) -> None:
        self.request, self.config = request, config
        self.tell = tell or Listeners()
        self.about = read_data_card(request.data_card)
        self.init = encoders.read_card(config.init)
        has_targets = request.targets is not None
        if config.teacher and not has_targets:
            raise TrainingError(f"teacher {config.teacher} joins targets, and none were given")
        self.architecture = architecture_of(config, self.init, has_targets=has_targets)
        if request.out.suffix != ".safetensors" or not request.out.parent.is_dir():
            raise TrainingError(
                f"{request.out}: the model needs a name that ends in .safetensors, in a folder "
                "that exists"
            )
        photos = read_photos(request, config)
        resuming = request.folder.begin(self._settings(photos), resume=request.resume)
        request.folder.write_split(photos.photos, photos.held_back)
        reader = Reader(request, self.init.geometry, acquire, self.tell)
        self.data, self.held_out = reader.read(photos)
        check_data(self.data, request, config)
        self.baseline_name, self.baseline = self._baseline()
        self.trainer = self._make_trainer(resuming=resuming)

    def _settings(self, photos: Photos) -> dict[str, Any]:
        """Return what decides the result, for a resumed run to be held to."""
        return {
            **dataclasses.asdict(self.config),
            "data": photos.digest(),
            "chips": self.request.chips,
            "validation": str(self.request.validation),
            "init fingerprint": self.init.fingerprint,
        }

    def _baseline(self) -> tuple[str, ModelCard]:
        """Return the model to compare with: the one that has this name, else the start."""
        try:
            return self.request.name, encoders.read_card(self.request.name)
        except ModelError:
            return self.config.init, self.init

    def _make_trainer(self, *, resuming: bool) -> Trainer:
        """Build the network, give it a head, measure it, and restore what a run had saved."""
        config, folder = self.config, self.request.folder
        device = torch.device(encoders.resolve_device(self.request.device))
        network, has_head = load_start(config, self.init, self.architecture)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        assert self.data.rows is not None
        if not resuming:
            if config.teacher:
                self.tell.say(f"embedding {len(self.data.rows)} chips with {config.teacher}")
            start = fit_start(
                network,
                has_head=has_head,
                config=config,
                card=self.init,
                chips=self.data.chips,
                rows=self.data.rows,
                targets=self.data.targets,
            )
            self.tell.say(f"starting from {self.init.name} with {start}")
        if folder.before() is None:
            folder.keep_before(self._embed_baseline(network))
        if config.batch_norm:
            chosen = np.random.default_rng(config.seed).permutation(self.data.rows)
            sample = np.sort(chosen[:NORMALISED_OVER])
            pixels = torch.from_numpy(self.data.chips[sample]).to(device)
            insert_batch_norm(network, pixels.permute(0, 3, 1, 2).float())
        trainer = Trainer(network, config, device)
        if resuming:
            trainer.restore(folder.state)
            folder.forget_after(trainer.step)
            self.tell.say(f"continuing after step {trainer.step}")
        return trainer

    def _embed_baseline(self, start: Any) -> FloatArray:
        """Return what the model to compare with gives for the validation photos, (n, 128).

        A start that has no 128 numbers of its own is measured as training finds it, with its head.
        """
        card, chips = self.baseline, self.held_out.chips
        if self.baseline_name in encoders.INCEPTION:
            views = views_of(start, chips, mirror=self._mirror)
            return combine(views)
        if card.geometry != self.init.geometry:
            raise TrainingError(
                f"{card.name}: has other chips than {self.init.name}; give the new model another "
                "name"
            )
        return encoders.load_encoder(self.baseline_name, device=self.request.device).embed(chips)

    @property
    def _mirror(self) -> bool:
        return bool(self.architecture.get("mirror"))

    def train(self) -> Iterator[Step]:
        """Train, yielding a report every few steps; each is logged first."""
        folder = self.request.folder
        yield from self.trainer.run(
            self.data,
            save_to=folder.state,
            time_budget=self.request.time_budget,
            log=folder.append,
        )

    def finish(self) -> FinishedRun:
        """Calibrate the averaged network, measure it, write the model, and promote it if asked.

        What was at the model's place is replaced only when the new file is whole.
        """
        before_embeddings = self.request.folder.before()
        assert before_embeddings is not None
        labels, config = self.held_out.labels, self.config
        rates = sorted({*FARS, config.threshold_fmr}, reverse=True)
        before = measure(before_embeddings, labels, rates=rates)
        result = with_calibrated_head(
            self.trainer.averaged(),
            config,
            chips=self.held_out.chips,
            labels=labels,
            mirror=self._mirror,
            former=(before, self.baseline.threshold),
        )
        verdict = compare(before_embeddings, result.embeddings, labels)
        card = make_card(
            result,
            name=self.request.name,
            init=self.init,
            architecture=self.architecture,
            config=config,
            about=self.about,
            facts=self._facts(),
            impostors=impostor_table(result.embeddings, labels, source="its validation people"),
            former=(self.baseline.name, before),
            verdict=verdict,
        )
        card = save_model(self.request.out, result.network, card)
        self._draw(before_embeddings, result.embeddings, card)
        promoted = None
        if self.request.promote and verdict.better:
            promoted = encoders.user_models() / f"{self.request.name}.safetensors"
            save_model(promoted, result.network, card)
        return FinishedRun(card, before, result.measurement, verdict, promoted)

    def _facts(self) -> dict[str, Any]:
        """Return what the card tells of the run besides its config."""
        labels = self.data.labels
        targets = self.data.targets
        return {
            "data": self.request.data.resolve().name,
            "people": len(np.unique(labels[labels >= 0])),
            "photos": len(labels),
            "photos with a target": 0 if targets is None else int(np.isfinite(targets[:, 0]).sum()),
            "steps": self.trainer.step,
            "seconds": round(self.trainer.seconds),
            "device": self.trainer.device.type,
            "validation_skipped": self.held_out.skipped,
        }

    def _draw(self, before: FloatArray, after: FloatArray, card: ModelCard) -> None:
        try:
            draw_run(
                self.request.folder.curves,
                self.request.folder.steps(),
                before=all_pairs(before, self.held_out.labels),
                after=all_pairs(after, self.held_out.labels),
                thresholds=(self.baseline.threshold, card.threshold),
                names=(f"{self.baseline.name} (before)", f"{card.name} (after)"),
            )
        except MissingExtra as error:
            self.tell.say(str(error))
