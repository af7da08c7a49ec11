"""Reflected points are where the paper puts them, and pooling finds the hardest of all pairs."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import normalize

from facecli.training import synthesis
from facecli.training.objective import Objective
from facecli.training.objectives import make_objective

TANGENT = math.tan(math.radians(45))


def at(*degrees: float) -> Tensor:
    """Return points on the unit circle, double (n, 2)."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def degrees_of(points: Tensor) -> list[float]:
    """Return the angles of points on the circle."""
    return [float(one) for one in torch.atan2(points[:, 1], points[:, 0]).rad2deg()]


def two_of_each(seed: int, classes: int = 7, dimension: int = 5) -> tuple[Tensor, Tensor]:
    """Return two unit rows of each class, double (classes, dimension), which need a gradient."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 1, dimension, generator=random)
    raw = centres + 0.8 * torch.randn(classes, 2, dimension, generator=random)
    a, p = normalize(raw.double(), dim=2).unbind(dim=1)
    return a.requires_grad_(), p.requires_grad_()


def on_the_sphere(gradient: Tensor, point: Tensor) -> Tensor:
    """Return the part of a gradient that moves along the sphere; the rest means nothing."""
    return gradient - (gradient * point).sum(dim=1, keepdim=True) * point


def points_of(a: Tensor, p: Tensor, i: int, *, synthetic: bool) -> list[Tensor]:
    """Return the points of class i, made one by one from the definition."""
    cosine = a[i] @ p[i]
    made = [2 * cosine * a[i] - p[i], 2 * cosine * p[i] - a[i]]
    return [a[i], p[i], *(made if synthetic else [])]


def loop_similarity(a: Tensor, p: Tensor, *, synthetic: bool) -> Tensor:
    """Return the largest cosines between classes, one pair of points after the other."""
    every = [points_of(a, p, i, synthetic=synthetic) for i in range(len(a))]
    rows = [
        [torch.stack([x @ n for x in here for n in there]).max() for there in every]
        for here in every
    ]
    return torch.stack([torch.stack(row) for row in rows])


def loop_angles(a: Tensor, p: Tensor, *, synthetic: bool) -> Tensor:
    """Return the largest exponents of the angular loss, over all ordered pairs and points."""
    every = [points_of(a, p, i, synthetic=synthetic) for i in range(len(a))]
    rows = [
        [
            torch.stack(
                [
                    4 * TANGENT**2 * ((x + y) @ n) - 2 * (1 + TANGENT**2) * (x @ y)
                    for x, y in itertools.permutations(here, 2)
                    for n in there
                ]
            ).max()
            for there in every
        ]
        for here in every
    ]
    return torch.stack([torch.stack(row) for row in rows])


def pooled_angles(a: Tensor, p: Tensor, *, synthetic: bool = True) -> synthesis.Pooled:
    return synthesis.pooled_angles(a, p, tangent=TANGENT, synthetic=synthetic)


POOLS: dict[str, tuple[Callable[..., synthesis.Pooled], Callable[..., Tensor]]] = {
    "similarity": (synthesis.pooled_similarity, loop_similarity),
    "angles": (pooled_angles, loop_angles),
}


def test_points_are_reflected_to_where_a_drawing_puts_them() -> None:
    """A at 0° and 20°, B at 50° and 60°."""
    a, p = at(0, 50), at(20, 60)
    assert degrees_of(synthesis.symmetric(a, p)) == pytest.approx([-20, 40])
    assert degrees_of(synthesis.symmetric(p, a)) == pytest.approx([40, 70])


@pytest.mark.parametrize(("synthetic", "squared"), [(True, 0.0), (False, 0.2679)])
def test_synthetic_points_of_two_classes_meet_where_originals_do_not(
    synthetic: bool, squared: float
) -> None:
    pooled = synthesis.pooled_similarity(at(0, 50), at(20, 60), synthetic=synthetic)
    assert 2 - 2 * float(pooled.hardest[0, 1]) == pytest.approx(squared, abs=1e-4)
    assert bool(pooled.synthetic[0, 1]) is synthetic


@given(seed=st.integers(0, 10_000), dimension=st.integers(2, 512))
def test_a_reflection_keeps_length_and_cosine(seed: int, dimension: int) -> None:
    random = torch.Generator().manual_seed(seed)
    a, p = normalize(torch.randn(2, 20, dimension, generator=random), dim=2)
    made = synthesis.symmetric(a, p).double()
    assert float((made.norm(dim=1) - 1).abs().max()) < 1e-6
    cosine = (a.double() * p.double()).sum(dim=1)
    assert float(((made * a.double()).sum(dim=1) - cosine).abs().max()) < 1e-6


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("synthetic", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_pooling_finds_what_loops_over_all_points_find(
    kind: str, synthetic: bool, seed: int
) -> None:
    fast, slow = POOLS[kind]
    a, p = two_of_each(seed)
    apart = ~torch.eye(len(a), dtype=torch.bool)
    found, wanted = fast(a, p, synthetic=synthetic).hardest[apart], slow(a, p, synthetic=synthetic)
    assert torch.allclose(found, wanted[apart], atol=1e-12)
    weights = torch.linspace(1, 2, int(apart.sum()), dtype=torch.float64)
    gradients = torch.autograd.grad((weights * found).sum(), [a, p])
    expected = torch.autograd.grad((weights * wanted[apart]).sum(), [a, p])
    for point, one, other in zip((a, p), gradients, expected, strict=True):
        assert torch.allclose(on_the_sphere(one, point), on_the_sphere(other, point), atol=1e-10)


@pytest.mark.parametrize("kind", POOLS)
def test_synthetic_is_what_pooling_alone_does_not_reach(kind: str) -> None:
    fast, slow = POOLS[kind]
    a, p = (one.detach() for one in two_of_each(5))
    harder = slow(a, p, synthetic=True) > slow(a, p, synthetic=False) + 1e-6
    apart = ~torch.eye(len(a), dtype=torch.bool)
    pooled = fast(a, p)
    assert torch.equal(pooled.synthetic[apart], harder[apart])
    assert 0 < float(synthesis.share(pooled.synthetic, apart)) < 1 or kind == "angles"
    assert not fast(a, p, synthetic=False).synthetic.any()


def test_more_classes_than_are_compared_at_a_time() -> None:
    a, p = (one.detach() for one in two_of_each(2, classes=2 * synthesis.AT_ONCE + 3))
    points = torch.cat([a, p, synthesis.symmetric(a, p), synthesis.symmetric(p, a)])
    wanted = (points @ points.T).view(4, len(a), 4, len(a)).amax(dim=(0, 2))
    hardest = synthesis.pooled_similarity(a, p).hardest
    assert torch.allclose(hardest, wanted, atol=1e-12)


def test_nothing_is_synthetic_where_all_points_are_one() -> None:
    """What is left of their differences is rounding."""
    a = normalize(torch.randn(1, 64, generator=torch.Generator().manual_seed(0))).expand(6, -1)
    assert not synthesis.pooled_similarity(a, a).synthetic.any()


def test_the_share_counts_marked_pairs_only() -> None:
    synthetic = torch.tensor([[True, True], [False, True]])
    apart = ~torch.eye(2, dtype=torch.bool)
    assert float(synthesis.share(synthetic, apart)) == 0.5
    assert float(synthesis.share(synthetic, torch.zeros(2, 2, dtype=torch.bool))) == 0


@pytest.mark.slow
@pytest.mark.parametrize("classes", [64, 256])
@pytest.mark.parametrize(("plain", "symm"), [("triplet", "symm-triplet"), ("n-pair", "symm-npair")])
def test_a_step_with_synthesis_takes_at_most_twice_the_time(
    plain: str, symm: str, classes: int
) -> None:
    """The least of steps: a linear head over features. The two take turns; the best of each count.

    N-pair without a network is a single small product, so that alone it would be no measure.
    """
    steps = {name: head_step(name, classes) for name in (plain, symm)}
    seconds = {name: [timed(step) for _ in range(2)] for name, step in steps.items()}
    for turn in range(200):  # on a busy machine the best of 25 may still be a disturbed one
        for name, step in steps.items():
            seconds[name].append(timed(step))
        if turn >= 25 and min(seconds[symm]) <= 2 * min(seconds[plain]):
            break
    assert min(seconds[symm]) <= 2 * min(seconds[plain])


def head_step(name: str, classes: int) -> Callable[[], None]:
    """Return one step of training a head on 1,280 features for 512 numbers, as in the paper."""
    features = torch.randn(2 * classes, 1280, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(classes).repeat_interleave(2)
    head = nn.Linear(1280, 512)
    objective: Objective = make_objective(name, classes=classes, dimension=512)

    def step() -> None:
        head.zero_grad()
        objective(normalize(head(features)), labels).loss.backward()  # type: ignore[no-untyped-call]

    return step


def timed(step: Callable[[], None]) -> float:
    """Return the seconds of one step."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began
