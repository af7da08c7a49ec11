"""Losses are compared on folds of the classes, then once on test classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from facecli.cli import cli
from facecli.errors import TrainingError
from facecli.training import comparison
from facecli.training.class_folds import split_classes
from facecli.training.contest import read_contest
from facecli.training.glasses import draw_collection
from facecli.training.results import Found, Results

FILE = """
steps = 3
people = 3
photos = 2
[[losses]]
loss = "triplet"
margin = [0.1, 0.2]
[[losses]]
loss = "symm-npair"
options.scale = [8.0, 16.0]
"""


def contest_of(folder: Path, text: str) -> Any:
    path = folder / "losses.toml"
    path.write_text(text)
    return read_contest(path)


class TestTheFile:
    def test_a_list_is_a_value_for_each_trial(self, tmp_path: Path) -> None:
        first, second, _ = contest_of(tmp_path, FILE).rivals
        assert [one["margin"] for one in first.trials] == [0.1, 0.2]
        assert second.trials[1] == {"loss": "symm-npair", "options": {"scale": 16.0}}
        assert second.described(1) == "scale 16.0"

    def test_synthesis_comes_with_the_same_loss_without_it(self, tmp_path: Path) -> None:
        last = contest_of(tmp_path, FILE).rivals[-1]
        assert last.name == "symm-npair, pooling only"
        assert [one["options"]["synthetic"] for one in last.trials] == [0, 0]
        assert [one["options"]["scale"] for one in last.trials] == [8.0, 16.0]

    def test_pooling_is_there_without_any_synthesis(self, tmp_path: Path) -> None:
        rivals = contest_of(tmp_path, '[[losses]]\nloss = "arcface"\n').rivals
        assert [one.name for one in rivals] == ["arcface", "symm-triplet, pooling only"]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("steps = 3", "needs a table [[losses]]"),
            ("losses = []", "there is no loss"),
            ("losses = 1", "needs a table [[losses]]"),
            ("[[losses]]\nmargin = 0.1", "needs the name of its loss"),
            ('[[losses]]\nloss = "tripel"', "there is no loss"),
            ('[[losses]]\nloss = "triplet"\nsteps = 4', "steps must be the same for all"),
            ('[[losses]]\nloss = "arcface"\noptions.wit = 4', "no option"),
            ('[[losses]]\nloss = "arcface"\noptions = 4', "must be a table"),
            ('margin = 0.3\n[[losses]]\nloss = "triplet"', "margin belongs into the tables"),
            ('test_share = 1.5\n[[losses]]\nloss = "triplet"', "test_share"),
            ('[[losses]]\nloss = "triplet"\nmargin = []', "above 0"),
            (
                '[[losses]]\nloss = "triplet"\nmargin = [0.1, 0.2]\nlearning_rate = [0.1]',
                "of one length",
            ),
            (
                '[[losses]]\nloss = "triplet"\nmargin = [0.1, 0.2]\n[[losses]]\nloss = "n-pair"',
                "as many trials",
            ),
            ('[[losses]]\nloss = "triplet"\n[[losses]]\nloss = "triplet"', "give one a name"),
            ("[[losses", "cannot be read as TOML"),
        ],
    )
    def test_what_cannot_be_compared_is_said(self, tmp_path: Path, text: str, reason: str) -> None:
        with pytest.raises(TrainingError) as caught:
            contest_of(tmp_path, text)
        assert reason in str(caught.value)


class TestTheSplit:
    @given(classes=st.integers(8, 40), folds=st.integers(2, 3), seed=st.integers(0, 99))
    def test_no_class_is_in_two_parts(self, classes: int, folds: int, seed: int) -> None:
        labels = np.repeat(np.arange(classes), 2)
        split = split_classes(labels, test_share=0.3, folds=folds, seed=seed)
        parts = [*split.folds, split.test]
        assert sorted(np.concatenate(parts)) == list(range(classes))
        assert min(map(len, parts)) >= 2
        for fold in (*range(folds), None):
            assert not set(split.train(fold)) & set(split.measure(fold))
            assert not set(split.train(fold)) & set(split.test)

    def test_too_few_classes_are_refused(self) -> None:
        with pytest.raises(TrainingError, match="5 classes with two or more usable pictures"):
            split_classes(np.repeat(np.arange(5), 2), test_share=0.5, folds=2, seed=0)

    def test_a_class_of_one_picture_is_in_no_part(self) -> None:
        labels = np.array([*np.repeat(np.arange(8), 2), 8, -1])
        split = split_classes(labels, test_share=0.5, folds=2, seed=0)
        assert 8 not in np.concatenate([*split.folds, split.test])


def test_damaged_results_count_as_none(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    results.keep("a", Found.failed(1.0))
    assert results.has("a")
    assert not results.load("a").works
    path = tmp_path / "results" / "a.npz"
    path.write_bytes(path.read_bytes()[:40])
    assert not results.has("a")
    assert not results.has("b")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw ten products with four pictures each."""
    folder = tmp_path_factory.mktemp("drawn")
    collection = draw_collection(folder / "all", pictures=4)
    for place, product in enumerate(sorted(collection.pictures.iterdir())):
        if place % 6:
            shutil.rmtree(product)
    return collection.pictures


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    path = tmp_path / "losses.toml"
    path.write_text(FILE)
    return path


