"""The protocols on real photos, against figures computed here without the program's metrics."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from facecli.albums.scanning import scan
from facecli.datasets import read_photo_set
from facecli.evaluation.folders import measure_folder
from facecli.evaluation.identification import closed_set, open_set
from facecli.evaluation.lfw import measure_pairs
from facecli.evaluation.pairlists import read_pairs
from facecli.evaluation.retrieval import measure_retrieval
from facecli.evaluation.samples import Samples, gather
from facecli.metrics.verification import RateArray
from facecli.stores.library import Library
from facecli.types import Detector, Encoder

PEOPLE = 55
"""The first people with two photos or more, to have 150 photos in half a minute."""

pytestmark = [pytest.mark.faces, pytest.mark.network]


def exactly(value: float) -> object:
    return pytest.approx(value, rel=0, abs=1e-12)


def number(photo: Path) -> str:
    return str(int(photo.stem[-4:]))


@pytest.fixture(scope="module")
def folder(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return photos of a few development people, with a list of pairs among them."""
    images = faces / "dev" / "lfw" / "images"
    people = [one for one in sorted(images.iterdir()) if len(list(one.iterdir())) > 1][:PEOPLE]
    folder = tmp_path_factory.mktemp("lfw")
    for person in people:
        shutil.copytree(person, folder / "images" / person.name)
    photos = [sorted(person.iterdir()) for person in people]
    genuine = [f"{a.parent.name}\t{number(a)}\t{number(b)}" for a, b, *_ in photos[:50]]
    impostor = [
        f"{a.parent.name}\t{number(a)}\t{b.parent.name}\t{number(b)}"
        for (a, *_), (b, *_) in itertools.pairwise(photos[:51])
    ]
    blocks = [genuine[at : at + 10] + impostor[at : at + 10] for at in range(0, 50, 10)]
    (folder / "pairs.txt").write_text("\n".join(["5\t10", *itertools.chain(*blocks)]))
    return folder


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.memory()


@pytest.fixture(scope="module")
def samples(
    folder: Path, library: Library, real_detector: Detector, real_encoder: Encoder
) -> Samples:
    photos = read_photo_set(folder / "images")
    paths = [photos.root / path for path in photos.paths]
    return gather(
        photos,
        scan(paths, library=library, detector=real_detector, encoder=real_encoder, workers=1),
        real_encoder.card.dimension,
    )


def squared_of_all(samples: Samples) -> RateArray:
    """Return squared L2 in float64, from the differences, (n, n)."""
    rows = samples.embeddings.astype(np.float64)
    return np.array([((rows - row) ** 2).sum(axis=1) for row in rows])


def test_folders_agrees_with_an_independent_computation(
    samples: Samples, real_encoder: Encoder
) -> None:
    threshold = real_encoder.card.threshold
    squared, people = squared_of_all(samples), np.array(samples.people)
    upper = np.triu(np.ones(squared.shape, bool), 1)
    same = people[:, None] == people
    genuine, impostor = np.sort(squared[upper & same]), np.sort(squared[upper & ~same])
    result = measure_folder(samples, threshold=threshold)
    assert (result.photos, result.failures, result.people) == (len(people), 0, PEOPLE)
    assert (result.fnmr.errors, result.fnmr.of) == ((genuine > threshold).sum(), len(genuine))
    assert (result.fmr.errors, result.fmr.of) == ((impostor <= threshold).sum(), len(impostor))
    supported = [point for point in result.val if point.val is not None]
    assert [point.far for point in supported] == [1e-1, 1e-2]
    for point in supported:
        refused = impostor[math.floor(point.far * len(impostor))]
        assert point.val == pytest.approx((genuine < refused).mean())
        assert point.threshold == pytest.approx(refused, abs=1e-6)
    won = np.searchsorted(impostor, genuine, side="right")
    assert result.auc == pytest.approx(1 - won.mean() / len(impostor))
    rates = [
        ((impostor <= value).mean(), (genuine > value).mean())
        for value in [-1, *np.sort(np.concatenate([genuine, impostor]))]
    ]
    after = next(place for place, (fmr, fnmr) in enumerate(rates) if fmr >= fnmr)
    (fmr, fnmr), (fmr_after, fnmr_after) = rates[after - 1], rates[after]
    share = (fnmr - fmr) / (fnmr - fmr + fmr_after - fnmr_after)
    assert result.eer == exactly(fmr + share * (fmr_after - fmr))


