"""The closed-form parts of training: heads, normalisation, calibration, targets, settings."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power
from synthetic import person_chips
from torch import nn

from facecli.errors import TrainingError
from facecli.metrics import all_pairs, bootstrap_by_person, bootstrap_difference, threshold_at_fmr
from facecli.metrics.support import rate_name, supported
from facecli.models.dlib_format import resnet29_architecture
from facecli.models.networks import FaceNetwork, build
from facecli.training import head
from facecli.training.batchnorm import NormalisedConvolution, fold_batch_norm, insert_batch_norm
from facecli.training.config import TrainingConfig, config_from_dict, read_config
from facecli.training.head import (
    calibrating_shift,
    even_out,
    features_of,
    fit_head,
    principal_directions,
    principal_targets,
)
from facecli.training.promotion import FARS, combine, compare, measure, shift_to_rate
from facecli.training.targets import read_targets
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import normalize


class TinyTrunk(nn.Module):
    """Two convolutions with biases, on chips of any size."""

    features = 24

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.deep = nn.Conv2d(8, 6, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.deep(torch.relu(self.stem(x))))
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


def tiny_network(seed: int = 0) -> FaceNetwork:
    """Return a face network with a trunk small enough for hundreds of steps a second."""
    torch.manual_seed(seed)
    network = build(resnet29_architecture({"5": 1}))
    network.trunk = TinyTrunk()  # type: ignore[assignment]
    network.head = nn.Linear(TinyTrunk.features, 128)
    return network


def random_units(rows: int, seed: int, *, offset: float = 0.0) -> FloatArray:
    """Return unit vectors float32 (rows, 128), crowded about one direction by `offset`."""
    random = np.random.default_rng(seed)
    raw = random.normal(size=(rows, 128)) + offset
    return normalize(raw.astype(np.float32))


def people_units(people: int, noise: float, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Return unit vectors of people with three photos each."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), 3)
    centres = random.normal(size=(people, 128))
    raw = centres[labels] + noise * random.normal(size=(len(labels), 128))
    return normalize(raw.astype(np.float32)), labels


def test_the_head_is_the_ridge_regression_numpy_finds() -> None:
    """Solved here by least squares over rows extended with the penalty, standardised first."""
    network = tiny_network()
    chips, _ = person_chips(30, 2, size=24)
    targets = random_units(len(chips), 1)
    known = np.arange(len(chips)) % 5 != 0
    ridge, rows = 3.0, int(known.sum())
    features = features_of(network, chips).double().numpy()[known]
    mean, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    standard = (features - mean) / spread
    penalty = np.sqrt(ridge * rows / standard.shape[1]) * np.eye(standard.shape[1])
    centre = targets[known].mean(axis=0)
    left = np.vstack([standard, penalty])
    right = np.vstack([targets[known] - centre, np.zeros((len(penalty), 128))])
    solution = np.linalg.lstsq(left, right, rcond=None)[0]
    fit_head(network, chips, np.where(known[:, None], targets, np.float32(np.nan)), ridge)
    with torch.no_grad():
        fitted = network.head(features_of(network, chips))[torch.from_numpy(known)].numpy()
    np.testing.assert_allclose(fitted, standard @ solution + centre, atol=2e-4)


def test_mirrored_features_are_the_mean_of_both_views() -> None:
    network = tiny_network()
    chips, _ = person_chips(3, 2, size=20, seed=4)
    expected = (features_of(network, chips) + features_of(network, chips[:, :, ::-1])) / 2
    assert torch.equal(features_of(network, chips, mirror=True), expected)


@pytest.mark.slow
@pytest.mark.parametrize("power", [0.0, 0.15, 1.0])
def test_evening_out_is_a_power_of_the_second_moment(power: float) -> None:
    """Against a matrix power by SciPy, applied to the embeddings themselves."""
    network = tiny_network()
    before = np.concatenate([random_units(400, 1), random_units(400, 2, offset=0.5)])
    features = torch.from_numpy(random_units(9, 3)[:, : TinyTrunk.features])
    with torch.no_grad():
        old = network.embed_features(features).numpy()
        even_out(network, before, power)
        new = network.embed_features(features).numpy()
    moment = before.T.astype(np.float64) @ before / len(before)
    expected = normalize(old @ fractional_matrix_power(moment, -power / 2).real)
    np.testing.assert_allclose(new, expected, atol=2e-6)


def test_with_fewer_chips_than_features_the_head_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then no product of all features with all is made: those of SFace would take 5 GB."""
    chips, _ = person_chips(10, 2, size=24)
    targets = random_units(len(chips), 1)
    one, other = tiny_network(), tiny_network()
    fit_head(one, chips, targets, 3.0)
    monkeypatch.setattr(head, "WIDE", 8)
    monkeypatch.setattr(head, "_moments", None)
    fit_head(other, chips, targets, 3.0)
    torch.testing.assert_close(one.head.weight, other.head.weight, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(one.head.bias, other.head.bias, atol=1e-4, rtol=1e-3)


def test_with_fewer_rows_than_numbers_the_principal_directions_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = random_units(20, 3)
    usual = principal_directions(rows, 6)
    monkeypatch.setattr(head, "WIDE", 8)
    cosines = np.abs((principal_directions(rows, 6) * usual).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)


def test_a_head_needs_two_targets() -> None:
    chips, _ = person_chips(2, 1, size=24)
    with pytest.raises(TrainingError, match="fewer than two"):
        fit_head(tiny_network(), chips, np.full((2, 128), np.nan, np.float32), 1.0)


def test_principal_targets_are_the_leading_components_of_the_features() -> None:
    """Against numpy's singular vectors, at unit length; what the trunk lacks is filled with 0."""
    network = tiny_network()
    chips, _ = person_chips(6, 8, size=24)
    features = features_of(network, chips).double().numpy()
    centred = features - features.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:4]
    scores = normalize((centred @ directions.T).astype(np.float32))
    np.testing.assert_allclose(
        np.abs(principal_targets(network, chips, 4)), np.abs(scores), atol=1e-3
    )
    wide = principal_targets(network, chips, 128)
    np.testing.assert_allclose(np.linalg.norm(wide, axis=1), 1, atol=1e-5)
    assert not wide[:, TinyTrunk.features :].any()


