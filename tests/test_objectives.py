"""Every loss by name keeps one contract, and own losses agree with slow loops."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from facecli import errors
from facecli.errors import MissingExtra, TrainingError
from facecli.training.class_losses import ArcFace
from facecli.training.objective import ClassObjective, Objective, Terms
from facecli.training.objectives import OBJECTIVES, make_objective
from facecli.training.pair_losses import pair_rows

LIBRARY = pytest.mark.skipif(
    find_spec("pytorch_metric_learning") is None, reason="pytorch-metric-learning is absent"
)
NAMES = [
    pytest.param(name, marks=[LIBRARY] if kind.library else []) for name, kind in OBJECTIVES.items()
]
WITH_CENTRES = {
    "softmax",
    "norm-softmax",
    "center",
    "arcface",
    "proxy-nca",
    "proxy-anchor",
    "soft-triple",
}
CLASSES, DIMENSION = 6, 8


def made(name: str, **options: float) -> Objective:
    torch.manual_seed(0)
    return make_objective(name, classes=CLASSES, dimension=DIMENSION, options=options)


def rows(labels: Tensor, seed: int = 0, spread: float = 0.7) -> Tensor:
    """Return unit rows, near each other where the label is the same."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES + 1, DIMENSION, generator=random)
    return normalize(
        centres[labels] + spread * torch.randn(len(labels), DIMENSION, generator=random)
    )


def back(terms: Terms) -> None:
    terms.loss.backward()  # type: ignore[no-untyped-call]


def each(count: int) -> Tensor:
    """Return labels with so many rows of each class."""
    return torch.arange(CLASSES).repeat_interleave(count)


AXIS = torch.eye(DIMENSION)[0]
SITUATIONS: dict[str, tuple[Tensor, Tensor]] = {
    "two of each": (rows(each(2)), each(2)),
    "three of each": (rows(each(3)), each(3)),
    "four of each": (rows(each(4)), each(4)),
    "one of each": (rows(each(1)), each(1)),
    "some alone": (rows(torch.tensor([0, 0, 1, 2, 3, 3])), torch.tensor([0, 0, 1, 2, 3, 3])),
    "unknown rows": (rows(each(4)), each(4).where(torch.arange(24) % 4 > 0, -1)),
    "all unknown": (rows(each(2)), torch.full((12,), -1)),
    "one class": (rows(each(4)), torch.zeros(24, dtype=torch.int64)),
    "one row": (rows(torch.tensor([1])), torch.tensor([1])),
    "no row": (torch.zeros(0, DIMENSION), torch.zeros(0, dtype=torch.int64)),
    "duplicates of a class": (rows(each(1)).repeat_interleave(4, dim=0), each(4)),
    "duplicates of all classes": (rows(each(1)).repeat(4, 1), each(4)),
    "collapse": (AXIS.expand(24, -1).clone(), each(4)),
    "cosines of 1 and -1": (torch.outer(torch.tensor([1.0, -1.0]).repeat(12), AXIS), each(4)),
}