def test_retrieval_agrees_with_an_independent_computation(samples: Samples) -> None:
    squared, people = squared_of_all(samples), np.array(samples.people)
    np.fill_diagonal(squared, np.inf)
    right = people[np.argsort(squared, axis=1)] == people[:, None]
    others = right.sum(axis=1) - 1  # the last place is the photo itself
    asks = np.flatnonzero(others)
    precisions = [
        sum(right[row, :i].mean() for i in range(1, others[row] + 1) if right[row, i - 1])
        / others[row]
        for row in asks
    ]
    found = measure_retrieval(samples)
    assert found.queries == len(asks)
    assert found.recall[1].value == pytest.approx(right[asks, 0].mean())
    assert found.map_at_r.value == pytest.approx(np.mean(precisions))


def test_identification_agrees_with_an_independent_computation(
    samples: Samples, real_encoder: Encoder
) -> None:
    threshold = real_encoder.card.threshold
    squared, people = squared_of_all(samples), np.array(samples.people)
    first = np.array([person not in people[:row] for row, person in enumerate(people)])
    to_gallery = squared[~first][:, first]
    own = people[~first][:, None] == people[first]
    ranks = (to_gallery <= to_gallery[own][:, None]).sum(axis=1)
    closed = closed_set(samples)
    assert (closed.enrolled, closed.probes) == (PEOPLE, (~first).sum())
    expected = [(ranks <= rank).mean() for rank in range(1, 11)]
    np.testing.assert_allclose(closed.cmc, expected, rtol=0, atol=1e-12)
    left_out = set(np.random.default_rng(0).permutation(people[first])[: round(PEOPLE / 2)])
    outside = np.array([person in left_out for person in people])
    strangers = squared[outside][:, first & ~outside].min(axis=1)
    result = open_set(samples, threshold=threshold)
    assert (result.fpir.errors, result.fpir.of) == ((strangers <= threshold).sum(), outside.sum())
    inside = to_gallery[~outside[~first]][:, ~outside[first]]
    mates = people[~first & ~outside][:, None] == people[first & ~outside]
    missed = (inside.argmin(axis=1) != mates.argmax(axis=1)) | (inside[mates] > threshold)
    assert (result.fnir.errors, result.fnir.of) == (missed.sum(), len(missed))


def test_lfw_agrees_with_an_independent_computation(
    folder: Path, samples: Samples, library: Library, real_detector: Detector, real_encoder: Encoder
) -> None:
    """Each photo is in the library by now; five folds, each with the threshold of the others."""
    pairs = read_pairs(folder)
    scanned = scan(
        pairs.photos, library=library, detector=real_detector, encoder=real_encoder, workers=1
    )
    result = measure_pairs(pairs, scanned, threshold=real_encoder.card.threshold)
    rows = dict(zip(samples.paths, samples.embeddings.astype(np.float64), strict=True))
    root = folder / "images"
    squared = np.array(
        [
            ((rows[str(a.relative_to(root))] - rows[str(b.relative_to(root))]) ** 2).sum()
            for a, b in zip(pairs.first, pairs.second, strict=True)
        ]
    )
    accuracies = []
    for fold in range(5):
        outside = pairs.folds != fold
        best = max(
            np.sort(squared[outside]),
            key=lambda limit: ((squared[outside] <= limit) == pairs.same[outside]).mean(),
        )
        above = squared[outside][squared[outside] > best].min(initial=4.0)
        inside = (squared <= (best + above) / 2) == pairs.same
        accuracies.append(inside[~outside].mean())
    assert result.folds is not None
    np.testing.assert_allclose(result.folds.accuracies, accuracies, rtol=0, atol=1e-12)
    assert result.folds.mean == exactly(np.mean(accuracies))
    assert result.folds.standard_error == exactly(np.std(accuracies, ddof=1) / math.sqrt(5))
    at = (squared <= real_encoder.card.threshold) == pairs.same
    assert result.accuracy == exactly(at.mean())
    assert result.folds.mean > 0.95
