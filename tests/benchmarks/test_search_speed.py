"""One identification search, beside the bare matrix product that it cannot be faster than.

Run with `pytest tests/benchmarks --benchmark-only -n 0`.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from facecli.models import DIMENSION
from facecli.types import FloatArray
from facecli.vectors.index import ExactIndex

TEMPLATES = 10_000
LIMIT_SECONDS = 1e-3


@pytest.fixture(scope="module")
def templates() -> FloatArray:
    vectors = np.random.default_rng(0).standard_normal((TEMPLATES, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


@pytest.mark.benchmark(group="one probe, 10,000 templates")
def test_search(benchmark: BenchmarkFixture, templates: FloatArray) -> None:
    """The five nearest of 10,000 templates are found in under a millisecond."""
    index = ExactIndex(templates)
    rows, _ = benchmark(index.search, templates[42:43], 5)
    assert rows[0, 0] == 42
    # The median: this is about the code, not about who else uses the machine.
    assert benchmark.stats is not None
    assert benchmark.stats.stats.median < LIMIT_SECONDS


@pytest.mark.benchmark(group="one probe, 10,000 templates")
def test_plain_product(benchmark: BenchmarkFixture, templates: FloatArray) -> None:
    """The scores alone, as NumPy computes them by default."""
    assert benchmark(np.matmul, templates, templates[42]).argmax() == 42


@pytest.mark.benchmark(group="64 probes, 10,000 templates")
def test_search_for_a_crowd(benchmark: BenchmarkFixture, templates: FloatArray) -> None:
    """A batch of probes costs little more than its matrix product."""
    index = ExactIndex(templates)
    rows, _ = benchmark(index.search, templates[:64], 5)
    assert rows[:, 0].tolist() == list(range(64))


@pytest.mark.benchmark(group="64 probes, 10,000 templates")
def test_plain_product_for_a_crowd(benchmark: BenchmarkFixture, templates: FloatArray) -> None:
    """The scores alone."""
    assert benchmark(np.matmul, templates[:64], templates.T).shape == (64, TEMPLATES)