@pytest.mark.slow
def test_normalisation_changes_nothing_when_inserted_and_nothing_when_folded() -> None:
    """Also after a step of training, which has moved its statistics and its parameters."""
    network = tiny_network()
    chips = torch.from_numpy(person_chips(16, 2, size=24)[0]).permute(0, 3, 1, 2).float()
    plain = network(chips)
    names = set(network.state_dict())
    insert_batch_norm(network, chips)
    assert isinstance(network.trunk.stem, NormalisedConvolution)
    torch.testing.assert_close(network.eval()(chips), plain, atol=1e-5, rtol=0)
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    network(chips)[:, 0].sum().backward()
    optimizer.step()
    trained = network.eval()(chips)
    assert not torch.allclose(trained, plain, atol=1e-3)
    fold_batch_norm(network)
    assert set(network.state_dict()) == names
    torch.testing.assert_close(network(chips), trained, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "wanted"), [(0.0, 1.1), (0.0, 0.4), (0.5, 1.1)])
def test_a_shift_brings_the_threshold_where_it_is_wanted(offset: float, wanted: float) -> None:
    """Shrinking a wide sphere and stretching a crowded one, for the mean of two views."""
    vectors = random_units(600, 2, offset=offset)
    views = np.stack([vectors, normalize(vectors + 0.02 * random_units(600, 3))])
    labels = np.arange(600)
    shift = shift_to_rate(views, labels, rate=1e-2, wanted=wanted)
    pairs = all_pairs(combine(views, shift), labels)
    assert threshold_at_fmr(pairs.impostor, 1e-2) == pytest.approx(wanted, rel=0.01)


def test_shrinking_follows_the_closed_form_and_keeps_the_order() -> None:
    """In the plane orthogonal to the shift every squared L2 shrinks by the same factor."""
    vectors = random_units(50, 4)
    vectors[:, 0] = 0
    vectors = normalize(vectors)
    shift = calibrating_shift(vectors, measured=1.6, wanted=1.1)
    moved = combine(vectors[None], shift)
    before = ((vectors[:, None] - vectors) ** 2).sum(2)
    after = ((moved[:, None] - moved) ** 2).sum(2)
    np.testing.assert_allclose(after, before * 1.1 / 1.6, atol=1e-5)


def test_one_embedding_for_everybody_cannot_be_calibrated() -> None:
    views = np.repeat(random_units(1, 1)[None], 50, axis=1)
    with pytest.raises(TrainingError, match="the same embedding"):
        shift_to_rate(views, np.arange(50), rate=1e-2, wanted=1.1)


def test_only_rates_with_thirty_expected_errors_are_measured() -> None:
    vectors, labels = people_units(60, 1.0)
    measured = measure(vectors, labels, rates=FARS)
    impostors = measured.pairs[1]
    assert impostors == 180 * 179 // 2 - 180
    assert list(measured.val) == list(measured.thresholds) == [1e-2]
    assert supported(1e-3, 30_000)
    assert not supported(1e-3, 29_999)
    assert [rate_name(rate) for rate in (1e-2, 1e-5, 2.5e-4)] == ["1e-2", "1e-5", "2.5e-4"]


@pytest.mark.slow
def test_the_better_model_is_told_from_the_worse_and_from_its_equal() -> None:
    """Where pairs are few, nothing is claimed."""
    worse, labels = people_units(120, 3.0)
    better, _ = people_units(120, 1.0)
    gained = compare(worse, better, labels)
    assert gained.better
    assert gained.far == 1e-3
    assert gained.gain is not None
    assert gained.gain.low > 0
    assert not compare(better, worse, labels).better
    assert not compare(better, better, labels).better
    few = labels < 30
    refused = compare(worse[few], better[few], labels[few])
    assert not refused.better
    assert "30,000 are needed" in refused.reason


