"""Losses over a batch of embeddings, and the mining of triplets.

Embeddings are unit vectors, float32 (n, 128), and labels int64 (n,). A negative label means that
the person is unknown: such a row is never a positive and never a negative. To add another way of
mining, give it a name in `TRIPLET_MINING`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class TripletLoss:
    """The loss of a batch, and how hard the batch was.

    `semi_hard` is the share of anchor-positive pairs that have a semi-hard negative in the batch.
    """

    loss: Tensor
    semi_hard: Tensor


def pairwise_squared_l2(embeddings: Tensor) -> Tensor:
    """Return squared L2 between all rows of unit vectors, (n, n), in [0, 4].

    For unit vectors ‖a − b‖² = 2 − 2 a·b. No root is taken: its gradient at zero is infinite.
    """
    return (2.0 - 2.0 * embeddings @ embeddings.T).clamp(0.0, 4.0)


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return which ordered pairs (n, n) are genuine and which are impostor."""
    known = labels >= 0
    both = known[:, None] & known[None, :]
    same = labels[:, None] == labels[None, :]
    genuine = both & same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return genuine, both & ~same


def mean_over(squared: Tensor, pairs: Tensor) -> Tensor:
    """Return the mean of `squared` (n, n) over the marked pairs (n, n), 0 if there are none."""
    return (squared * pairs).sum() / pairs.sum().clamp(min=1)


def triplet_loss(
    squared: Tensor,
    genuine: Tensor,
    impostor: Tensor,
    *,
    margin: float,
    mining: str = "semi-hard",
) -> TripletLoss:
    """Return FaceNet's triplet loss (Schroff et al. 2015, section 3.1) of a batch.

    `squared` (n, n) is squared L2; `genuine` and `impostor` (n, n) say which pairs are which. A
    triplet costs max(0, ‖a−p‖² − ‖a−n‖² + margin). `mining` chooses the triplets:

    - `semi-hard`: each anchor-positive pair, with the nearest negative that is farther away than
      the positive (section 3.2).
    - `hard`: each anchor, with its farthest positive and its nearest negative (batch hard, Hermans
      et al. 2017).
    - `all`: the mean over all triplets that cost more than 0 (batch all, Hermans et al. 2017).
    """
    return TripletLoss(
        loss=TRIPLET_MINING[mining](squared, genuine, impostor, margin),
        semi_hard=_semi_hard_share(squared.detach(), genuine, impostor, margin),
    )


def _nearest_farther_negative(
    squared: Tensor, impostor: Tensor, anchors: Tensor, positive: Tensor
) -> Tensor:
    """Return the squared L2 of the semi-hard negative of each anchor-positive pair, or infinity.

    The negatives of an anchor are sorted once, and the first one beyond the positive is found by
    bisection: this needs no (n, n, n) tensor.
    """
    ordered = squared.masked_fill(~impostor, torch.inf).sort(dim=1).values
    place = torch.searchsorted(
        ordered.detach()[anchors], positive.detach()[:, None], right=True
    ).squeeze(1)
    return ordered[anchors, place.clamp(max=ordered.shape[1] - 1)].where(
        place < ordered.shape[1], torch.inf
    )


def _semi_hard(squared: Tensor, genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    anchors, positives = genuine.nonzero(as_tuple=True)
    positive = squared[anchors, positives]
    negative = _nearest_farther_negative(squared, impostor, anchors, positive)
    cost = functional.relu(positive - negative + margin)
    active = cost > 0
    return cost.where(active, 0.0).sum() / active.sum().clamp(min=1)


def _hard(squared: Tensor, genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    positive = squared.masked_fill(~genuine, -torch.inf).amax(dim=1)
    negative = squared.masked_fill(~impostor, torch.inf).amin(dim=1)
    usable = torch.isfinite(positive) & torch.isfinite(negative)
    cost = functional.relu((positive - negative + margin).where(usable, 0.0))
    return cost.sum() / usable.sum().clamp(min=1)


def _all(squared: Tensor, genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    anchors, positives = genuine.nonzero(as_tuple=True)
    cost = squared[anchors, positives][:, None] - squared[anchors] + margin
    cost = functional.relu(cost).where(impostor[anchors], 0.0)
    return cost.sum() / (cost > 0).sum().clamp(min=1)


TRIPLET_MINING: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "semi-hard": _semi_hard,
    "hard": _hard,
    "all": _all,
}


def _semi_hard_share(squared: Tensor, genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    anchors, positives = genuine.nonzero(as_tuple=True)
    positive = squared[anchors, positives]
    negative = _nearest_farther_negative(squared, impostor, anchors, positive)
    return (negative < positive + margin).float().sum() / max(1, len(anchors))


def target_loss(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of 1 − cosine between unit embeddings and unit targets, in [0, 2]."""
    return (1.0 - (embeddings * targets).sum(dim=1)).mean()


def relational_loss(squared: Tensor, target_squared: Tensor) -> Tensor:
    """Return the mean squared difference between two (n, n) matrices of squared L2.

    Relational distillation (Park et al. 2019, section 3.2): only the distances between people
    count, not their places. The diagonal is zero in both and is left out of the mean.
    """
    count = squared.shape[0] * (squared.shape[0] - 1)
    return (squared - target_squared).square().sum() / max(1, count)


def contrast_loss(
    embeddings: Tensor,
    rows: Tensor,
    targets: Tensor,
    labels: Tensor,
    *,
    scale: float = 20.0,
    margin: float = 0.2,
) -> Tensor:
    """Return the cross entropy of picking the right target out of the targets of all photos.

    `targets` float32 (m, 128), unit vectors, and `labels` int64 (m,) belong to the whole data;
    `rows` int64 (n,) says which of them belong to `embeddings` (n, 128). The logits are
    scale × cosine, less `margin` for the right target (Wang et al. 2018, CosFace, equation 4), so
    the gradient comes from people whom the network still confuses. Other photos of the same person,
    and targets nearly equal to the right one, do not count as wrong.
    """
    own = targets[rows]
    cosine = embeddings @ targets.T
    known = labels[rows] >= 0
    same = (labels[rows][:, None] == labels[None, :]) & known[:, None]
    excused = (same | (own @ targets.T > 0.7)).scatter(1, rows[:, None], False)
    logits = scale * cosine.masked_fill(excused, -1.0)
    return functional.cross_entropy(
        logits.scatter_add(1, rows[:, None], logits.new_full((len(rows), 1), -scale * margin)), rows
    )
