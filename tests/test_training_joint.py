"""The joined head: two networks imitated at once, each on its own sphere, then calibrated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from synthetic import person_chips
from test_training_parts import TinyTrunk, random_units
from torch import nn

from facecli.errors import TrainingError
from facecli.metrics import all_pairs, threshold_at_fmr
from facecli.models.dlib_format import resnet29_architecture
from facecli.models.encoders import read_card
from facecli.models.networks import FaceNetwork, build
from facecli.training.config import TrainingConfig, config_from_dict
from facecli.training.head import features_of
from facecli.training.joint import calibrated_sphere, fit_joined, move_sphere, widen
from facecli.training.promotion import combine
from facecli.training.start import architecture_of
from facecli.types import FloatArray, PixelArray
from facecli.vectors.distances import normalize

pytestmark = pytest.mark.slow

CONFIG = TrainingConfig(teacher="dlib-128", steps=0, ridge=1e-6, teacher_weight=1.5)


def joined_network() -> FaceNetwork:
    torch.manual_seed(0)
    network = build({**resnet29_architecture({"5": 1}), "joined": True})
    network.trunk = TinyTrunk()  # type: ignore[assignment]
    network.head = nn.Linear(TinyTrunk.features, 128)
    return network


def squared(rows: FloatArray) -> FloatArray:
    apart: FloatArray = np.square(rows[:, None] - rows).sum(axis=2)[np.triu_indices(len(rows), 1)]
    return apart


def two_networks(network: FaceNetwork, chips: PixelArray) -> tuple[FloatArray, FloatArray]:
    """Return what two unlike linear networks on the same trunk make of the chips."""
    features = features_of(network, chips).numpy()
    standard = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    random = np.random.default_rng(3)
    first, second = (
        normalize((standard @ random.normal(size=(standard.shape[1], 128))).astype(np.float32))
        for _ in range(2)
    )
    crowded = normalize(second * 0.4 + random_units(1, 9))  # as dlib's are, about one direction
    return first, crowded


def embed(network: FaceNetwork, chips: PixelArray) -> FloatArray:
    with torch.no_grad():
        result: FloatArray = network.embed_features(features_of(network, chips)).numpy()
    return result


def fitted(config: TrainingConfig = CONFIG) -> tuple[FaceNetwork, PixelArray, FloatArray]:
    """Return a fitted network, its chips, and both networks' embeddings end to end, weighted."""
    network = joined_network()
    chips, _ = person_chips(80, 2, size=24)
    first, second = two_networks(network, chips)
    rows = np.arange(len(chips))
    targets = np.where(rows[:, None] % 7 == 0, np.float32(np.nan), first)
    fit_joined(network, chips, rows, targets=targets, embedded=second, config=config, mirror=False)
    return network, chips, np.hstack([first, config.teacher_weight * second])


def test_a_joined_head_keeps_the_squared_l2_over_both_networks() -> None:
    """In proportion, while the sphere is wide; one network alone would say something else."""
    network, chips, both = fitted()
    widen(network)
    got, wanted = squared(embed(network, chips)), squared(both)
    assert np.corrcoef(got, wanted)[0, 1] > 0.95
    alone = [np.corrcoef(got, squared(part))[0, 1] for part in np.hsplit(both, 2)]
    assert max(alone) < np.corrcoef(got, wanted)[0, 1]


def test_the_weight_decides_whom_the_head_follows() -> None:
    agreements = []
    for weight in (0.1, 30.0):
        network, chips, both = fitted(dataclasses.replace(CONFIG, teacher_weight=weight))
        widen(network)
        got = squared(embed(network, chips))
        first, second = (np.corrcoef(got, squared(part))[0, 1] for part in np.hsplit(both, 2))
        agreements.append(first - second)
    assert agreements[0] > 0 > agreements[1]


def test_both_parts_come_to_unit_length_and_so_does_the_whole() -> None:
    network, chips, _ = fitted()
    with torch.no_grad():
        pair = network.unfolded(network.head(features_of(network, chips))).numpy()
    for part in np.hsplit(pair, 2):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embed(network, chips), axis=1), 1, atol=1e-5)


def test_lifted_embeddings_keep_their_distances_but_for_the_heights() -> None:
    """Folding is linear, so two of the sphere's points lie apart as on the plane and by height."""
    network, chips, _ = fitted()
    widen(network)
    with torch.no_grad():
        pair = network.unfolded(network.head(features_of(network, chips)))
        low = nn.functional.linear(pair, network.fold, network.fold_bias).double().numpy()
    got = embed(network, chips)
    np.testing.assert_allclose(got[:, :-1], low, atol=1e-6)
    height = np.sqrt(1 - np.square(low).sum(axis=1))
    np.testing.assert_allclose(got[:, -1], height, atol=1e-6)
    assert height.min() > 0.1


@pytest.mark.parametrize("wanted", [0.3, 0.5])
def test_a_sphere_brings_the_threshold_where_it_is_wanted(wanted: float) -> None:
    """Measured on what the network itself then gives, over a chip and its mirror image."""
    network, chips, _ = fitted()
    labels = np.repeat(np.arange(80), 2)

    def see() -> FloatArray:
        return np.stack([embed(network, chips), embed(network, chips[:, :, ::-1])])

    move_sphere(network, see, labels, rate=5e-2, wanted=wanted)
    pairs = all_pairs(combine(see()), labels)
    assert threshold_at_fmr(pairs.impostor, 5e-2) == pytest.approx(wanted, rel=0.005)


def test_a_threshold_out_of_reach_is_said() -> None:
    network, chips, _ = fitted()
    widen(network)
    with pytest.raises(TrainingError, match=r"cannot be moved to 3\.9"):
        calibrated_sphere(embed(network, chips)[None], np.arange(len(chips)), rate=1e-2, wanted=3.9)


def test_a_sphere_that_cannot_be_moved_stays_where_it_was() -> None:
    network, chips, _ = fitted()
    before = embed(network, chips)
    with pytest.raises(TrainingError, match="cannot be moved"):
        move_sphere(
            network, lambda: embed(network, chips)[None], np.arange(160), rate=1e-2, wanted=3.9
        )
    np.testing.assert_allclose(embed(network, chips), before, atol=1e-5)


def test_one_embedding_for_everybody_has_no_sphere() -> None:
    views = np.repeat(random_units(1, 1)[None], 50, axis=1)
    with pytest.raises(TrainingError, match="the same embedding"):
        calibrated_sphere(views, np.arange(50), rate=1e-2, wanted=1.1)


def test_an_architecture_is_joined_by_a_teacher_or_with_a_kept_head() -> None:
    plain = read_card("dlib-128")
    joined = dataclasses.replace(plain, architecture={**plain.architecture, "joined": True})
    for config, card, has_targets, expected in (
        (CONFIG, plain, True, True),
        (TrainingConfig(), joined, False, True),
        (TrainingConfig(), joined, True, False),
        (TrainingConfig(taps={"4": 4, "5": 2}), joined, False, False),
        (TrainingConfig(average=("dlib-128",)), joined, False, False),
        (TrainingConfig(), plain, False, False),
    ):
        found = architecture_of(config, card, has_targets=has_targets)
        assert bool(found.get("joined")) is expected


def test_a_teacher_and_steps_exclude_each_other() -> None:
    with pytest.raises(TrainingError, match="needs steps = 0"):
        config_from_dict({"teacher": "dlib-128", "steps": 5})
