"""Losses agree with slow loops over all triplets, and have the properties their papers state."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from facecli.training import losses

MARGIN = 0.2


def batch(seed: int, rows: int = 14, people: int = 4, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return unit vectors that need a gradient, near their person's, and labels, some unknown."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, people, (rows,), generator=random)
    centres = torch.randn(people + 1, 8, generator=random)
    raw = centres[labels] + spread * torch.randn(rows, 8, generator=random)
    return normalize(raw.double()).requires_grad_(), labels


def loop_loss(embeddings: Tensor, labels: Tensor, mining: str) -> tuple[float, float]:
    """Return the triplet loss and the semi-hard share, one triplet after the other."""
    e = embeddings.detach()
    n = range(len(labels))

    def squared(i: int, j: int) -> float:
        return float(((e[i] - e[j]) ** 2).sum())

    positives = {a: [p for p in n if p != a and labels[p] == labels[a] >= 0] for a in n}
    negatives = {
        a: [x for x in n if labels[x] >= 0 and labels[a] >= 0 and labels[x] != labels[a]] for a in n
    }
    costs: list[float] = []
    pairs = semi = 0
    anchors_used = 0
    for a in n:
        if mining == "hard" and positives[a] and negatives[a]:
            anchors_used += 1
            farthest = max(squared(a, p) for p in positives[a])
            nearest = min(squared(a, x) for x in negatives[a])
            costs.append(max(0.0, farthest - nearest + MARGIN))
        for p in positives[a]:
            pairs += 1
            farther = [squared(a, x) for x in negatives[a] if squared(a, x) > squared(a, p)]
            semi += any(d < squared(a, p) + MARGIN for d in farther)
            if mining == "semi-hard" and farther:
                costs.append(max(0.0, squared(a, p) - min(farther) + MARGIN))
            if mining == "all":
                costs += [max(0.0, squared(a, p) - squared(a, x) + MARGIN) for x in negatives[a]]
    count = anchors_used if mining == "hard" else sum(cost > 0 for cost in costs)
    return sum(costs) / max(1, count), semi / max(1, pairs)


def fast(embeddings: Tensor, labels: Tensor, mining: str) -> losses.TripletLoss:
    squared = losses.pairwise_squared_l2(embeddings)
    genuine, impostor = losses.pair_masks(labels)
    return losses.triplet_loss(squared, genuine, impostor, margin=MARGIN, mining=mining)


@pytest.mark.parametrize("mining", list(losses.TRIPLET_MINING))
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.05, 2))
def test_triplet_loss_is_that_of_three_nested_loops(mining: str, seed: int, spread: float) -> None:
    embeddings, labels = batch(seed, spread=spread)
    result = fast(embeddings, labels, mining)
    loss, share = loop_loss(embeddings, labels, mining)
    assert result.loss.item() == pytest.approx(loss, abs=1e-9)
    assert float(result.semi_hard) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("mining", list(losses.TRIPLET_MINING))
def test_the_gradient_is_finite_and_a_step_against_it_lowers_the_loss(mining: str) -> None:
    embeddings, labels = batch(3)
    loss = fast(embeddings, labels, mining).loss
    loss.backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()
    moved = embeddings.detach() - 1e-4 * embeddings.grad
    squared = losses.pairwise_squared_l2(moved)
    genuine, impostor = losses.pair_masks(labels)
    after = losses.triplet_loss(squared, genuine, impostor, margin=MARGIN, mining=mining).loss
    assert loss.item() > 0
    assert float(after) < loss.item()


@pytest.mark.parametrize("mining", list(losses.TRIPLET_MINING))
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [-1, -1, -1], [0, 0, -1]])
def test_a_batch_without_triplets_costs_nothing_and_moves_nothing(
    mining: str, labels: list[int]
) -> None:
    embeddings = batch(1, rows=3)[0]
    loss = fast(embeddings, torch.tensor(labels), mining).loss
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


def test_people_well_apart_cost_nothing() -> None:
    embeddings = torch.eye(4).repeat_interleave(2, dim=0)
    labels = torch.arange(4).repeat_interleave(2)
    for mining in losses.TRIPLET_MINING:
        assert float(fast(embeddings, labels, mining).loss) == 0


def test_identical_embeddings_have_a_finite_gradient() -> None:
    """The root of a squared L2 of 0 would have an infinite one."""
    embeddings = torch.ones(6, 4).requires_grad_()
    fast(normalize(embeddings), torch.tensor([0, 0, 1, 1, 2, 2]), "all").loss.backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_target_loss_is_one_less_the_cosine() -> None:
    here, there = batch(1)[0], batch(2)[0]
    wanted = sum(1 - float(a @ b) for a, b in zip(here, there, strict=True)) / len(here)
    assert losses.target_loss(here, there).item() == pytest.approx(wanted)


def test_relational_loss_is_that_of_two_loops_without_the_diagonal() -> None:
    here, there = batch(1)[0].detach(), batch(2)[0].detach()
    terms = [
        float((((here[i] - here[j]) ** 2).sum() - ((there[i] - there[j]) ** 2).sum()) ** 2)
        for i in range(len(here))
        for j in range(len(here))
        if i != j
    ]
    fast_one = losses.relational_loss(
        losses.pairwise_squared_l2(here), losses.pairwise_squared_l2(there)
    )
    assert float(fast_one) == pytest.approx(sum(terms) / len(terms))


def test_contrast_loss_is_the_cross_entropy_of_loops() -> None:
    """Excused rows count as if they lay opposite; one's own is harder by the margin."""
    targets, labels = batch(5, rows=12)
    targets = targets.detach()
    targets[3] = targets[7]  # an almost equal target of somebody else is excused
    rows = torch.tensor([3, 0, 9])
    embeddings = batch(6, rows=3)[0].detach()
    costs = []
    for place, row in enumerate(rows.tolist()):
        logits = []
        for other in range(len(targets)):
            cosine = float(embeddings[place] @ targets[other])
            same = labels[row] == labels[other] >= 0
            if other == row:
                cosine -= 0.2
            elif same or float(targets[row] @ targets[other]) > 0.7:
                cosine = -1.0
            logits.append(20 * cosine)
        costs.append(math.log(sum(map(math.exp, logits))) - logits[row])
    result = losses.contrast_loss(embeddings, rows, targets, labels)
    assert float(result) == pytest.approx(sum(costs) / 3)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_squared_l2_of_a_batch_is_symmetric_and_in_range(seed: int) -> None:
    embeddings = batch(seed)[0].detach().float()
    squared = losses.pairwise_squared_l2(embeddings)
    exact = torch.cdist(embeddings.double(), embeddings.double()).square()
    assert float(squared.min()) >= 0
    assert float(squared.max()) <= 4
    assert torch.allclose(squared, squared.T, atol=1e-6)
    assert torch.allclose(squared.double(), exact, atol=1e-5)
