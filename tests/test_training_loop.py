"""The loop learns, repeats itself, continues where it was cut, and stops when it must."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import person_chips
from test_training_parts import tiny_network

from facecli.errors import ModelError, TrainingError
from facecli.metrics import all_pairs, auc
from facecli.models.networks import FaceNetwork
from facecli.training.batches import TrainingData
from facecli.training.batchnorm import insert_batch_norm
from facecli.training.config import TrainingConfig
from facecli.training.head import fit_head, principal_targets
from facecli.training.loop import Trainer
from facecli.training.start import views_of
from facecli.training.steps import Step

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CONFIG = TrainingConfig(
    steps=20, people=4, photos=3, others=4, learning_rate=1e-3, warm_up=5, validate_every=10,
    ema=0.9, seed=5,
)  # fmt: skip


def data(*, people: int = 12, seed: int = 0) -> TrainingData:
    chips, labels = person_chips(people, 6, size=24, seed=seed)
    return TrainingData(chips, labels, None)


def weights(network: FaceNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def separation(network: FaceNetwork, seed: int) -> float:
    """Return how often a genuine pair of people not trained on is closer than an impostor pair."""
    chips, labels = person_chips(30, 4, size=24, seed=seed)
    pairs = all_pairs(views_of(network, chips, mirror=False)[0], labels)
    return auc(pairs.genuine, pairs.impostor)


@pytest.mark.parametrize("mining", ["semi-hard", "all"])
def test_people_never_seen_are_told_apart_better_after_training(
    tmp_path: Path, mining: str
) -> None:
    network = tiny_network(seed=1)
    chips = data(people=60).chips
    fit_head(network, chips, principal_targets(network, chips, 128), 1.0)
    before = separation(network, seed=99)
    config = replace(CONFIG, steps=150, people=8, mining=mining, learning_rate=3e-3)
    trainer = Trainer(network, config, CPU)
    steps = list(trainer.run(data(people=60), save_to=tmp_path / "state.safetensors"))
    after = separation(trainer.averaged(), seed=99)
    assert steps[-1].loss < steps[0].loss
    assert 1 - after < 0.8 * (1 - before)


def test_a_run_repeats_itself_to_the_last_bit(tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        trainer = Trainer(tiny_network(), CONFIG, CPU)
        steps = list(trainer.run(data(), save_to=tmp_path / name))
        runs.append(([(step.step, step.loss, step.semi_hard) for step in steps], trainer))
    assert runs[0][0] == runs[1][0]
    assert [step for step, _, _ in runs[0][0]] == [10, 20]
    assert same(weights(runs[0][1].averaged()), weights(runs[1][1].averaged()))
    other = Trainer(tiny_network(), replace(CONFIG, seed=6), CPU)
    different = list(other.run(data(), save_to=tmp_path / "c"))
    assert [step.loss for step in different] != [loss for _, loss, _ in runs[0][0]]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_run_cut_off_continues_to_the_same_weights(tmp_path: Path, batch_norm: bool) -> None:
    """Weights, averages, Adam's moments in their memory order, and statistics all come back."""

    def trainer() -> Trainer:
        network = tiny_network()
        if batch_norm:
            pixels = torch.from_numpy(data().chips).permute(0, 3, 1, 2).float()
            insert_batch_norm(network, pixels)
        return Trainer(network, CONFIG, CPU)

    whole = trainer()
    list(whole.run(data(), save_to=tmp_path / "whole"))
    cut = trainer()
    next(cut.run(data(), save_to=tmp_path / "cut"))
    resumed = trainer()
    resumed.restore(tmp_path / "cut")
    assert resumed.step == 10
    list(resumed.run(data(), save_to=tmp_path / "cut"))
    assert same(weights(whole.network), weights(resumed.network))
    assert same(weights(whole.averaged()), weights(resumed.averaged()))


def test_the_state_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(tiny_network(), CONFIG, CPU)
    trainer.save(tmp_path / "state")
    other = tiny_network()
    other.head = torch.nn.Linear(24, 64)
    with pytest.raises(ModelError, match="not a saved state of this run"):
        Trainer(other, CONFIG, CPU).restore(tmp_path / "state")


def test_collapse_is_seen_and_stopped(tmp_path: Path) -> None:
    """A constant embedding costs nothing under semi-hard mining: the loss alone would look fine."""
    network = tiny_network()
    torch.nn.init.zeros_(network.head.weight)
    trainer = Trainer(network, replace(CONFIG, learning_rate=1e-12, steps=200), CPU)
    with pytest.raises(TrainingError, match=r"step 30: .* collapsed, .* 0\.0000") as caught:
        list(trainer.run(data(), save_to=tmp_path / "state"))
    assert "\n" not in str(caught.value)


