"""Clustering 10,000 faces, and comparing all of a set with each other.

Run with `pytest tests/benchmarks --benchmark-only -n 0`.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from fakes import embedded
from pytest_benchmark.fixture import BenchmarkFixture

from facecli.albums.corrections import Corrections
from facecli.albums.grouping import Grouping
from facecli.albums.sorting import group
from facecli.clustering import cluster
from facecli.metrics import all_pairs, bcubed_score
from facecli.models import DIMENSION
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import normalize

FACES = 10_000
LIMIT_SECONDS = 10


def strangers(faces: int) -> tuple[FloatArray, IntArray]:
    """Draw faces of people seen once to dozens of times, by an encoder of middling quality.

    A few directions hold most of what tells people apart, as in real encoders, and the noise per
    photo varies, so that some pairs of one person are farther than many of different people.
    """
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(faces), 1 + rng.lognormal(0.5, 1.2, faces).astype(int))[:faces]
    spectrum = (1 + np.arange(DIMENSION)) ** -0.25
    centres = normalize(rng.normal(size=(faces, DIMENSION)) * spectrum)
    noise = rng.normal(size=(faces, DIMENSION)) / DIMENSION**0.5
    return normalize(centres[person] + rng.lognormal(-0.5, 0.3, (faces, 1)) * noise), person


@pytest.mark.benchmark(group="clustering 10,000 faces", min_rounds=2)
@pytest.mark.parametrize("k", [None, 2500, 100])
def test_cluster(benchmark: BenchmarkFixture, k: int | None) -> None:
    """Finding k or being given it, 10,000 faces take less than ten seconds."""
    rows, person = strangers(FACES)
    result = benchmark(cluster, rows, threshold=1.1, k=k)
    assert benchmark.stats is not None
    assert benchmark.stats.stats.min < LIMIT_SECONDS
    assert len(result.centroids) == k or bcubed_score(person, result.labels).f > 0.8


@pytest.mark.benchmark(group="clustering 10,000 faces", min_rounds=2)
def test_cluster_a_family(benchmark: BenchmarkFixture) -> None:
    """Four fifths are of five people: this takes little longer than as many strangers."""
    rng = np.random.default_rng(1)
    person = np.append(np.arange(FACES * 4 // 5) % 5, np.arange(5, 5 + FACES // 5))
    centres = normalize(rng.normal(size=(person.max() + 1, DIMENSION)))
    noise = rng.normal(size=(FACES, DIMENSION)) / DIMENSION**0.5
    rows = normalize(centres[person] + rng.lognormal(-0.5, 0.35, (FACES, 1)) * noise)
    others, _ = strangers(FACES)
    began = time.perf_counter()
    cluster(others, threshold=1.1)
    usual = time.perf_counter() - began
    result = benchmark(cluster, rows, threshold=1.1)
    assert benchmark.stats is not None
    assert benchmark.stats.stats.min < 5 * usual
    assert bcubed_score(person, result.labels).f > 0.95


@pytest.mark.benchmark(group="clustering 10,000 faces", min_rounds=2)
def test_sort_photos_with_corrections(benchmark: BenchmarkFixture) -> None:
    """From embeddings to stored albums: 10,000 faces in less than ten seconds and 1.5 GB."""
    rows, _ = strangers(FACES)
    pictures = [embedded(str(at), row) for at, row in enumerate(rows)]

    def sort() -> Grouping:
        with Library.memory() as library:
            store = AlbumStore(library)
            group(pictures, store=store, threshold=1.1)
            Corrections(store).merge(1, [2, 3])
            return group(pictures, store=store, threshold=1.1)

    assert len(benchmark(sort).people) > 1000
    assert benchmark.stats is not None
    assert benchmark.stats.stats.min < 2 * LIMIT_SECONDS, "it is sorted twice"
    tracemalloc.start()
    sort()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5e9


@pytest.mark.benchmark(group="clustering 10,000 faces", min_rounds=2)
def test_cluster_group_photos(benchmark: BenchmarkFixture) -> None:
    """Photos of several faces, each a conflict, cost little more."""
    rows, _ = strangers(FACES)
    photos = np.random.default_rng(1).integers(FACES // 4, size=FACES)
    benchmark(cluster, rows, threshold=1.1, cannot_link=photos)
    assert benchmark.stats is not None
    assert benchmark.stats.stats.min < LIMIT_SECONDS


@pytest.mark.benchmark(group="all pairs of 14,300 faces", min_rounds=2)
def test_all_pairs(benchmark: BenchmarkFixture) -> None:
    """More than 10^8 pairs are counted exactly in less than 1 GB."""
    rows, person = strangers(14_300)
    pairs = benchmark(all_pairs, rows, person)
    assert pairs.impostor.size + len(pairs.genuine) == 14_300 * 14_299 // 2 > 1e8
    tracemalloc.start()
    all_pairs(rows, person)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e9
