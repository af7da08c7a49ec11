"""What a run learns by: a loss on the whole embedding, and one on the slice of each task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facecli.training.config import TrainingConfig
from facecli.training.objective import Objective, Terms
from facecli.training.objectives import make_objective
from facecli.training.tasks import TaskLabels
from facecli.types import IntArray

QUANTILES = 21
"""Angles are logged as this many evenly spaced quantiles, from the least to the largest."""


class Aims(nn.Module):
    """The losses of a run, and what they learn themselves.

    `labels` (n,) are those of all photos to learn from, -1 for unknown; the losses see them
    numbered without gaps. `tasks` have labels for the same photos. The triplet loss on the whole
    embedding is not here: `batch_loss` has it, since it heeds targets.
    """

    classes: Tensor
    questions: Tensor

    def __init__(
        self, config: TrainingConfig, labels: IntArray, tasks: Sequence[TaskLabels] = ()
    ) -> None:
        super().__init__()
        known = np.unique(labels[labels >= 0])
        self.count = len(known)
        self.register_buffer("classes", torch.from_numpy(known), persistent=False)
        self.main: Objective | None = None
        if config.loss != "triplet":
            self.main = make_objective(
                config.loss,
                classes=self.count,
                dimension=config.dimension,
                options=config.options,
            )
        self.slices = [one.task.numbers for one in tasks]
        self.of_tasks = nn.ModuleList(
            make_objective(
                config.loss,
                classes=len(one.names),
                dimension=one.task.size,
                options={"margin": config.margin} if config.loss == "triplet" else config.options,
                mining=config.mining,
            )
            for one in tasks
        )
        columns = [torch.from_numpy(one.labels) for one in tasks]
        questions = torch.stack(columns) if columns else torch.empty((0, len(labels)))
        self.register_buffer("questions", questions.long(), persistent=False)

    def numbered(self, labels: Tensor) -> Tensor:
        """Return labels (n,) as numbers of classes without gaps, -1 for unknown."""
        places = torch.searchsorted(self.classes, labels.clamp(min=0))
        return torch.where(labels >= 0, places, labels)

    def of_whole(self, embeddings: Tensor, labels: Tensor) -> Terms | None:
        """Return the terms of the whole embeddings (n, d), or None for the triplet loss."""
        return None if self.main is None else self.main(embeddings, self.numbered(labels))

    def of_slices(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """Return the sum of the tasks' losses; `rows` (n,) say which photos the embeddings are of.

        Each slice is scaled to unit length by itself.
        """
        total = embeddings.new_zeros(())
        for numbers, objective, labels in zip(
            self.slices, self.of_tasks, self.questions, strict=True
        ):
            part = functional.normalize(embeddings[:, numbers])
            total = total + objective(part, labels[rows]).loss
        return total

    @torch.no_grad()
    def angles(self, embeddings: Tensor, labels: Tensor) -> tuple[float, ...]:
        """Return quantiles of the degrees to the learned centres; () for losses without those."""
        found = None if self.main is None else self.main.angles(embeddings, self.numbered(labels))
        if found is None or not len(found):
            return ()
        places = torch.linspace(0, 1, QUANTILES, device=found.device)
        return tuple(round(value, 2) for value in found.float().quantile(places).tolist())


def aims_of(
    config: TrainingConfig, labels: IntArray, tasks: Sequence[TaskLabels] = ()
) -> Aims | None:
    """Return the losses of a run; None if it is the triplet loss on the whole embedding alone."""
    return Aims(config, labels, tasks) if tasks or config.loss != "triplet" else None