def run(data: Path, losses: Path, *more: str) -> Result:
    report = losses.with_name("compare.html")
    command = ["train", str(data), "--detector", "none", "--trunk", "small-conv", "--folds", "2"]
    command += ["--compare", str(losses), "--report", str(report), "--json"]
    library = ["--library", str(losses.with_name("library.db"))]
    return CliRunner().invoke(cli, [*command, *library, *more])


def the_record(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    (record,) = (json.loads(line) for line in result.stdout.splitlines())
    found: dict[str, Any] = record
    return found


@pytest.mark.slow
class TestTheCommand:
    def test_it_compares_all_losses_and_writes_the_page(self, drawn: Path, losses: Path) -> None:
        record = the_record(run(drawn, losses))
        names = [one["name"] for one in record["losses"]]
        assert names == ["triplet", "symm-npair", "symm-npair, pooling only", "no training"]
        first, *others = record["losses"]
        assert (first["difference"], first["verdict"]) == (None, "")
        assert all(one["difference"] is not None and one["verdict"] for one in others)
        assert record["best"] in names[:3]
        assert record["losses"][-1]["fold_map_at_r"] is None
        assert "Losses compared" in losses.with_name("compare.html").read_text()
        folder = losses.with_name("compare.run")
        trained, tested = (
            {line.rsplit(",", 1)[1] for line in (folder / name).read_text().splitlines()[1:]}
            for name in ("training.csv", "test.csv")
        )
        assert len(trained) == len(tested) == 5
        assert not trained & tested
        assert folder.stat().st_mode & 0o077 == 0

    def test_an_interrupted_comparison_goes_on(
        self, drawn: Path, losses: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = the_record(run(drawn, losses))
        shutil.rmtree(losses.with_name("compare.run"))
        trained: list[int] = []
        train = comparison.Comparison._trained

        def until_the_fourth(self: Any, *given: Any) -> Any:
            if len(trained) == 3:
                raise KeyboardInterrupt
            trained.append(1)
            return train(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(comparison.Comparison, "_trained", until_the_fourth)
            assert run(drawn, losses).exit_code == 130
        again = the_record(run(drawn, losses))
        for one, other in zip(whole["losses"], again["losses"], strict=True):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}

    def test_a_loss_that_cannot_be_trained_is_left_out_and_said(
        self, drawn: Path, losses: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train = comparison.Comparison._trained

        def failing(self: Any, plan: Any, rows: Any) -> Any:
            if plan.config.loss == "symm-npair" and not plan.config.options.get("synthetic", 1):
                raise TrainingError("step 2: the network has collapsed")
            return train(self, plan, rows)

        monkeypatch.setattr(comparison.Comparison, "_trained", failing)
        result = run(drawn, losses)
        names = [one["name"] for one in the_record(result)["losses"]]
        assert names == ["triplet", "symm-npair", "no training"]
        assert "symm-npair, pooling only: step 2: the network has collapsed" in result.stderr

    @pytest.mark.parametrize(
        ("more", "reason"),
        [
            (["--out", "model.safetensors"], "leave out --out"),
            (["--task", "a=b.csv:0-3"], "--task"),
            (["--folds", "9"], "too few for 9 folds"),
        ],
    )
    def test_what_does_not_go_together_is_one_line(
        self, drawn: Path, losses: Path, more: list[str], reason: str
    ) -> None:
        result = run(drawn, losses, *more)
        assert result.exit_code == 2
        assert reason in result.stderr
        assert "Traceback" not in result.stderr


def test_a_comparison_needs_a_page(tmp_path: Path) -> None:
    command = ["train", str(tmp_path), "--detector", "none", "--compare", "losses.toml"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2
    assert "--compare needs --report" in result.stderr


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's model folder out of it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
