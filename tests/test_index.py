"""The index finds exactly what a slow comparison in float64 finds, in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.models import DIMENSION
from facecli.types import FloatArray, IntArray
from facecli.vectors import index
from facecli.vectors.index import ExactIndex


def unit_vectors(count: int, *, seed: int = 0, width: int = DIMENSION) -> FloatArray:
    vectors = np.random.default_rng(seed).standard_normal((count, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def slow_search(gallery: FloatArray, probes: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Compare one pair after the other in float64; a stable sort keeps row order."""
    rows, squared = [], []
    for probe in probes.astype(np.float64):
        distances = np.array([((probe - row) ** 2).sum() for row in gallery.astype(np.float64)])
        order = np.argsort(distances, kind="stable")[:k]
        rows.append(order)
        squared.append(distances[order])
    shape = (len(probes), min(k, len(gallery)))
    return np.reshape(rows, shape).astype(np.int64), np.reshape(squared, shape).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a gallery of tens cross every block that one of millions crosses."""
    monkeypatch.setattr(index, "GALLERY_BLOCK", 13)
    monkeypatch.setattr(index, "PROBE_BLOCK", 5)
    monkeypatch.setattr(index, "FEW_PROBES", 2)
    monkeypatch.setattr(index, "PAIR_BLOCK", 7)
    monkeypatch.setattr(index, "GROUPS", 2)


def assert_as_slow(gallery: FloatArray, probes: FloatArray, k: int) -> None:
    rows, squared = ExactIndex(gallery).search(probes, k)
    slow_rows, slow_squared = slow_search(gallery, probes, k)
    assert rows.dtype == np.int64
    assert squared.dtype == np.float32
    np.testing.assert_array_equal(rows, slow_rows)
    np.testing.assert_allclose(squared, slow_squared, rtol=1e-6, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
class TestAgainstTheSlowSearch:
    @settings(max_examples=60)
    @given(
        templates=st.integers(0, 60),
        probes=st.integers(0, 12),
        k=st.integers(1, 70),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_strangers(self, templates: int, probes: int, k: int, seed: int) -> None:
        """Any sizes, from no template and no probe to a k beyond the gallery."""
        drawn = unit_vectors(templates + probes, seed=seed)
        assert_as_slow(drawn[:templates], drawn[templates:], k)

    @settings(max_examples=60)
    @given(
        copies=st.lists(st.integers(0, 4), max_size=60),
        k=st.integers(1, 10),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_ties_keep_row_order(self, copies: list[int], k: int, seed: int) -> None:
        """Galleries made of five vectors over and over, searched with those very vectors."""
        five = unit_vectors(5, seed=seed)
        assert_as_slow(five[np.array(copies, np.int64)], five, k)

    @pytest.mark.parametrize("width", [DIMENSION, 512, 4096])
    @pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-6])
    def test_takes_of_one_face(self, spread: float, width: int) -> None:
        """Rows whose scores differ by less than float32 can tell are still in the right order."""
        noise = np.random.default_rng(3).standard_normal((50, width)) * spread
        near = unit_vectors(1, width=width).astype(np.float64) + noise
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        gallery = near.astype(np.float32)
        assert_as_slow(gallery, gallery[::5], 8)

    def test_lengths_only_nearly_one(self) -> None:
        """A gallery may hold lengths within 1e-3 of 1: the order is by squared L2, not by angle."""
        lengths = np.linspace(0.999, 1.001, 40, dtype=np.float32)[::-1, None]
        gallery = np.repeat(unit_vectors(1), 40, axis=0) * lengths
        assert_as_slow(gallery, unit_vectors(1), 5)

    def test_the_nearest_last(self) -> None:
        """Blocks that each hold nearer rows than all before them."""
        angles = np.linspace(3.0, 0.1, 60)
        gallery = np.zeros((60, DIMENSION), np.float32)
        gallery[:, 0], gallery[:, 1] = np.cos(angles), np.sin(angles)
        probe = np.eye(1, DIMENSION, dtype=np.float32)
        assert_as_slow(gallery, np.repeat(probe, 7, axis=0), 4)


@pytest.mark.parametrize("probes", [1, 9], ids=["few", "many"])
def test_blocks_of_the_real_size(probes: int) -> None:
    """With nothing made small, the same answer, for one probe and for several at once."""
    gallery = unit_vectors(300)
    assert_as_slow(gallery, unit_vectors(probes, seed=1), 5)


def test_opposite_vectors_are_four_apart_and_equal_ones_nothing() -> None:
    gallery = unit_vectors(20)
    probe = gallery[7:8]
    rows, squared = ExactIndex(np.concatenate([gallery, -probe])).search(probe, 21)
    assert (rows[0, 0], squared[0, 0]) == (7, 0.0)
    assert rows[0, -1] == 20
    assert squared[0, -1] == pytest.approx(4.0, abs=1e-6)
    assert squared.max() <= 4.0


def test_a_tiny_squared_l2_is_right_to_its_last_digits() -> None:
    """2 - 2 a·b would answer 0 or a multiple of 1.2e-7 here."""
    gallery = unit_vectors(1)
    probe = gallery.copy()
    probe[0, 0] += np.float32(1e-5)
    exact = float(probe[0, 0]) - float(gallery[0, 0])
    _, squared = ExactIndex(gallery).search(probe, 1)
    assert squared[0, 0] == pytest.approx(exact**2, rel=1e-6)


@pytest.mark.slow
def test_memory_does_not_grow_with_gallery_times_probes(traced: None) -> None:
    """64 probes against 100,000 templates: all scores at once would take 26 MB."""
    gallery, probes = unit_vectors(100_000), unit_vectors(64, seed=1)
    searched = ExactIndex(gallery)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    searched.search(probes, 5)
    _, peak = tracemalloc.get_traced_memory()
    assert peak - before < 8_000_000


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(index, "GALLERY_BLOCK", 8192)
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("probes", "k"),
    [
        (unit_vectors(1)[0], 1),
        (unit_vectors(1, width=64), 1),
        (unit_vectors(1), 0),
        (np.full((1, DIMENSION), np.nan, np.float32), 1),
    ],
    ids=["one-dimensional", "other-width", "k-zero", "nan"],
)
def test_misuse_is_refused(probes: FloatArray, k: int) -> None:
    with pytest.raises(ValueError, match=r"probe|k must"):
        ExactIndex(unit_vectors(3)).search(probes, k)


def test_an_index_takes_float32_rows_only() -> None:
    with pytest.raises(ValueError, match="float32"):
        ExactIndex(unit_vectors(3).astype(np.float64))