def test_the_table_has_all_losses() -> None:
    assert list(OBJECTIVES) == [
        *("softmax", "norm-softmax", "center", "arcface", "contrastive", "triplet", "n-pair"),
        *("lifted", "multi-similarity", "angular", "proxy-nca", "proxy-anchor", "soft-triple"),
        *("symm-triplet", "symm-npair", "symm-angular", "symm-lifted"),
    ]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_row_describes_its_loss(name: str) -> None:
    kind = OBJECTIVES[name]
    assert kind.name == name
    assert kind.summary
    assert "\n" not in kind.summary
    assert any(letter.isdigit() for letter in kind.source)
    assert all(option.allows(kind.defaults[one]) for one, option in kind.options.items())
    assert all(option.meaning for option in kind.options.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_loss_and_gradients_are_finite(name: str, situation: str) -> None:
    objective = made(name)
    embeddings, labels = SITUATIONS[situation]
    embeddings = embeddings.clone().requires_grad_()
    terms = objective(embeddings, labels)
    assert terms.loss.shape == ()
    assert math.isfinite(terms.loss.item())
    back(terms)
    assert embeddings.grad is not None
    for gradient in [embeddings.grad, *(one.grad for one in objective.parameters())]:
        assert gradient is None or torch.isfinite(gradient).all()
    assert all(0 <= float(one) <= 1 for one in terms.measured.values())
    assert not any(one.requires_grad for one in terms.measured.values())


@pytest.mark.parametrize("name", [one for one in NAMES if one.values[0] in WITH_CENTRES])
@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_are_finite_at_the_centre_and_opposite_to_it(name: str, sign: int) -> None:
    objective = made(name)
    assert isinstance(objective, ClassObjective)
    places = normalize(objective.centres().detach()[:, 0])
    embeddings = (sign * places).requires_grad_()
    back(objective(embeddings, each(1)))
    assert embeddings.grad is not None
    for one in [embeddings, *objective.parameters()]:
        assert one.grad is not None
        assert torch.isfinite(one.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_a_label_change_nothing(name: str) -> None:
    embeddings, labels = rows(each(4)), each(4)
    unknown = torch.arange(24) % 5 == 0
    with_them = made(name)(embeddings, labels.masked_fill(unknown, -1))
    without = made(name)(embeddings[~unknown], labels[~unknown])
    assert with_them.loss.item() == pytest.approx(without.loss.item(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss(name: str) -> None:
    """Free points stand for a network."""
    objective, labels = made(name), each(4)
    points = rows(labels, spread=2.0).requires_grad_()
    rate = torch.optim.Adam([points, *objective.parameters()], lr=0.03)
    values = []
    for _ in range(40):
        rate.zero_grad()
        terms = objective(normalize(points), labels)
        back(terms)
        rate.step()
        values.append(terms.loss.item())
    assert values[-1] < 0.8 * values[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_start_depends_on_the_seed_of_torch_alone(name: str) -> None:
    one, same = made(name).state_dict(), made(name).state_dict()
    other = make_objective(name, classes=CLASSES, dimension=DIMENSION).state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert bool(one) is (name in WITH_CENTRES)
    assert not one or not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", NAMES)
def test_angles_are_to_the_learned_centres(name: str) -> None:
    objective = made(name)
    if name not in WITH_CENTRES:
        assert objective.angles(rows(each(2)), each(2)) is None
        return
    assert isinstance(objective, ClassObjective)
    places = normalize(objective.centres().detach()[:, 0])
    labels = torch.tensor([0, 1, 2, -1, 4, 5])
    angles = objective.angles(places, labels)
    assert angles.tolist() == pytest.approx([0.0] * 5, abs=0.1)
    if objective.centres().shape[1] == 1:
        assert objective.angles(-places, labels).tolist() == pytest.approx([180.0] * 5, abs=0.1)
    assert not angles.requires_grad


@pytest.mark.parametrize(("classes", "scale"), [(999, 30), (1000, 64)])
def test_arcface_has_the_scale_of_the_paper_for_many_classes(classes: int, scale: float) -> None:
    objective = make_objective("arcface", classes=classes, dimension=4)
    assert isinstance(objective, ArcFace)
    assert objective.scale == scale


def test_a_margin_never_touches_the_accuracy() -> None:
    embeddings, labels = rows(each(4)), each(4)
    measured = {}
    for margin in (0, 80):
        objective = made("arcface", margin=margin)
        assert isinstance(objective, ArcFace)
        with torch.no_grad():
            for label in range(CLASSES):
                objective.weight[label] = embeddings[labels == label].mean(dim=0)
        measured[margin] = objective(embeddings, labels).measured
    assert float(measured[0]["accuracy"]) == float(measured[80]["accuracy"]) > 0.5
    assert float(measured[0]["accuracy_with_margin"]) == float(measured[0]["accuracy"])
    assert float(measured[80]["accuracy_with_margin"]) < float(measured[80]["accuracy"])


def test_center_adds_half_the_squared_way_to_the_centre() -> None:
    embeddings, labels = rows(each(2)), each(2)
    objective = made("center", pull=0.5)
    assert isinstance(objective, ClassObjective)
    centres = objective.centres().detach()[:, 0]
    away = sum(float((embeddings[i] - centres[labels[i]]).square().sum()) for i in range(12))
    without = made("center", pull=0)(embeddings, labels).loss.item()
    assert objective(embeddings, labels).loss.item() == pytest.approx(without + 0.25 * away / 12)


@pytest.mark.parametrize(
    ("labels", "pairs"),
    [
        ([0, 0, 1, 1], [(0, 1), (2, 3)]),
        ([0, 1, 0, 1, 0], [(0, 2), (1, 3)]),
        ([3, 3, 3, 3, 2], [(0, 1), (2, 3)]),
        ([0, 1, 2], []),
        ([], []),
    ],
)
def test_rows_of_a_class_are_paired_in_their_order(
    labels: list[int], pairs: list[tuple[int, int]]
) -> None:
    first, second = pair_rows(torch.tensor(labels, dtype=torch.int64))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == pairs


def symm_loop(name: str, embeddings: Tensor, labels: Tensor, *, synthetic: bool) -> float:
    """Return a loss with synthesis, with its default options, one pair of points at a time."""
    e = embeddings.double()
    pairs = list(zip(*(one.tolist() for one in pair_rows(labels)), strict=True))
    points = []
    for i, j in pairs:
        cosine = e[i] @ e[j]
        both = [e[i], e[j], 2 * cosine * e[i] - e[j], 2 * cosine * e[j] - e[i]]
        points.append(both if synthetic else both[:2])
    costs = []
    for own, (i, _) in zip(points, pairs, strict=True):
        others = [points[x] for x in range(len(pairs)) if labels[pairs[x][0]] != labels[i]]
        costs += SYMM_COSTS[name](own, others)
    if name == "symm-triplet":
        return sum(costs) / max(1, sum(cost > 0 for cost in costs))
    return sum(costs) / len(costs)


def nearest(own: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest cosine."""
    return max(float(x @ n) for x in own for n in other)


def squared(cosine: float) -> float:
    return 2 - 2 * cosine


def triplet_costs(own: list[Tensor], others: list[list[Tensor]]) -> list[float]:
    positive = squared(float(own[0] @ own[1]))
    return [max(0.0, positive - squared(nearest(own, other)) + 0.2) for other in others]


def n_pair_cost(own: list[Tensor], others: list[list[Tensor]]) -> list[float]:
    positive = 16 * float(own[0] @ own[1])
    return [math.log(1 + sum(math.exp(16 * nearest(own, one) - positive) for one in others))]


def angular_cost(own: list[Tensor], others: list[list[Tensor]]) -> list[float]:
    """The tangent of 45° is 1."""
    hardest = [
        max(
            float(4 * (x + y) @ n - 4 * x @ y)
            for x, y in itertools.permutations(own, 2)
            for n in other
        )
        for other in others
    ]
    return [math.log(1 + sum(map(math.exp, hardest)))]


def lifted_cost(own: list[Tensor], others: list[list[Tensor]]) -> list[float]:
    of_a = sum(math.exp(1 - math.sqrt(squared(nearest(own, one)))) for one in others)
    cost = math.log(of_a + of_a) + math.sqrt(squared(float(own[0] @ own[1])))
    return [max(0.0, cost) ** 2 / 2]


SYMM_COSTS: dict[str, Callable[[list[Tensor], list[list[Tensor]]], list[float]]] = {
    "symm-triplet": triplet_costs,
    "symm-npair": n_pair_cost,
    "symm-angular": angular_cost,
    "symm-lifted": lifted_cost,
}


@pytest.mark.parametrize("name", SYMM_COSTS)
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("synthetic", [True, False])
def test_losses_with_synthesis_are_those_of_nested_loops(
    name: str, count: int, synthetic: bool
) -> None:
    embeddings, labels = rows(each(count), seed=count), each(count)
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    embeddings, labels = embeddings[shuffled], labels[shuffled]
    terms = made(name, synthetic=synthetic)(embeddings, labels)
    wanted = symm_loop(name, embeddings, labels, synthetic=synthetic)
    assert terms.loss.item() == pytest.approx(wanted, rel=1e-4)
    assert bool(terms.measured["synthetic"] > 0) is synthetic


def test_n_pair_has_no_negatives_of_its_own_class() -> None:
    embeddings, labels = rows(each(4)), each(4)
    first, second = pair_rows(labels)
    logits = 16 * embeddings[first] @ embeddings[second].T
    costs = []
    for i in range(len(first)):
        keep = [j for j in range(len(first)) if j == i or labels[first[j]] != labels[first[i]]]
        costs.append(float(logits[i, keep].logsumexp(0) - logits[i, i]))
    loss = made("n-pair")(embeddings, labels).loss.item()
    assert loss == pytest.approx(sum(costs) / len(costs), rel=1e-5)


@pytest.mark.slow
def test_lifted_is_fast_at_384_rows() -> None:
    """The best of several, since other programs may run beside it."""
    labels = torch.arange(96).repeat_interleave(4)
    objective = make_objective("lifted", classes=96, dimension=128)
    embeddings = normalize(torch.randn(384, 128)).requires_grad_()
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        back(objective(embeddings, labels))
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.05


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("tripelt", {}, "'tripelt'.*softmax, norm-softmax"),
        ("arcface\x1b", {}, r"arcface\\\\x1b"),
        ("triplet", {"scale": 1}, "triplet has no option 'scale'; it has margin"),
        ("triplet", {"margin": -1}, "margin of the loss triplet.*from 0 to 4, not -1"),
        ("arcface", {"margin": math.nan}, "not nan"),
        ("arcface", {"scale": math.inf}, "not inf"),
        ("soft-triple", {"centres": 1.5}, "a whole number from 1 to 100, not 1.5"),
        ("symm-npair", {"synthetic": 2}, "from 0 to 1, not 2"),
        ("proxy-nca", {"scale": 64}, "from 0.5 to 16"),
    ],
)
def test_what_there_is_not_is_refused_in_a_line(
    name: str, options: dict[str, float], told: str
) -> None:
    with pytest.raises(TrainingError, match=told) as refused:
        made(name, **options)
    assert "\n" not in str(refused.value)


def test_a_mining_or_size_that_there_is_not_is_refused() -> None:
    with pytest.raises(TrainingError, match="'soft'; there are semi-hard, hard, all"):
        make_objective("triplet", classes=2, dimension=2, mining="soft")
    with pytest.raises(TrainingError, match="at least one class"):
        make_objective("softmax", classes=0, dimension=2)


def test_a_loss_of_an_absent_library_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'facecli\[metric\]'"):
        made("proxy-anchor")
    made("symm-npair")
