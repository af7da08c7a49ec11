"""Parts of a run on whole pictures: defaults, batches, and where its threshold comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecli.errors import TrainingError
from facecli.metrics import all_pairs, threshold_at_fmr
from facecli.metrics.caution import cautious_threshold
from facecli.models.block_trunks import ROWS
from facecli.models.networks import FaceNetwork, build
from facecli.training.batches import (
    Batches,
    PhotoBatches,
    TakeBatches,
    TakeData,
    TrainingData,
    batch_loss,
    batches_of,
)
from facecli.training.config import TrainingConfig, completed, read_config
from facecli.training.defaults import defaults_for
from facecli.training.picture_threshold import with_picture_threshold
from facecli.training.promotion import FARS, measure
from facecli.training.result import Calibrated
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import normalize

CPU = torch.device("cpu")


# thresholds


def things(classes: int, *, crowded: float = 0.0, photos: int = 4) -> tuple[FloatArray, IntArray]:
    """Return unit rows of classes that differ at random; `crowded` draws all of them together."""
    random = np.random.default_rng(0)
    rows = np.repeat(random.normal(size=(classes, 128)), photos, axis=0)
    rows += random.normal(size=rows.shape) * 0.5
    rows[:, 0] += crowded
    return normalize(rows.astype(np.float32)), np.repeat(np.arange(classes), photos)


def calibrated(rows: FloatArray, labels: IntArray, **changes: Any) -> Calibrated:
    """Calibrate a network that embeds the photos as these rows, moved by its shift."""
    network = build(ROWS["small-conv"].architecture("small-conv", 128))

    def see() -> FloatArray:
        return normalize(rows + network.shift.numpy())[None]

    config = completed({"init": "small-conv", **changes}, whole=True, tasks=False)
    before = measure(rows, labels, rates=FARS)
    return with_picture_threshold(network, config, see=see, labels=labels, before=before)


@pytest.mark.parametrize(("classes", "rate"), [(21, 1e-2), (63, 1e-3), (196, 1e-4)])
def test_the_rate_is_the_strictest_that_the_pairs_support(classes: int, rate: float) -> None:
    """A threshold above 1.1 is moved there, and the card states the rate and the pairs."""
    rows, labels = things(classes)
    found = calibrated(rows, labels)
    assert threshold_at_fmr(all_pairs(rows, labels).impostor, rate) > 1.1
    assert found.threshold == 1.1
    lies = cautious_threshold(found.embeddings, labels, rate)
    assert lies == pytest.approx(1.1, rel=0.01)
    exponent = round(np.log10(rate))
    assert found.threshold_source.startswith(f"FMR at most 1e{exponent} in 9 of 10 draws")
    assert found.threshold_source.endswith(f"impostor pairs of {classes} validation classes")


def test_a_threshold_below_stays_where_it_was_measured() -> None:
    """Moving it up would change the order of the pairs."""
    rows, labels = things(30, crowded=20.0)
    lies = cautious_threshold(rows, labels, 1e-2)
    found = calibrated(rows, labels)
    assert lies < 1.1
    assert found.threshold == pytest.approx(lies, rel=1e-3)
    np.testing.assert_allclose(found.embeddings, rows, atol=1e-6)
    assert "not moved to 1.1 squared L2, since it lies below" in found.threshold_source


def test_too_few_pairs_make_a_guess_and_say_so() -> None:
    rows, labels = things(5)
    found = calibrated(rows, labels)
    lies = threshold_at_fmr(all_pairs(rows, labels).impostor, 1e-2)
    assert found.threshold == pytest.approx(lies, rel=1e-3)
    assert found.threshold_source == (
        "a guess: FMR 1e-2 over 160 impostor pairs of 5 validation classes, which are too few to "
        "measure it"
    )


def test_without_pairs_the_threshold_is_the_usual_one() -> None:
    rows, labels = things(1)
    found = calibrated(rows, labels)
    assert found.threshold == 1.1
    assert found.threshold_source == "a guess: there are 0 impostor pairs of 1 validation classes"


@pytest.mark.parametrize("classes", [5, 30])
def test_embeddings_that_are_all_the_same_are_said(classes: int) -> None:
    _, labels = things(classes)
    rows = np.tile(np.eye(1, 128, dtype=np.float32), (len(labels), 1))
    found = calibrated(rows, labels)
    assert found.threshold == 1e-3
    assert "have the same embedding" in found.threshold_source


def test_a_threshold_that_was_chosen_is_kept() -> None:
    rows, labels = things(30)
    found = calibrated(rows, labels, calibrate=False, threshold=0.9)
    assert found.threshold == 0.9
    assert found.threshold_source.startswith("chosen beforehand")


# defaults


def test_runs_on_faces_have_the_settings_that_they_had() -> None:
    assert completed({}, whole=False, tasks=False) == TrainingConfig()


def test_the_change_of_colour_follows_light_on_faces_as_it_always_did() -> None:
    dim = completed({"augmentation": {"light": 0.1}}, whole=False, tasks=False).augmentation
    assert (dim.light, dim.saturation) == (0.1, 0.1)
    both = {"augmentation": {"light": 0.1, "saturation": 0.2}}
    assert completed(both, whole=False, tasks=False).augmentation.saturation == 0.2


def test_colour_and_eyes_are_left_alone_on_pictures() -> None:
    amounts = completed({}, whole=True, tasks=False).augmentation
    assert (amounts.grey, amounts.tint, amounts.glasses, amounts.low_resolution) == (0, 0, 0, 0)


def test_each_trunk_has_its_own_defaults_and_tasks_a_longer_embedding() -> None:
    bare = completed({}, whole=True, tasks=True)
    assert (bare.init, bare.takes, bare.dimension) == (
        "efficientnet-lite0",
        ("clean", "shifted"),
        512,
    )
    own = completed({"init": "small-conv"}, whole=True, tasks=False)
    assert (own.batch_norm, own.takes, own.trunk_rate, own.dimension) == (True, (), 1.0, 128)
    again = completed({"init": "mine.safetensors"}, whole=True, tasks=False)
    assert (again.batch_norm, again.takes, again.frozen) == (False, (), ())


def test_what_is_given_comes_before_the_defaults(tmp_path: Path) -> None:
    """First the command line, then the file, then the defaults; augmentation is merged."""
    path = tmp_path / "c.toml"
    path.write_text("steps = 7\nclip = 2.0\ndimension = 64\n[augmentation]\nblur = 0.9\n")
    found = read_config(path, {"init": "small-conv", "steps": 9}, whole=True, tasks=True)
    assert (found.steps, found.clip, found.dimension, found.batch_norm) == (9, 2.0, 64, True)
    assert (found.augmentation.blur, found.augmentation.rotation) == (0.9, 8.0)


def test_defaults_are_not_changed_by_those_who_ask() -> None:
    first = defaults_for(whole=True, init=None, tasks=True)
    completed({"augmentation": {"blur": 0.9}}, whole=True, tasks=True)
    assert defaults_for(whole=True, init=None, tasks=True) == first


@pytest.mark.parametrize("init", [3, ["small-conv"]])
def test_a_start_that_is_no_text_is_refused(init: object) -> None:
    with pytest.raises(TrainingError, match=r"init: .* does not fit"):
        completed({"init": init}, whole=True, tasks=False)


# batches of takes


def taken(classes: int = 5, photos: int = 4, takes: int = 2) -> TakeData:
    """Return takes whose only number tells photo and take: 10 × photo + take."""
    count = classes * photos
    maps = 10.0 * np.arange(count)[:, None] + np.arange(takes)
    labels = np.repeat(np.arange(classes), photos)
    return TakeData(maps[..., None].astype(np.float16), labels, None, 3)


SEVERAL = TrainingConfig(takes=("clean", "shifted"), people=3, photos=4)


def test_more_photos_than_takes_make_batches_of_different_photos() -> None:
    data = taken()
    assert isinstance(batches_of(data, SEVERAL, CPU), PhotoBatches)
    few = TrainingConfig(takes=("clean", "shifted"), people=3, photos=2)
    assert isinstance(batches_of(data, few, CPU), TakeBatches)
    chips = TrainingData(np.zeros((20, 4, 4, 3), np.uint8), data.labels, None)
    assert isinstance(batches_of(chips, few, CPU), Batches)


def test_a_batch_of_photos_depends_on_seed_and_step_alone() -> None:
    first, second = (PhotoBatches(taken(), SEVERAL, CPU) for _ in range(2))
    second.batch(9)
    assert torch.equal(first.batch(4).chips, second.batch(4).chips)
    assert not torch.equal(first.batch(4).chips, first.batch(5).chips)


def test_each_photo_is_in_a_random_take() -> None:
    batches = PhotoBatches(taken(), SEVERAL, CPU)
    kinds = []
    for step in range(30):
        batch = batches.batch(step)
        photo, kind = batch.chips[:, 0].div(10, rounding_mode="floor"), batch.chips[:, 0] % 10
        assert torch.equal(photo.long(), batch.rows)
        assert len(set(batch.rows.tolist())) == 12, "no photo is there twice"
        assert torch.equal(batch.labels, batch.rows // 4)
        assert batch.clean is not None
        assert torch.equal(kind == 0, batch.clean)
        assert (batch.cut, batch.targets, batch.all_targets) == (3, None, None)
        kinds.append(kind)
    assert 0.4 < float(torch.cat(kinds).mean()) < 0.6


def test_a_batch_without_targets_has_a_loss() -> None:
    batch = PhotoBatches(taken(), SEVERAL, CPU).batch(0)
    rows = torch.nn.functional.normalize(
        torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    )
    config = TrainingConfig(people=3, photos=4, anchor_weight=1.0, relation_weight=1.0)
    parts = batch_loss(rows, batch, config)
    assert parts["loss"] == parts["triplet"] > 0
    assert parts["target"] == parts["relation"] == 0


def test_classes_of_one_photo_have_no_batches() -> None:
    with pytest.raises(TrainingError, match="at least two people with two photos each"):
        PhotoBatches(taken(photos=1), SEVERAL, CPU)


def test_a_network_of_pictures_has_no_mirror_image() -> None:
    architecture = ROWS["small-conv"].architecture("small-conv", 8)
    network: FaceNetwork = build(architecture)
    assert architecture["mirror"] is False
    assert network.head.out_features == 8
