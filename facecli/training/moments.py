"""How a few photos lie to each other at the start, in the middle and at the end of a run.

They are the same photos each time, some of those that the run learns from. Looking at them changes
no number of the run: nothing random is drawn, and the network is left in the mode it was in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from facecli.training.batches import TakeData, TrainingData
from facecli.training.config import TrainingConfig
from facecli.training.folder import RunFolder
from facecli.training.loop import Trainer
from facecli.training.pair_losses import pair_rows
from facecli.training.start import views_of
from facecli.training.steps import Step
from facecli.training.story import Moment
from facecli.training.synthesis import symmetric
from facecli.training.taking import embed_maps
from facecli.types import FloatArray, IntArray

CLASSES, PHOTOS = 12, 8
"""Most classes looked at, as many as a map can tell apart, and most photos of each."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Keeps the embeddings of some photos of a run in its folder, where a resumed run finds them.

    Raises TrainingError where they cannot be written.
    """

    folder: RunFolder
    trainer: Trainer
    data: TrainingData | TakeData

    def start(self) -> None:
        """Look before the first step; a run that continues looked then."""
        if not self.trainer.step:
            self._look()

    def listen(self, step: Step) -> None:
        """Take a report, and look once, when half of the run is done."""
        half = step.seconds >= step.left
        if half and not any(kept for kept in self.folder.moments_kept()):
            self._look()

    def end(self) -> None:
        """Look after the last step, if that was not done."""
        if self.trainer.step not in self.folder.moments_kept():
            self._look()

    def _look(self) -> None:
        config = self.trainer.config
        rows = photos_to_watch(self.data.labels, config.seed)
        network = self.trainer.network
        with _as_it_was(network):
            if isinstance(self.data, TakeData):
                seen = embed_maps(network, self.data.maps[rows, 0], self.data.cut)
            else:
                places = rows if self.data.rows is None else self.data.rows[rows]
                seen = views_of(network, self.data.chips[places], mirror=False)[0]
        labels = self.data.labels[rows]
        made, theirs = reflected(seen, labels) if _synthesises(config) else (seen[:0], labels[:0])
        self.folder.keep_moment(
            Moment(
                step=self.trainer.step,
                embeddings=np.concatenate([seen, made]),
                labels=np.concatenate([labels, theirs]),
                synthetic=np.arange(len(seen) + len(made)) >= len(seen),
            )
        )


def photos_to_watch(labels: IntArray, seed: int) -> IntArray:
    """Return some rows of `labels` (n,), up to PHOTOS of each of CLASSES classes drawn by `seed`.

    Classes of one photo are drawn only if there are no others: they show nothing drawn together.
    """
    random = np.random.default_rng([seed, CLASSES])
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    if (counts > 1).any():
        classes = classes[counts > 1]
    drawn = np.sort(random.permutation(classes)[:CLASSES])
    rows = [random.permutation(np.flatnonzero(labels == one))[:PHOTOS] for one in drawn]
    return np.concatenate([np.empty(0, np.int64), *rows])


def reflected(embeddings: FloatArray, labels: IntArray) -> tuple[FloatArray, IntArray]:
    """Return the synthetic points (m, d) that a symm- loss makes of unit rows (n, d), and labels.

    There are two for each pair of rows that the loss would make of this as a batch.
    """
    first, second = pair_rows(torch.from_numpy(labels))
    rows = torch.from_numpy(embeddings)
    a, p = rows[first], rows[second]
    made: FloatArray = torch.cat([symmetric(a, p), symmetric(p, a)]).numpy()
    return made, labels[np.tile(first.numpy(), 2)]


def _synthesises(config: TrainingConfig) -> bool:
    return config.loss.startswith("symm-") and config.options.get("synthetic", 1) > 0


@contextmanager
def _as_it_was(network: nn.Module) -> Iterator[None]:
    """Give each part of a network back the mode, training or not, that it has now."""
    modes = [(part, part.training) for part in network.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
