"""Losses over pairs of rows of a batch: N-pair, angular, lifted structure, and their synthesis.

Rows are unit vectors (n, d), all with a known label. Losses of this module that take `Pairs` pair
up the rows of each class in the order of the batch, the first with the second, the third with the
fourth; a last row without a partner is left out. Pairs of one class are never each other's
negatives. Options come as numbers: `synthetic` is 1, or 0 for pooling only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facecli.training import losses, synthesis
from facecli.training.objective import Objective, Terms, nothing

SQUARED_FLOOR = 1e-6
"""Squared L2 below this is rounding in float32, which a root would multiply."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """m pairs of rows: `a` and `p` are (m, d), row i of both of one class.

    `other` bool (m, m) says which pairs are of different classes. Every pair has at least one.
    """

    a: Tensor
    p: Tensor
    other: Tensor

    @property
    def cosine(self) -> Tensor:
        """The cosine (m,) between the two rows of each pair."""
        return (self.a * self.p).sum(dim=1)


def pair_rows(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows, two int64 (m,), of disjoint pairs: ⌊K/2⌋ of a class with K rows."""
    order = labels.argsort(stable=True)
    ordered = labels[order]
    place = torch.arange(len(labels), device=labels.device)
    opens = (place - torch.searchsorted(ordered, ordered)) % 2 == 0
    first = (opens[:-1] & (ordered[:-1] == ordered[1:])).nonzero().squeeze(1)
    return order[first], order[first + 1]


class PairObjective(Objective):
    """A loss without parameters that is a function of `Pairs`."""

    def __init__(self, function: Callable[[Pairs], Terms]) -> None:
        super().__init__()
        self.function = function

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Pair up the rows; without pairs of two classes there is nothing to learn."""
        first, second = pair_rows(labels)
        other = labels[first][:, None] != labels[first][None, :]
        if not other.any():
            return nothing(embeddings)
        return self.function(Pairs(embeddings[first], embeddings[second], other))


def triplet(embeddings: Tensor, labels: Tensor, *, margin: float, mining: str) -> Terms:
    """Return FaceNet's triplet loss; `losses.triplet_loss` says what margin and mining are."""
    genuine, impostor = losses.pair_masks(labels)
    squared = losses.pairwise_squared_l2(embeddings)
    result = losses.triplet_loss(squared, genuine, impostor, margin=margin, mining=mining)
    return Terms(result.loss, {"semi_hard": result.semi_hard})


def n_pair(pairs: Pairs, *, scale: float) -> Terms:
    """Return the N-pair loss (Sohn 2016, equation 7) of cosines × `scale`.

    The positives of the other pairs are the negatives. Unit vectors need the scale: without it the
    loss cannot come near zero. The paper's penalty on the length of the vectors is a constant here,
    and left out.
    """
    return Terms(_cross_entropy(pairs, pairs.a @ pairs.p.T, scale))


def symm_n_pair(pairs: Pairs, *, scale: float, synthetic: float) -> Terms:
    """Return the N-pair loss whose negatives are the hardest pairs of points of two classes.

    `synthesis.pooled_similarity` says which (Gu and Ko 2020, section 3).
    """
    pooled = synthesis.pooled_similarity(pairs.a, pairs.p, synthetic=bool(synthetic))
    return Terms(_cross_entropy(pairs, pooled.hardest, scale), _measured(pairs, pooled))


def _cross_entropy(pairs: Pairs, negatives: Tensor, scale: float) -> Tensor:
    """Return −log softmax of each pair's cosine among its negatives (m, m), in the mean."""
    logits = scale * (negatives.masked_fill(~pairs.other, -torch.inf))
    own = scale * pairs.cosine
    return (torch.logaddexp(logits.logsumexp(dim=1), own) - own).mean()


def _measured(pairs: Pairs, pooled: synthesis.Pooled) -> dict[str, Tensor]:
    return {"synthetic": synthesis.share(pooled.synthetic, pairs.other)}


