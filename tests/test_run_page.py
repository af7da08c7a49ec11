"""What the page of a run is made from: moments of training, and what the finished run measured."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from markup import Structure
from synthetic import person_chips, write_people
from test_training_parts import tiny_network

from facecli.cli import cli
from facecli.errors import TrainingError
from facecli.training.aims import Aims
from facecli.training.batches import TrainingData
from facecli.training.batchnorm import NormalisedHead, insert_batch_norm
from facecli.training.config import TrainingConfig
from facecli.training.folder import RunFolder
from facecli.training.intake import HeldOut
from facecli.training.loop import Trainer
from facecli.training.moments import CLASSES, PHOTOS, Witness, photos_to_watch, reflected
from facecli.training.story import Moment
from facecli.training.telling import NEIGHBOURS, QUERIES, queries_of

CPU = torch.device("cpu")
CONFIG = TrainingConfig(
    steps=30, people=4, photos=4, learning_rate=1e-3, warm_up=5, validate_every=10, ema=0.9,
    loss="symm-npair", target_weight=0.0, seed=5,
)  # fmt: skip

DATA = TrainingData(*person_chips(6, 5, size=24), None)


def trainer_of(config: TrainingConfig = CONFIG) -> Trainer:
    """Return a trainer whose network has statistics that a look in the wrong mode would move."""
    network = tiny_network()
    insert_batch_norm(network, torch.from_numpy(DATA.chips).permute(0, 3, 1, 2).float())
    network.head = NormalisedHead(network.head)
    return Trainer(network, config, CPU, Aims(config, DATA.labels))


def watched(folder: RunFolder, trainer: Trainer, reports: int = 99) -> None:
    """Train as a session does, and stop after so many reports as if killed."""
    witness = Witness(folder, trainer, DATA)
    witness.start()
    for number, _ in enumerate(trainer.run(DATA, save_to=folder.state, log=witness.listen), 1):
        if number == reports:
            return
    witness.end()


def weights(trainer: Trainer) -> list[np.ndarray[Any, Any]]:
    return [value.numpy().copy() for value in trainer.network.state_dict().values()]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "mine.run")
    found.begin({}, resume=False)
    return found


class TestMoments:
    def test_looking_changes_no_number_of_the_run(self, folder: RunFolder) -> None:
        plain, seen = trainer_of(), trainer_of()
        list(plain.run(DATA, save_to=folder.state))
        watched(folder, seen)
        assert all(map(np.array_equal, weights(plain), weights(seen)))
        assert all(part.training for part in seen.network.modules())

    def test_there_are_three_of_the_same_photos(self, folder: RunFolder) -> None:
        watched(folder, trainer_of())
        moments = folder.moments()
        assert moments[0].step == 0
        assert 0 < moments[1].step < 30
        assert [moments[-1].step, len(moments)] == [30, 3]
        for one in moments:
            assert one.embeddings.shape == (6 * 5 + 6 * 2 * 2, 128)  # 2 pairs a class, 2 of each
            np.testing.assert_array_equal(one.labels, moments[0].labels)
            assert np.unique(one.labels).tolist() == [0, 1, 2, 3, 4, 5]
            assert int(one.synthetic.sum()) == 24
            np.testing.assert_allclose(np.linalg.norm(one.embeddings, axis=1), 1, atol=1e-5)
        assert not np.array_equal(moments[0].embeddings, moments[-1].embeddings)

    def test_a_run_of_no_steps_has_one(self, folder: RunFolder) -> None:
        watched(folder, trainer_of(replace(CONFIG, steps=0)))
        assert folder.moments_kept() == [0]

    @pytest.mark.parametrize(
        ("loss", "options", "made"),
        [
            ("symm-triplet", {}, 24),
            ("symm-triplet", {"synthetic": 0.0}, 0),
            ("arcface", {}, 0),
        ],
    )
    def test_only_losses_that_make_points_show_some(
        self, folder: RunFolder, loss: str, options: dict[str, float], made: int
    ) -> None:
        trainer = trainer_of(replace(CONFIG, loss=loss, options=options, steps=0))
        watched(folder, trainer)
        assert int(folder.moments()[0].synthetic.sum()) == made

    def test_a_resumed_run_keeps_those_before_its_state(self, folder: RunFolder) -> None:
        whole = trainer_of()
        watched(folder, whole)
        before = folder.moments()
        folder.state.unlink()
        folder.begin({}, resume=False)
        assert folder.moments_kept() == []

        watched(folder, trainer_of(), reports=3)  # steps 1, 10, and 20, where half is done
        assert 0 in folder.moments_kept()
        assert len(folder.moments_kept()) == 2
        again = trainer_of()
        again.restore(folder.state)
        folder.keep_moment(replace(before[-1], step=again.step + 1))  # saved before it was killed
        folder.forget_after(again.step)
        assert max(folder.moments_kept()) <= again.step
        watched(folder, again)
        after = folder.moments()
        assert len(after) == 3
        np.testing.assert_array_equal(after[0].embeddings, before[0].embeddings)
        np.testing.assert_array_equal(after[-1].embeddings, before[-1].embeddings)

    def test_are_private_and_a_broken_one_is_passed_over(self, folder: RunFolder) -> None:
        unit = np.eye(3, dtype=np.float32)
        folder.keep_moment(Moment(7, unit, np.arange(3), np.zeros(3, bool)))
        assert stat.S_IMODE((folder.path / "moment-7.npz").stat().st_mode) == 0o600
        (folder.path / "moment-8.npz").write_bytes(b"PK\x03\x04 torn")
        (folder.path / "moment-x.npz").write_bytes(b"")
        np.savez(folder.path / "moment-9.npz", embeddings=unit)
        pickled = np.array([{"a": 1}] * 3, dtype=object)
        np.savez(folder.path / "moment-10.npz", embeddings=unit, labels=pickled, synthetic=pickled)
        np.savez(
            folder.path / "moment-11.npz",
            embeddings=unit,
            labels=np.arange(2),
            synthetic=np.zeros(3, bool),
        )
        assert [one.step for one in folder.moments()] == [7]

    def test_a_folder_that_cannot_be_written_is_one_line(self, tmp_path: Path) -> None:
        gone = RunFolder(tmp_path / "gone")
        with pytest.raises(TrainingError, match="cannot be written"):
            Witness(gone, trainer_of(), DATA).start()


def test_few_photos_of_some_classes_are_watched() -> None:
    labels = np.repeat(np.arange(-1, 30), 20)
    rows = photos_to_watch(labels, 1)
    found, counts = np.unique(labels[rows], return_counts=True)
    assert len(found) == CLASSES
    assert set(counts) == {PHOTOS}
    assert -1 not in found
    np.testing.assert_array_equal(rows, photos_to_watch(labels, 1))
    assert not np.array_equal(rows, photos_to_watch(labels, 2))


def test_classes_of_one_photo_are_watched_only_if_there_are_no_others() -> None:
    assert set(photos_to_watch(np.array([0, 1, 1, 2, 2, -1]), 1)) == {1, 2, 3, 4}
    assert set(photos_to_watch(np.array([0, 1, 2, -1]), 1)) == {0, 1, 2}
    assert len(photos_to_watch(np.array([-1, -1]), 1)) == 0


def test_reflected_points_lie_on_the_other_side_of_their_partner() -> None:
    turned = np.radians([10, 30, 100, 140, 300])
    rows = np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)
    made, labels = reflected(rows, np.array([4, 4, 7, 7, 9]))
    degrees = np.degrees(np.arctan2(made[:, 1], made[:, 0])) % 360
    np.testing.assert_allclose(degrees, [350, 60, 50, 180], atol=1e-3)
    assert labels.tolist() == [4, 7, 4, 7]


def held_out(classes: int, pictures: int) -> HeldOut:
    labels = np.repeat(np.arange(classes), pictures)
    chips = np.zeros((len(labels), 4, 4, 3), np.uint8)
    chips[:, 0, 0, 0] = np.arange(len(labels))
    return HeldOut(chips, labels, 0, tuple(f"class {one}" for one in range(classes)))


class TestQueries:
    def test_each_is_of_another_class_with_its_nearest(self) -> None:
        held = held_out(9, 8)
        random = np.random.default_rng(0)
        raw = np.eye(16)[held.labels] + random.normal(0, 0.05, (72, 16))
        raw /= np.linalg.norm(raw, axis=1, keepdims=True)
        found = queries_of(raw.astype(np.float32), held, 1)
        assert len({one.label for one in found}) == len(found) == QUERIES
        for one in found:
            assert len(one.neighbours) == NEIGHBOURS
            assert all(near.same and near.label == one.label for near in one.neighbours)
            squared = [near.squared_l2 for near in one.neighbours]
            assert squared == sorted(squared)
            places = [int(near.chip[0, 0, 0]) for near in one.neighbours]
            row = int(one.chip[0, 0, 0])
            assert row not in places
            direct = ((raw[row] - raw[places]) ** 2).sum(axis=1)
            np.testing.assert_allclose(squared, direct, atol=1e-5)

    def test_a_class_of_one_picture_is_not_asked_about(self) -> None:
        held = held_out(3, 1)
        assert queries_of(np.eye(3, dtype=np.float32), held, 1) == ()

    def test_a_collapsed_model_still_never_finds_the_picture_itself(self) -> None:
        held = held_out(1, 3)
        (found,) = queries_of(np.ones((3, 1), np.float32), held, 1)
        assert len(found.neighbours) == 2


SHORT = (
    "steps = 4\npeople = 4\nphotos = 4\nwarm_up = 1\nvalidate_every = 2\nbatch_norm = true\n"
    "dimension = 16\n"
)


@pytest.fixture
def things(tmp_path: Path) -> Path:
    (tmp_path / "short.toml").write_text(SHORT)
    return write_people(tmp_path / "things", 8, 4, size=48)


def train(things: Path, out: Path, *more: object) -> Result:
    words = ["train", things, "--detector", "none", "--trunk", "small-conv", "--out", out]
    words += ["--config", out.with_name("short.toml"), *more]
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.mark.slow
class TestPage:
    def test_is_written_beside_the_curves_and_named(self, things: Path, tmp_path: Path) -> None:
        colours = tmp_path / "colours.csv"
        lines = [f"person0-{one:02},{'red' if one % 2 else 'blue'}" for one in range(8)]
        colours.write_text("\n".join(["person,label", *lines]))
        task = ("--task", f"colour={colours}:0-7", "--loss", "symm-npair")
        result = train(things, tmp_path / "mine.safetensors", *task, "--json")
        assert result.exit_code == 0, result.output
        page = tmp_path / "mine.run" / "report.html"
        assert json.loads(result.stdout.splitlines()[-1])["report"] == str(page)
        assert f"report: {page}" in result.stderr
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        texts = " ".join(Structure(page.read_text("utf-8")).texts)
        for said in (
            "symm-npair, scale 16, synthetic 1, and the same for each task",
            "24 pictures of 6 classes",
            "8 pictures of 2 other classes",
            "small-conv, random weights",
            "2 labels, numbers 0 to 7 of the embedding",
            "mine-colour, by the labels of colour",
            "mine, on classes never trained on",
            "Map of embeddings at step 0",
            "Map of embeddings at step 4",
            "Share of synthetic points among the hardest",
            "Nearest neighbours of validation pictures",
        ):
            assert said in texts
        assert "people" not in texts
        kept = RunFolder(tmp_path / "mine.run").moments_kept()
        resumed = train(things, tmp_path / "mine.safetensors", *task, "--resume")
        assert resumed.exit_code == 0, resumed.output
        assert RunFolder(tmp_path / "mine.run").moments_kept() == kept == [0, 2, 4]

    def test_comes_without_plots_where_there_is_no_matplotlib(
        self, things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        result = train(things, tmp_path / "mine.safetensors")
        assert result.exit_code == 0, result.output
        texts = " ".join(
            Structure((tmp_path / "mine.run" / "report.html").read_text("utf-8")).texts
        )
        assert "No plots" in texts
        assert "triplet, margin 0.2, mining semi-hard" in texts
        assert "Recall@1" in texts

    def test_that_cannot_be_written_loses_nothing(self, things: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.run" / "report.html").mkdir(parents=True)
        result = train(things, tmp_path / "mine.safetensors", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout.splitlines()[-1])["report"] is None
        assert "no report: " in result.stderr
        assert (tmp_path / "mine.safetensors").is_file()
