"""Each loss by name trains a model of whole pictures, and an interrupted run ends the same way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from drawn import Shop, draw_shop, facecli, refusal, train
from safetensors.numpy import load_file

from facecli.errors import TrainingError
from facecli.faces import acquisition
from facecli.faces.whole import WholePicture
from facecli.models import checkpoints, encoders
from facecli.models.torch_encoder import load_torch_encoder
from facecli.training.config import TrainingConfig, completed
from facecli.training.intake import TrainingRequest
from facecli.training.objectives import OBJECTIVES
from facecli.training.session import Session
from facecli.training.tasks import Task
from facecli.types import Acquisition, ChipGeometry, Failure
from facecli.vectors.distances import paired_squared_l2

pytestmark = pytest.mark.slow

LIBRARY = pytest.mark.skipif(
    find_spec("pytorch_metric_learning") is None, reason="pytorch-metric-learning is absent"
)
NAMES = [
    pytest.param(name, marks=[LIBRARY] if kind.library else []) for name, kind in OBJECTIVES.items()
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return draw_shop(tmp_path_factory.mktemp("shop"), products=8)


@pytest.mark.parametrize("loss", NAMES)
def test_each_loss_writes_a_model_that_embeds_as_in_training(
    shop: Shop, tmp_path: Path, loss: str
) -> None:
    out = tmp_path / "m.safetensors"
    result = train(shop.pictures, out, "--loss", loss)
    assert result.exit_code == 0, result.output
    encoder = encoders.load_encoder(str(out))
    assert encoder.card.config["loss"] == loss
    chips = np.load(tmp_path / "m.run" / "chips" / "chips.npy")
    weights, card = checkpoints.load(out)
    network = load_torch_encoder(weights, card, device="cpu", source="m")
    rows = encoder.embed(chips)
    assert paired_squared_l2(rows, network.embed(chips)).max() < 1e-5
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert paired_squared_l2(rows[:-4], rows[4:]).max() > 0.01, "no constant embedding"


# interrupted runs

Weights = dict[str, npt.NDArray[np.generic]]


def config_for(loss: str, **changes: object) -> TrainingConfig:
    usual = {"init": "small-conv", "loss": loss, "steps": 4, "validate_every": 2, "people": 3}
    return completed({**usual, **changes}, whole=True, tasks=False)


def whole_pictures(
    paths: Iterable[Path], geometry: ChipGeometry
) -> Iterator[Acquisition | Failure]:
    return acquisition.acquire(paths, WholePicture(), geometry)


def session(
    shop: Shop, out: Path, config: TrainingConfig, *, resume: bool, tasks: tuple[Task, ...] = ()
) -> Session:
    request = TrainingRequest(
        shop.pictures, out, whole=True, validation=None, resume=resume, tasks=tasks
    )
    return Session(request, config, acquire=whole_pictures)


def weights_of(run: Session) -> Weights:
    """Return the weights of all models of a run, trained to its end."""
    for _ in run.train():
        pass
    made = run.finish()
    return {
        f"{number} {name}": value
        for number, one in enumerate((made.model, *made.slices))
        for name, value in load_file(one.path).items()
    }


def straight(
    shop: Shop, folder: Path, config: TrainingConfig, tasks: tuple[Task, ...] = ()
) -> Weights:
    """Return the weights of a run that nothing interrupts."""
    return weights_of(
        session(shop, folder / "straight.safetensors", config, resume=False, tasks=tasks)
    )


def resumed(
    shop: Shop, folder: Path, config: TrainingConfig, tasks: tuple[Task, ...] = ()
) -> Weights:
    """Return the weights of a run that is interrupted after its first saved state."""
    out = folder / "resumed.safetensors"
    run = session(shop, out, config, resume=False, tasks=tasks)
    next(step for step in run.train() if step.step == 2)
    torch.manual_seed(99)  # another process starts with other random numbers
    return weights_of(session(shop, out, config, resume=True, tasks=tasks))


def is_equal(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(
        one[name].tobytes() == other[name].tobytes() for name in one
    )


@pytest.mark.parametrize(
    "loss",
    ["triplet", "arcface", pytest.param("proxy-anchor", marks=LIBRARY), "symm-npair", "center"],
)
def test_an_interrupted_run_ends_bit_equal(shop: Shop, tmp_path: Path, loss: str) -> None:
    """Also what the loss learns itself, and the normalisation of head and trunk, are continued."""
    config = config_for(loss)
    assert is_equal(straight(shop, tmp_path, config), resumed(shop, tmp_path, config))


def test_another_seed_ends_elsewhere(shop: Shop, tmp_path: Path) -> None:
    one, other = (config_for("arcface", seed=seed) for seed in (1, 2))
    (tmp_path / "other").mkdir()
    assert not is_equal(straight(shop, tmp_path, one), straight(shop, tmp_path / "other", other))


def test_an_interrupted_run_with_tasks_ends_bit_equal(shop: Shop, tmp_path: Path) -> None:
    config = config_for("arcface", dimension=160)
    tasks = (Task("colour", shop.colour, 0, 9), Task("shape", shop.shape, 10, 30))
    first, second = (run(shop, tmp_path, config, tasks) for run in (straight, resumed))
    assert is_equal(first, second)


def test_an_interrupted_run_on_takes_ends_bit_equal(shop: Shop, tmp_path: Path) -> None:
    """As the pretrained trunk does by default: the frozen layers run once, before training."""
    config = config_for(
        "arcface",
        takes=["clean", "shifted"],
        batch_norm=False,
        frozen=["trunk.layers.0.", "trunk.layers.1."],
    )
    assert is_equal(straight(shop, tmp_path, config), resumed(shop, tmp_path, config))


@pytest.mark.parametrize("other", ["no task", "another slice", "another table"])
def test_other_tasks_do_not_continue_a_run(shop: Shop, tmp_path: Path, other: str) -> None:
    config = config_for("arcface")
    task = Task("colour", shop.colour, 0, 9)
    straight(shop, tmp_path, config, (task,))
    changed: dict[str, tuple[Task, ...]] = {
        "no task": (),
        "another slice": (Task("colour", shop.colour, 0, 10),),
        "another table": (Task("colour", shop.shape, 0, 9),),
    }
    with pytest.raises(TrainingError, match="was started with other settings"):
        session(shop, tmp_path / "straight.safetensors", config, resume=True, tasks=changed[other])


def test_an_earlier_run_is_not_written_over(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    assert train(shop.pictures, out).exit_code == 0
    before = out.read_bytes()
    assert "holds an earlier run; continue it with --resume" in refusal(train(shop.pictures, out))
    assert train(shop.pictures, out, "--resume").exit_code == 0
    assert out.read_bytes() == before
    other = train(shop.pictures, out, "--resume", "--loss", "arcface")
    assert "was started with other settings (loss)" in refusal(other)


def test_a_time_budget_ends_a_run_early(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    words = ("--detector", "none", "--trunk", "small-conv", "--steps", 10_000, "--people", 4)
    result = facecli("train", shop.pictures, "--out", out, *words, "--time-budget", 1)
    assert result.exit_code == 0, result.output
    assert 0 < encoders.read_card(str(out)).history[-1]["steps"] < 10_000
    assert list(itertools.islice(tmp_path.glob("*.tmp"), 1)) == []