def symm_triplet(pairs: Pairs, *, margin: float, synthetic: float) -> Terms:
    """Return the triplet loss of each pair against the hardest negative of each other class.

    A pair and a class cost max(0, ‖a−p‖² − ‖x−n‖² + margin), where x of the pair and n of the
    other are the nearest points of the two (Gu and Ko 2020, section 3). The mean is over those that
    cost more than 0.
    """
    pooled = synthesis.pooled_similarity(pairs.a, pairs.p, synthetic=bool(synthetic))
    # The difference of two squared L2 is twice the difference of the cosines.
    cost = functional.relu(2.0 * (pooled.hardest - pairs.cosine[:, None]) + margin)
    cost = cost.where(pairs.other, 0.0)
    return Terms(cost.sum() / (cost > 0).sum().clamp(min=1), _measured(pairs, pooled))


def angular(pairs: Pairs, *, angle: float) -> Terms:
    """Return the angular loss (Wang et al. 2017, equation 8), `angle` in degrees.

    A pair costs log(1 + Σ exp(4t²(a+p)·n − 2(1+t²)a·p)), with t the tangent of the angle, over both
    rows n of all pairs of other classes.
    """
    squared = math.tan(math.radians(angle)) ** 2
    sums = pairs.a + pairs.p
    both = torch.stack([sums @ pairs.a.T, sums @ pairs.p.T], dim=2)
    exponents = 4.0 * squared * both - 2.0 * (1.0 + squared) * pairs.cosine[:, None, None]
    exponents = exponents.masked_fill(~pairs.other[:, :, None], -torch.inf)
    return Terms(functional.softplus(exponents.flatten(1).logsumexp(dim=1)).mean())


def symm_angular(pairs: Pairs, *, angle: float, synthetic: float) -> Terms:
    """Return the angular loss with the largest exponent of each two classes.

    `synthesis.pooled_angles` says which (Gu and Ko 2020, section 3).
    """
    tangent = math.tan(math.radians(angle))
    pooled = synthesis.pooled_angles(pairs.a, pairs.p, tangent=tangent, synthetic=bool(synthetic))
    exponents = pooled.hardest.masked_fill(~pairs.other, -torch.inf)
    loss = functional.softplus(exponents.logsumexp(dim=1)).mean()
    return Terms(loss, _measured(pairs, pooled))


def lifted(embeddings: Tensor, labels: Tensor, *, margin: float) -> Terms:
    """Return the lifted structure loss (Oh Song et al. 2016, equation 4) of all genuine pairs.

    A pair costs half of max(0, log(Σ exp(margin − D(a,n)) + Σ exp(margin − D(p,n))) + D(a,p))². D
    is L2, 0 to 2, not squared, as in the paper. The sums over negatives belong to rows, not to
    pairs, so (n, n) is the largest tensor.
    """
    genuine, impostor = losses.pair_masks(labels)
    a, p = genuine.triu().nonzero(as_tuple=True)
    if not len(a) or not impostor.any():
        return nothing(embeddings)
    # The gradient of cdist at 0 is 0, where that of a root is infinite.
    distance = torch.cdist(embeddings, embeddings)
    sums = (margin - distance).masked_fill(~impostor, -torch.inf).logsumexp(dim=1)
    cost = functional.relu(torch.logaddexp(sums[a], sums[p]) + distance[a, p])
    return Terms(cost.square().mean() / 2.0)


def symm_lifted(pairs: Pairs, *, margin: float, synthetic: float) -> Terms:
    """Return the lifted structure loss with the nearest points of each two classes.

    Both sums of a pair run over the other pairs, and hold the same pooled distances (Gu and Ko
    2020, section 3).
    """
    pooled = synthesis.pooled_similarity(pairs.a, pairs.p, synthetic=bool(synthetic))
    negatives = (margin - _l2(pooled.hardest)).masked_fill(~pairs.other, -torch.inf)
    cost = functional.relu(negatives.logsumexp(dim=1) + math.log(2.0) + _l2(pairs.cosine))
    return Terms(cost.square().mean() / 2.0, _measured(pairs, pooled))


def _l2(cosine: Tensor) -> Tensor:
    """Return L2, not squared, between unit vectors; without a gradient where it is rounding."""
    return (2.0 - 2.0 * cosine).clamp(min=SQUARED_FLOOR).sqrt()