def test_batch_hard_mining_at_a_high_rate_collapses_and_is_stopped(tmp_path: Path) -> None:
    """Schroff et al. (2015, section 3.2) name this failure of the hardest negatives."""
    network = tiny_network(seed=1)
    chips = data(people=60).chips
    fit_head(network, chips, principal_targets(network, chips, 128), 1.0)
    config = replace(CONFIG, steps=150, people=8, mining="hard", learning_rate=3e-3)
    with pytest.raises(TrainingError, match="collapsed"):
        list(Trainer(network, config, CPU).run(data(people=60), save_to=tmp_path / "state"))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_state(tmp_path: Path) -> None:
    trainer = Trainer(tiny_network(), CONFIG, CPU)
    run = trainer.run(data(), save_to=tmp_path / "state")
    next(run)
    saved = (tmp_path / "state").read_bytes()
    with torch.no_grad():
        trainer.network.head.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="step 20: the loss is not a finite number"):
        next(run)
    assert (tmp_path / "state").read_bytes() == saved


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """Let no file grow beyond `limit` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_keeps_the_last_state(tmp_path: Path) -> None:
    trainer = Trainer(tiny_network(), CONFIG, CPU)
    run = trainer.run(data(), save_to=tmp_path / "state")
    next(run)
    saved = (tmp_path / "state").read_bytes()
    with small_disk(len(saved) // 2), pytest.raises(ModelError, match="cannot be written") as full:
        next(run)
    assert "\n" not in str(full.value)
    assert (tmp_path / "state").read_bytes() == saved
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    Trainer(tiny_network(), CONFIG, CPU).restore(tmp_path / "state")


def test_frozen_parameters_stay_and_the_others_move(tmp_path: Path) -> None:
    network = tiny_network()
    before = weights(network)
    trainer = Trainer(network, replace(CONFIG, frozen=("trunk.stem",)), CPU)
    list(trainer.run(data(), save_to=tmp_path / "state"))
    moved = {
        name for name, value in weights(network).items() if not torch.equal(value, before[name])
    }
    assert moved == {"trunk.deep.weight", "trunk.deep.bias", "head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("frozen", "reason"), [(("trunk.stam",), "trunk.stam"), (("",), "everything is frozen")]
)
def test_freezing_nothing_or_everything_is_a_mistake(frozen: tuple[str], reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        Trainer(tiny_network(), replace(CONFIG, frozen=frozen), CPU)


def test_the_trunk_waits_while_only_the_head_moves(tmp_path: Path) -> None:
    network = tiny_network()
    before = weights(network)
    trainer = Trainer(network, replace(CONFIG, head_steps=15), CPU)
    run = trainer.run(data(), save_to=tmp_path / "state")
    next(run)
    assert torch.equal(network.state_dict()["trunk.stem.weight"], before["trunk.stem.weight"])
    assert not torch.equal(network.state_dict()["head.weight"], before["head.weight"])
    next(run)
    assert not torch.equal(network.state_dict()["trunk.stem.weight"], before["trunk.stem.weight"])


def test_a_time_budget_ends_the_run_with_its_state_saved(tmp_path: Path) -> None:
    trainer = Trainer(tiny_network(), replace(CONFIG, steps=10**6, validate_every=10**6), CPU)
    steps: list[Step] = list(trainer.run(data(), save_to=tmp_path / "s", time_budget=0.3))
    assert steps[-1].seconds >= 0.3
    assert steps[-1].left == 0
    again = Trainer(tiny_network(), CONFIG, CPU)
    again.restore(tmp_path / "s")
    assert again.step == steps[-1].step


def test_only_the_rows_given_are_learned_from(tmp_path: Path) -> None:
    """Chips outside `rows`, as those held out, do not touch the run."""
    plain = data()
    padded = np.concatenate([np.full_like(plain.chips[:7], 255), plain.chips])
    rows = np.arange(7, len(padded))
    results = []
    for one in (plain, TrainingData(padded, plain.labels, None, rows)):
        trainer = Trainer(tiny_network(), CONFIG, CPU)
        list(trainer.run(one, save_to=tmp_path / "state"))
        results.append(weights(trainer.network))
    assert same(*results)


def test_targets_of_some_photos_draw_them_there(tmp_path: Path) -> None:
    """Photos without a target take part in the triplets alone."""
    chips, labels = person_chips(12, 6, size=24)
    goals = np.eye(128, dtype=np.float32)[labels]
    goals[::3] = np.nan
    config = replace(CONFIG, steps=100, learning_rate=3e-3)
    trainer = Trainer(tiny_network(), config, CPU)
    run = trainer.run(TrainingData(chips, labels, goals), save_to=tmp_path / "state")
    steps = list(run)
    assert steps[-1].target < 0.85 * steps[0].target
    assert steps[0].triplet > 0
