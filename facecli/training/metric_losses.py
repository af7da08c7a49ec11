"""Losses of pytorch-metric-learning 2.x, an extra, with every argument spelled out.

Its defaults differ from the papers' and from one release to the next. Of the library only losses,
distances and reducers are used. It is imported when a loss is made: that takes a second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from facecli.training.objective import ClassObjective, Objective, Terms, accuracy, start


class LibraryObjective(Objective):
    """A loss of the library without parameters."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return the library's loss."""
        return Terms(self.loss(embeddings, labels))


class LibraryClassObjective(ClassObjective):
    """A loss of the library with parameters; `centres_of` tells where it keeps the centres.

    Accuracy is by the nearest centre. A loss whose logits have no margin reports it as the accuracy
    with margin too.
    """

    def __init__(
        self, loss: nn.Module, centres_of: Callable[[Any], Tensor], *, marginless: bool = False
    ) -> None:
        super().__init__()
        self.loss = loss
        self.centres_of = centres_of
        self.marginless = marginless

    def centres(self) -> Tensor:
        """Return the library's parameters as (classes, k, d)."""
        return self.centres_of(self.loss)

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return the library's loss."""
        right = accuracy(self.cosines(embeddings.detach()), labels)
        measured = {"accuracy": right}
        if self.marginless:
            measured["accuracy_with_margin"] = right
        return Terms(self.loss(embeddings, labels), measured)


def _shared(dimension: int) -> dict[str, Any]:
    """Return the arguments of all losses with parameters: how they start, and no penalties."""
    return {
        "weight_init_func": partial(start, dimension=dimension),
        "weight_regularizer": None,
        "embedding_regularizer": None,
    }


def contrastive(*, positive_margin: float, negative_margin: float) -> Objective:
    """Return the contrastive loss (Hadsell et al. 2006, equation 4) on squared L2, 0 to 4.

    Genuine pairs cost what they are beyond `positive_margin`, impostor pairs what they lack of
    `negative_margin`. Each kind has its mean over the pairs that cost more than 0. The paper's cost
    of impostor pairs is a square; the library's is not.
    """
    from pytorch_metric_learning import distances, losses, reducers

    loss = losses.ContrastiveLoss(
        pos_margin=positive_margin,
        neg_margin=negative_margin,
        distance=distances.LpDistance(normalize_embeddings=True, p=2, power=2),
        reducer=reducers.AvgNonZeroReducer(),
        embedding_regularizer=None,
    )
    return LibraryObjective(loss)


def multi_similarity(*, alpha: float, beta: float, base: float) -> Objective:
    """Return the multi-similarity loss (Wang et al. 2019, equation 15), over all pairs.

    A row costs log(1 + Σ exp(−alpha(S − base)))/alpha + log(1 + Σ exp(beta(S − base)))/beta, over
    the cosines S of its genuine and its impostor pairs. The paper's mining of pairs is left out.
    """
    from pytorch_metric_learning import distances, losses, reducers

    loss = losses.MultiSimilarityLoss(
        alpha=alpha,
        beta=beta,
        base=base,
        distance=distances.CosineSimilarity(p=2, power=1),
        reducer=reducers.MeanReducer(),
        embedding_regularizer=None,
    )
    return LibraryObjective(loss)


def norm_softmax(classes: int, dimension: int, *, temperature: float) -> Objective:
    """Return cross entropy of cosine / `temperature` (Zhai and Wu 2019, normalised softmax)."""
    from pytorch_metric_learning import distances, losses, reducers

    loss = losses.NormalizedSoftmaxLoss(
        num_classes=classes,
        embedding_size=dimension,
        temperature=temperature,
        distance=distances.DotProductSimilarity(normalize_embeddings=True, p=2, power=1),
        reducer=reducers.MeanReducer(),
        **_shared(dimension),
    )
    return LibraryClassObjective(loss, lambda one: one.W.t()[:, None], marginless=True)


def proxy_nca(classes: int, dimension: int, *, scale: float) -> Objective:
    """Return the proxy-NCA loss (Movshovitz-Attias et al. 2017) of squared L2 × −`scale`.

    The library counts the own proxy among the others, as NCA does. On the unit sphere that makes it
    the normalised softmax with a temperature of 1 / (2 × scale).
    """
    from pytorch_metric_learning import distances, losses, reducers

    loss = losses.ProxyNCALoss(
        num_classes=classes,
        embedding_size=dimension,
        softmax_scale=scale,
        distance=distances.LpDistance(normalize_embeddings=True, p=2, power=2),
        reducer=reducers.MeanReducer(),
        **_shared(dimension),
    )
    return LibraryClassObjective(loss, lambda one: one.proxies[:, None])


def proxy_anchor(classes: int, dimension: int, *, alpha: float, margin: float) -> Objective:
    """Return the proxy-anchor loss (Kim et al. 2020, equation 4).

    Each proxy gathers the rows of its class whose cosine is below `margin`, and pushes away others
    above −`margin`, both sharpened by `alpha`.
    """
    from pytorch_metric_learning import distances, losses, reducers

    loss = losses.ProxyAnchorLoss(
        num_classes=classes,
        embedding_size=dimension,
        margin=margin,
        alpha=alpha,
        distance=distances.CosineSimilarity(p=2, power=1),
        reducer=reducers.DivisorReducer(),
        **_shared(dimension),
    )
    return LibraryClassObjective(loss, lambda one: one.proxies[:, None])


def soft_triple(
    classes: int, dimension: int, *, centres: float, scale: float, gamma: float, margin: float
) -> Objective:
    """Return the SoftTriple loss (Qian et al. 2019, section 3): several centres of each class.

    The paper's penalty that merges centres is left out, since the library has none.
    """
    from pytorch_metric_learning import distances, losses, reducers

    count = int(centres)
    loss = losses.SoftTripleLoss(
        num_classes=classes,
        embedding_size=dimension,
        centers_per_class=count,
        la=scale,
        gamma=gamma,
        margin=margin,
        distance=distances.CosineSimilarity(p=2, power=1),
        reducer=reducers.MeanReducer(),
        **_shared(dimension),
    )
    return LibraryClassObjective(loss, lambda one: one.fc.t().view(classes, count, dimension))