@pytest.mark.slow
def test_a_paired_interval_is_zero_for_equals_and_narrower_than_each_alone() -> None:
    one, labels = people_units(60, 2.2)
    other = normalize(one + 0.02 * random_units(len(one), 9))
    (same,) = bootstrap_difference(one, one, labels, fars=[1e-2], replicates=200)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)
    (moved,) = bootstrap_difference(one, other, labels, fars=[1e-2], replicates=200)
    (alone,) = bootstrap_by_person(one, labels, fars=[1e-2], replicates=200)
    (after,) = bootstrap_by_person(other, labels, fars=[1e-2], replicates=200)
    assert moved.estimate == pytest.approx(after.estimate - alone.estimate)
    assert moved.low <= moved.estimate <= moved.high
    assert moved.high - moved.low < 0.5 * (alone.high - alone.low)


def write_npz(path: Path, **arrays: Any) -> Path:
    with path.open("wb") as stream:
        np.savez(stream, **arrays)
    return path


def test_targets_are_found_by_path_and_brought_to_unit_length(tmp_path: Path) -> None:
    vectors = (3 * random_units(3, 1)).astype(np.float16)
    file = write_npz(tmp_path / "t.npz", paths=np.array(["a", "b", "c"]), targets=vectors)
    found = read_targets(file, ("c", "x", "a"))
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(np.linalg.norm(found[[0, 2]], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(
        found[0] @ normalize(vectors[2:].astype(np.float32))[0], 1, atol=1e-5
    )


class Harmful:
    """An object whose loading would leave a mark."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('a pickle was loaded')",)


def _pickled() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        inner = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            inner, {"descr": "|O", "fortran_order": False, "shape": (1,)}
        )
        archive.writestr("paths.npy", inner.getvalue() + pickle.dumps(Harmful()))
        archive.writestr("targets.npy", b"")
    return stream.getvalue()


def _cut_off() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, paths=np.array(["a"]), targets=np.ones((1, 128)))
    return stream.getvalue()[:600]


@pytest.mark.parametrize("content", [b"", b"not a zip", _pickled(), _cut_off()])
def test_a_hostile_file_of_targets_is_refused_unread(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "t.npz"
    file.write_bytes(content)
    with pytest.raises(TrainingError, match=r"t\.npz: not an \.npz file of plain arrays"):
        read_targets(file, ("a",))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"paths": np.array(["a"])}, "lacks an array"),
        ({"paths": np.array([1]), "targets": np.ones((1, 128))}, "paths must be text"),
        ({"paths": np.array(["a"]), "targets": np.ones((1, 64))}, r"shape \(1, 128\)"),
        ({"paths": np.array(["a"]), "targets": np.ones((1, 128), int)}, "must be floats"),
        ({"paths": np.array(["a"]), "targets": np.zeros((1, 128))}, "zero or not finite"),
        ({"paths": np.array(["a"]), "targets": np.full((1, 128), np.inf)}, "zero or not finite"),
        ({"paths": np.array(["b"]), "targets": np.ones((1, 128))}, "none of its 1 paths"),
    ],
)
def test_targets_of_the_wrong_kind_are_refused(
    tmp_path: Path, arrays: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TrainingError, match=reason):
        read_targets(write_npz(tmp_path / "t.npz", **arrays), ("a",))


def test_a_config_is_read_from_toml_and_flags_come_first(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("steps = 5\nlearning_rate = 1\ntaps = {5 = 2}\n[augmentation]\nmirror = 0.25\n")
    config = read_config(file, {"steps": 7})
    assert (config.steps, config.learning_rate, config.taps) == (7, 1.0, {"5": 2})
    assert config.augmentation.mirror == 0.25
    assert config.margin == TrainingConfig().margin


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"stepz": 1}, "unknown setting: stepz"),
        ({"augmentation": {"mirrors": 1}}, "unknown setting: augmentation.mirrors"),
        ({"augmentation": 1}, "must be a table"),
        ({"steps": "many"}, "steps: 'many'"),
        ({"steps": True}, "steps: True"),
        ({"validate_every": 0}, "at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate: nan"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"doubt": [1.0]}, "doubt"),
        ({"taps": {"5": "2"}}, "taps"),
        ({"people": 0, "others": 0}, "at least two photos"),
        ({"photos": 1}, "no genuine pairs"),
        ({"mining": "easy"}, "semi-hard"),
        ({"precision": "fp8"}, "bf16 or float32"),
        ({"frozen": [1]}, "frozen"),
    ],
)
def test_a_bad_setting_is_named(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        config_from_dict(values)


@pytest.mark.parametrize("name", ["resnet-128-trunk", "resnet-128", "facecli-128"])
def test_the_shipped_recipe_is_a_valid_config(name: str) -> None:
    """The head of resnet-128 is solved on the maps that its trunks were trained with."""
    recipe = Path(__file__).resolve().parents[1] / "data" / f"{name}.toml"
    config = read_config(recipe, {})
    assert config.taps == ({"3": 4, "4": 4, "5": 2} if name.startswith("resnet") else {})
    assert bool(config.takes) == (name == "facecli-128")
