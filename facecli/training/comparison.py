"""Compare losses: each is tried on folds of the classes, and sees the test classes once.

The protocol is that of Musgrave et al. 2020, section 3: classes are split, not pictures; all losses
have the same trunk, dimension, crops, batches and number of trials; the trial with the best mean
MAP@R over the folds is trained on all of their classes, and measured on classes that no fold had.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from facecli.errors import TrainingError
from facecli.metrics import retrieve
from facecli.models.networks import FaceNetwork
from facecli.models.torch_encoder import resolve_torch_device
from facecli.training.aims import aims_of
from facecli.training.batches import TakeData, TrainingData
from facecli.training.chipstore import Acquire
from facecli.training.class_folds import split_classes
from facecli.training.compared import ComparedLosses
from facecli.training.config import completed
from facecli.training.contest import Contest
from facecli.training.derived import slice_of
from facecli.training.head import features_of, fit_principal_head
from facecli.training.intake import Listeners, Reader, TrainingRequest
from facecli.training.loop import Trainer
from facecli.training.plan import Plan
from facecli.training.preparing import insert_norms, read
from facecli.training.promotion import combine
from facecli.training.results import Found, Results, summary
from facecli.training.start import fit_start, load_start, views_of
from facecli.training.taking import embed_maps, features_after, take_data
from facecli.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Job:
    """One network to be trained: a trial of a rival without a fold, or, with None, the last one."""

    rival: int
    trial: int
    fold: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How many networks of how many are trained, what comes next, and the seconds left."""

    done: int
    total: int
    name: str
    left: float


