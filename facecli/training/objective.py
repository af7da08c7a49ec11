"""What every loss by name has in common: rows without a label go, and some have centres.

An objective takes a batch of embeddings and says how wrong it is. Objectives that learn something
of their own, such as a centre of each class, hold it as ordinary parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Terms:
    """The loss of a batch, a scalar with a gradient, and numbers to report, scalars without.

    `measured` may hold:

    - `synthetic`: the share of class pairs whose hardest pair has a synthetic point, 0 to 1
    - `accuracy`: the share of rows nearest to their own class, without any margin, 0 to 1
    - `accuracy_with_margin`: the same with the margin that the loss adds, 0 to 1
    - `semi_hard`: the share of genuine pairs with a semi-hard negative, 0 to 1

    It is empty where there was nothing to learn from.
    """

    loss: Tensor
    measured: dict[str, Tensor] = field(default_factory=dict)


def nothing(embeddings: Tensor) -> Terms:
    """Return a loss of 0 that still has a gradient, of 0, so that a training step can go on."""
    return Terms(embeddings.sum() * 0.0)


class Objective(nn.Module):
    """A loss. Subclasses define `terms`."""

    def __call__(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return the loss of unit rows float32 (n, d) with labels int64 (n,), −1 for unknown."""
        return cast("Terms", super().__call__(embeddings, labels))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Drop the rows without a label, and return the terms of the others."""
        embeddings, labels = known_rows(embeddings, labels)
        return self.terms(embeddings, labels) if len(labels) else nothing(embeddings)

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return the terms of at least one row. All labels are 0 or more."""
        raise NotImplementedError

    def angles(self, embeddings: Tensor, labels: Tensor) -> Tensor | None:
        """Return the degrees, 0 to 180, between rows and the learned centres of their classes.

        Takes what a call takes. The result has a number for each row with a label, in their order.
        Where a class has several centres, the nearest counts. None for losses without centres.
        """
        del embeddings, labels
        return None


def known_rows(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows whose label is known, that is 0 or more. All losses see only these."""
    known = labels >= 0
    return embeddings[known], labels[known]


class PlainObjective(Objective):
    """A loss without parameters: a function of embeddings (n, d) and labels (n,), all known."""

    def __init__(self, function: Callable[[Tensor, Tensor], Terms]) -> None:
        super().__init__()
        self.function = function

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return what the function gives."""
        return self.function(embeddings, labels)


class ClassObjective(Objective):
    """A loss that learns a centre, or several, of each class. Subclasses define `centres`."""

    def centres(self) -> Tensor:
        """Return the centres (classes, k, d), of any length."""
        raise NotImplementedError

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Return the cosine (n, classes) between each row and the nearest centre of each class."""
        centres = functional.normalize(self.centres(), dim=2)
        return torch.einsum("nd,ckd->nck", embeddings, centres).amax(dim=2)

    @torch.no_grad()
    def angles(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the degrees to the centres, as `Objective.angles` says."""
        embeddings, labels = known_rows(embeddings, labels)
        own = self.cosines(embeddings).gather(1, labels[:, None]).squeeze(1)
        return own.clamp(-1.0, 1.0).acos().rad2deg()


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share, 0 to 1, of rows whose largest logit (n, classes) is that of their label."""
    return (logits.detach().argmax(dim=1) == labels).float().mean()


def class_rows(classes: int, dimension: int) -> nn.Parameter:
    """Return a random row per class (classes, d), of about unit length.

    Then one rate suits the parameters of all losses, whatever the dimension.
    """
    return nn.Parameter(start(torch.empty(classes, dimension), dimension))


def start(parameter: Tensor, dimension: int) -> Tensor:
    """Fill a tensor, in place, with normal numbers of which `dimension` make about unit length."""
    return nn.init.normal_(parameter, std=dimension**-0.5)
