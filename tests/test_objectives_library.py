"""Own losses equal pytorch-metric-learning's; those that it computes equal the papers' formulas.

Values and gradients, to 1e-5, in double precision. Gradients are those of points before they are
normalised, as in a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import normalize

from facecli.training.losses import pair_masks
from facecli.training.objective import ClassObjective
from facecli.training.objectives import make_objective

losses, distances, reducers, miners = (
    pytest.importorskip(f"pytorch_metric_learning.{part}")
    for part in ("losses", "distances", "reducers", "miners")
)

CLASSES, DIMENSION = 6, 8
Loss = Callable[[Tensor, Tensor], Tensor]


def batch(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return points that are not normalised, and labels, so many of each class."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(count)
    centres = torch.randn(CLASSES, DIMENSION, generator=random)
    points = centres[labels] + 0.8 * torch.randn(len(labels), DIMENSION, generator=random)
    return points.double(), labels


def assert_equal(
    one: Loss, other: Loss, *, count: int, parameters: tuple[Tensor, ...] = ()
) -> None:
    """Compare the values and gradients of two losses on several batches."""
    for seed in range(4):
        points, labels = batch(count, seed)
        results = []
        for loss in (one, other):
            leaf = points.clone().requires_grad_()
            value = loss(normalize(leaf), labels)
            results.append([value, *torch.autograd.grad(value, [leaf, *parameters])])
        assert results[0][0].item() > 0
        for mine, theirs in zip(*results, strict=True):
            assert torch.allclose(mine, theirs, rtol=0, atol=1e-5)


def objective(name: str, *, mining: str = "semi-hard", **options: float) -> tuple[Any, Loss]:
    """Return a loss in double precision, and the function that gives its value."""
    torch.manual_seed(0)
    made = make_objective(
        name, classes=CLASSES, dimension=DIMENSION, options=options, mining=mining
    ).double()
    return made, lambda embeddings, labels: made(embeddings, labels).loss


def squared_l2() -> Any:
    return distances.LpDistance(normalize_embeddings=True, p=2, power=2)


def l2() -> Any:
    return distances.LpDistance(normalize_embeddings=True, p=2, power=1)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_triplet_over_all_triplets(count: int) -> None:
    theirs = losses.TripletMarginLoss(
        margin=0.2,
        distance=squared_l2(),
        reducer=reducers.AvgNonZeroReducer(),
        triplets_per_anchor="all",
    )
    assert_equal(objective("triplet", mining="all")[1], theirs, count=count)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_triplet_over_the_hardest(count: int) -> None:
    """Here the mean is over all anchors, also those that cost nothing."""
    miner = miners.BatchHardMiner(distance=squared_l2())
    loss = losses.TripletMarginLoss(
        margin=0.2, distance=squared_l2(), reducer=reducers.MeanReducer()
    )

    def theirs(embeddings: Tensor, labels: Tensor) -> Tensor:
        result: Tensor = loss(embeddings, labels, miner(embeddings, labels))
        return result

    assert_equal(objective("triplet", mining="hard")[1], theirs, count=count)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_lifted(count: int) -> None:
    theirs = losses.LiftedStructureLoss(
        neg_margin=1, pos_margin=0, distance=l2(), reducer=reducers.MeanReducer()
    )
    assert_equal(objective("lifted")[1], theirs, count=count)


@pytest.mark.parametrize("angle", [36, 45])
def test_angular_of_two_rows_a_class(angle: float) -> None:
    """With more rows the library takes all pairs of a class, here they are disjoint."""
    theirs = losses.AngularLoss(alpha=angle, distance=l2(), reducer=reducers.MeanReducer())
    assert_equal(objective("angular", angle=angle)[1], theirs, count=2)


def test_n_pair_of_two_rows_a_class() -> None:
    """The library has no scale: rows four times as long have one of 16."""
    loss = losses.NPairsLoss(
        distance=distances.DotProductSimilarity(normalize_embeddings=False),
        reducer=reducers.MeanReducer(),
    )
    assert_equal(objective("n-pair")[1], lambda e, labels: loss(4 * e, labels), count=2)


@pytest.mark.parametrize(("margin", "scale"), [(28.6, 30), (28.6, 64), (5, 16)])
def test_arcface(margin: float, scale: float) -> None:
    made, mine = objective("arcface", margin=margin, scale=scale)
    loss = losses.ArcFaceLoss(
        num_classes=CLASSES, embedding_size=DIMENSION, margin=margin, scale=scale
    )
    del loss.W
    loss.W = made.weight.t()
    loss.cast_types = lambda dtype, device: None
    assert_equal(mine, loss, count=3, parameters=(made.weight,))


def test_arcface_beyond_the_angle_at_which_its_cosine_would_rise() -> None:
    made = objective("arcface", margin=60)[0]
    degrees = torch.tensor([0.0, 100, 119, 121, 150, 180], dtype=torch.float64)
    cosines = degrees.deg2rad().cos()
    wanted = (degrees + 60).deg2rad().cos()
    # The floor of the sine matters at 0° and 180° alone.
    assert torch.allclose(made._enlarged(cosines)[:3], wanted[:3], atol=1e-3)
    beyond = cosines - math.radians(60) * math.sin(math.radians(60))
    assert torch.allclose(made._enlarged(cosines)[3:], beyond[3:], atol=1e-12)


def contrastive_oracle(embeddings: Tensor, labels: Tensor) -> Tensor:
    """[D²]₊ of genuine pairs and [1 − D²]₊ of impostors, each mean over those above 0."""
    squared = (embeddings[:, None] - embeddings).square().sum(dim=2)
    genuine, impostor = pair_masks(labels)
    near, far = functional.relu(squared[genuine]), functional.relu(1 - squared[impostor])
    return near[near > 0].mean() + (far[far > 0].mean() if (far > 0).any() else far.sum())


def multi_similarity_oracle(embeddings: Tensor, labels: Tensor) -> Tensor:
    cosines = embeddings @ embeddings.T
    costs = []
    for i in range(len(labels)):
        same = (labels == labels[i]) & (torch.arange(len(labels)) != i)
        own, other = cosines[i][same], cosines[i][labels != labels[i]]
        costs.append(
            torch.log(1 + torch.exp(-2 * (own - 1)).sum()) / 2
            + torch.log(1 + torch.exp(50 * (other - 1)).sum()) / 50
        )
    return torch.stack(costs).mean()


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize(
    ("name", "oracle"),
    [("contrastive", contrastive_oracle), ("multi-similarity", multi_similarity_oracle)],
)
def test_pair_losses_of_the_library_are_the_papers(name: str, oracle: Loss, count: int) -> None:
    assert_equal(objective(name)[1], oracle, count=count)


def norm_softmax_oracle(cosines: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(cosines[:, :, 0] / 0.05, labels)


def proxy_nca_oracle(cosines: Tensor, labels: Tensor) -> Tensor:
    squared = 2 - 2 * cosines[:, :, 0]
    own = torch.exp(-8 * squared[torch.arange(len(labels)), labels])
    return -torch.log(own / torch.exp(-8 * squared).sum(dim=1)).mean()


def proxy_anchor_oracle(cosines: Tensor, labels: Tensor) -> Tensor:
    gathered, pushed = [], []
    for label in range(CLASSES):
        mine = cosines[:, label, 0]
        own, other = mine[labels == label], mine[labels != label]
        gathered.append(torch.log(1 + torch.exp(-32 * (own - 0.1)).sum()))
        pushed.append(torch.log(1 + torch.exp(32 * (other + 0.1)).sum()))
    return torch.stack(gathered).mean() + torch.stack(pushed).mean()


def soft_triple_oracle(cosines: Tensor, labels: Tensor) -> Tensor:
    relaxed = (functional.softmax(cosines / 0.1, dim=2) * cosines).sum(dim=2)
    return functional.cross_entropy(
        20 * (relaxed - 0.01 * functional.one_hot(labels, CLASSES)), labels
    )


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("norm-softmax", norm_softmax_oracle),
        ("proxy-nca", proxy_nca_oracle),
        ("proxy-anchor", proxy_anchor_oracle),
        ("soft-triple", soft_triple_oracle),
    ],
)
def test_class_losses_of_the_library_are_the_papers(name: str, oracle: Loss) -> None:
    """The oracles see the cosines (n, classes, k) to the centres."""
    made, mine = objective(name)
    assert isinstance(made, ClassObjective)

    def slow(embeddings: Tensor, labels: Tensor) -> Tensor:
        centres = normalize(made.centres(), dim=2)
        return oracle(torch.einsum("nd,ckd->nck", embeddings, centres), labels)

    assert_equal(mine, slow, count=3, parameters=tuple(made.parameters()))


def test_proxy_nca_on_the_sphere_is_normalised_softmax() -> None:
    """Squared L2 is 2 − 2 × cosine, and the constant falls out of a softmax."""
    softmax, one = objective("norm-softmax", temperature=0.05)
    nca, other = objective("proxy-nca", scale=10)
    with torch.no_grad():
        nca.loss.proxies.copy_(softmax.loss.W.t())
    assert_equal(one, other, count=3)