class Comparison:
    """A comparison whose data are read; networks that were trained before are not trained again.

    Raises TrainingError or ModelError, which name the input, if the data cannot be used.
    """

    def __init__(
        self,
        request: TrainingRequest,
        settings: dict[str, Any],
        contest: Contest,
        *,
        folds: int,
        acquire: Acquire,
        tell: Listeners,
    ) -> None:
        """Take the settings that hold for all losses; those of the contest come after them."""
        self.contest, self.request, self.tell = contest, request, tell
        self.settings = contest.common | settings
        config = completed(self.settings, whole=request.whole, tasks=False)
        plan = read(request, config)
        none = np.zeros(len(plan.photos.photos), bool)
        photos = dataclasses.replace(plan.photos, held_back=none)
        self.plan = dataclasses.replace(plan, photos=photos)
        request.folder.make()
        self.read, _ = Reader(request, plan.geometry, acquire, tell, border=config.border).read(
            photos
        )
        self.device = torch.device(resolve_torch_device(request.device))
        self.split = split_classes(
            self.read.labels, test_share=contest.test_share, folds=folds, seed=config.seed
        )
        request.folder.write_table("training.csv", photos.photos, self.split.train(None))
        request.folder.write_table("test.csv", photos.photos, self.split.test)
        self.data: TrainingData | TakeData = self.read
        if config.takes:
            network = self._start(self.plan)[0].to(self.device)
            self.data = take_data(self.plan, self.read, network, tell)
        self.results = Results(request.folder.path / "results")

    def run(self) -> Iterator[Progress]:
        """Train what is not trained yet; yield how far it is before each network."""
        total = len(self.contest.rivals) * (self.contest.trials * len(self.split.folds) + 1)
        took: list[float] = []
        for done, job in enumerate(self._jobs()):
            rival = self.contest.rivals[job.rival]
            what = "test classes" if job.fold is None else f"fold {job.fold + 1}"
            left = float(np.mean(took)) * (total - done) if took else float("nan")
            yield Progress(done, total, f"{rival.name}, {what}", left)
            if not self.results.has(self._key(job)):
                began = time.monotonic()
                self._do(job)
                took.append(time.monotonic() - began)

    def finish(self) -> ComparedLosses:
        """Return the comparison of all losses, and of the features without training."""
        rivals = list(enumerate(self.contest.rivals))
        return summary(
            self.contest,
            {one.name: (self._best(place), self._final(place)) for place, one in rivals},
            folds={one.name: self._of_folds(place, self._best(place)) for place, one in rivals},
            seconds={one.name: self._seconds(place) for place, one in rivals},
            untrained=self._untrained(),
            facts=self._facts(),
        )

    def _seconds(self, rival: int) -> float:
        """Return how long all networks of a loss took."""
        trials = [self._of_folds(rival, trial) for trial in range(self.contest.trials)]
        return self._final(rival).seconds + sum(one.seconds for found in trials for one in found)

    def _jobs(self) -> Iterator[Job]:
        """Yield all jobs: first the trials of all losses, then the best trial of each."""
        folds, trials = range(len(self.split.folds)), range(self.contest.trials)
        for place in range(len(self.contest.rivals)):
            for trial in trials:
                yield from (Job(place, trial, fold) for fold in folds)
        for place in range(len(self.contest.rivals)):
            yield Job(place, self._best(place), None)

    def _best(self, rival: int) -> int:
        """Return the trial with the best mean MAP@R over the folds; the first of equals."""
        means = [self._mean(rival, trial) for trial in range(self.contest.trials)]
        return int(np.argmax(means))

    def _mean(self, rival: int, trial: int) -> float:
        found = [one for one in self._of_folds(rival, trial) if one.works]
        whole = len(found) == len(self.split.folds)
        return float(np.mean([one.precision.mean() for one in found])) if whole else -1.0

    def _of_folds(self, rival: int, trial: int) -> list[Found]:
        folds = range(len(self.split.folds))
        return [self.results.load(self._key(Job(rival, trial, fold))) for fold in folds]

    def _final(self, rival: int) -> Found:
        return self.results.load(self._key(Job(rival, self._best(rival), None)))

    def _key(self, job: Job) -> str:
        """Return a hash over all that decides the result of a job."""
        classes = self.split.train(job.fold).tolist(), self.split.measure(job.fold).tolist()
        about = [self._plan(job).settings(), classes]
        return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()

    def _plan(self, job: Job) -> Plan:
        """Return the plan with the settings of a job."""
        trial = self.contest.rivals[job.rival].trials[job.trial]
        config = completed(self.settings | trial, whole=self.request.whole, tasks=False)
        return dataclasses.replace(self.plan, config=config)

    def _do(self, job: Job) -> None:
        """Train a network, and keep what it finds; one that fails is kept as that."""
        began = time.monotonic()
        measured = self._rows(self.split.measure(job.fold))
        try:
            network = self._trained(self._plan(job), self._rows(self.split.train(job.fold)))
        except TrainingError as error:
            self.tell.say(f"{self.contest.rivals[job.rival].name}: {error}")
            self.results.keep(self._key(job), Found.failed(time.monotonic() - began))
            return
        embeddings = self._embedded(network, measured)
        found = retrieve(embeddings, self.data.labels[measured], ks=(1,))
        self.results.keep(
            self._key(job),
            Found(
                embeddings=embeddings if job.fold is None else embeddings[:0],
                labels=self.data.labels[measured],
                classes=found.query_classes,
                hits=found.hits[:, 0].astype(np.float64),
                precision=found.average_precision_at_r,
                r_precision=found.precision_at_r,
                seconds=time.monotonic() - began,
            ),
        )

    def _rows(self, classes: IntArray) -> IntArray:
        """Return the rows of the data whose class is one of these."""
        wanted: BoolArray = np.isin(self.data.labels, classes)
        return np.flatnonzero(wanted)

    def _start(self, plan: Plan) -> tuple[FaceNetwork, bool]:
        torch.manual_seed(plan.config.seed)  # what is not loaded from the start is random
        return load_start(plan.config, plan.init, plan.architecture)

    def _trained(self, plan: Plan, rows: IntArray) -> FaceNetwork:
        """Return a network trained on some rows of the data."""
        config = plan.config
        network, has_head = self._start(plan)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        data: TrainingData | TakeData
        if isinstance(self.data, TakeData):
            maps = self.data.maps[rows]
            data = dataclasses.replace(self.data, maps=maps, labels=self.data.labels[rows])
            if not has_head:
                fit_principal_head(network, features_after(network, maps[:, 0], data.cut))
        else:
            assert self.data.rows is not None
            data = dataclasses.replace(
                self.data, labels=self.data.labels[rows], rows=self.data.rows[rows]
            )
            fit_start(
                network,
                has_head=has_head,
                config=config,
                card=plan.init,
                chips=data.chips,
                rows=self.data.rows[rows],
                targets=None,
            )
            insert_norms(network, config, data)
        trainer = Trainer(network, config, self.device, aims_of(config, data.labels))
        for _ in trainer.run(data, save_to=self.request.folder.state):
            pass
        return trainer.averaged()

    def _embedded(self, network: FaceNetwork, rows: IntArray) -> FloatArray:
        """Return the embeddings (n, d) of some rows of the data, of clean pictures."""
        if isinstance(self.data, TakeData):
            return embed_maps(network.eval(), self.data.maps[rows, 0], self.data.cut)
        assert self.data.rows is not None
        chips = self.data.chips[self.data.rows[rows]]
        return combine(views_of(network, chips, mirror=self.plan.mirror))

    def _untrained(self) -> tuple[FloatArray, IntArray]:
        """Return what the start alone makes of the test classes, at unit length, and the labels."""
        rows = self._rows(self.split.test)
        network, has_head = self._start(self.plan)
        network.to(self.device)
        if has_head:
            return self._embedded(network, rows), self.data.labels[rows]
        return slice_of(self._features(network, rows), slice(None)), self.data.labels[rows]

    def _features(self, network: FaceNetwork, rows: IntArray) -> FloatArray:
        if isinstance(self.data, TakeData):
            return features_after(network, self.data.maps[rows, 0], self.data.cut)
        assert self.data.rows is not None
        features = features_of(network.eval(), self.data.chips[self.data.rows[rows]])
        found: FloatArray = features.cpu().numpy()
        return found

    def _facts(self) -> tuple[tuple[str, str], ...]:
        config, split = self.plan.config, self.split
        trained = self._rows(split.train(None))
        return (
            ("data", self.request.data.resolve().name),
            ("start", self.plan.init.name),
            ("training classes", f"{len(split.train(None))}, {len(trained):,} pictures"),
            ("test classes", f"{len(split.test)}, {len(self._rows(split.test)):,} pictures"),
            ("folds", str(len(split.folds))),
            ("trials of each loss", str(self.contest.trials)),
            ("steps", f"{config.steps:,}"),
            ("batch", f"{config.people} classes × {config.photos} pictures"),
            ("dimension", str(config.dimension)),
            ("seed", str(config.seed)),
        )
