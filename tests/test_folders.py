"""All pairs of a folder: against plain loops in float64, by hand, with intervals over people."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import crowd, samples_of

from facecli.errors import FaceError
from facecli.evaluation.folders import (
    compared,
    hardest_genuine,
    measure_folder,
    people_drawn,
    person_numbers,
)
from facecli.evaluation.rates import FARS
from facecli.evaluation.samples import Samples
from facecli.metrics import bootstrap_by_person
from facecli.types import Failure

few = settings(max_examples=8)


def squared_of_pairs(samples: Samples) -> tuple[dict[tuple[int, int], float], ...]:
    """Return genuine and impostor squared L2 by rows, in float64 by two plain loops."""
    genuine: dict[tuple[int, int], float] = {}
    impostor: dict[tuple[int, int], float] = {}
    for i, j in itertools.combinations(range(len(samples)), 2):
        if not samples.people[i] or not samples.people[j]:
            continue
        a, b = samples.embeddings[i].astype(float), samples.embeddings[j].astype(float)
        kind = genuine if samples.people[i] == samples.people[j] else impostor
        kind[i, j] = float(((a - b) ** 2).sum())
    return genuine, impostor


@pytest.mark.slow
@few
@given(st.integers(0, 10**6), st.floats(0.2, 3.5))
def test_every_figure_agrees_with_plain_loops(seed: int, threshold: float) -> None:
    samples = crowd(seed, people=8, photos=6)
    genuine, impostor = (sorted(kind.values()) for kind in squared_of_pairs(samples))
    result = measure_folder(samples, threshold=threshold)
    assert (result.fmr.of, result.fnmr.of) == (len(impostor), len(genuine))
    near = min(abs(value - threshold) for value in genuine + impostor)
    if near > 1e-6:
        assert result.fmr.errors == sum(value <= threshold for value in impostor)
        assert result.fnmr.errors == sum(value > threshold for value in genuine)
        assert (result.frr.errors, result.frr.of) == (result.fnmr.errors, result.fnmr.of)
    won = sum((b > a) + (b == a) / 2 for a in genuine for b in impostor)
    assert result.auc == pytest.approx(won / len(genuine) / len(impostor), abs=1e-5)
    point = result.val[0]
    assert point.far == 0.1
    first_refused = impostor[int(0.1 * len(impostor))]
    assert point.val is not None
    # A genuine pair that lies on the threshold to a millionth may fall on either side.
    fewest, most = (sum(v < first_refused + step for v in genuine) for step in (-1e-6, 1e-6))
    assert fewest <= round(point.val * len(genuine)) <= most
    assert point.threshold == pytest.approx(first_refused, abs=1e-6)


@pytest.mark.slow
@few
@given(st.integers(0, 10**6))
def test_the_hardest_pairs_are_the_ends_of_a_full_sort(seed: int) -> None:
    samples = crowd(seed, people=9, photos=5, unnamed=3)
    genuine, impostor = squared_of_pairs(samples)
    result = measure_folder(samples, threshold=1.0)
    for listed, expected in (
        (result.hardest_impostor, sorted(impostor.values())[:20]),
        (result.hardest_genuine, sorted(genuine.values(), reverse=True)[:20]),
    ):
        np.testing.assert_allclose(listed.squared, expected, atol=1e-6)
        kind = impostor if listed is result.hardest_impostor else genuine
        rows = zip(listed.first.tolist(), listed.second.tolist(), listed.squared, strict=True)
        for one, other, squared in rows:
            assert kind[min(one, other), max(one, other)] == pytest.approx(squared, abs=1e-6)


def test_the_farthest_pairs_of_one_person_are_found_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = crowd(5, people=1, photos=40)
    labels = np.zeros(40, np.int64)
    whole = hardest_genuine(samples.embeddings, labels)
    monkeypatch.setattr("facecli.evaluation.folders.COMPARISONS_HELD", 100)
    parts = hardest_genuine(samples.embeddings, labels)
    np.testing.assert_allclose(parts.squared, whole.squared, atol=1e-6)
    pairs = {
        frozenset(pair) for pair in zip(whole.first.tolist(), whole.second.tolist(), strict=True)
    }
    assert pairs == {
        frozenset(pair) for pair in zip(parts.first.tolist(), parts.second.tolist(), strict=True)
    }


@pytest.mark.slow
def test_intervals_are_those_of_resampling_people() -> None:
    samples = crowd(1, people=60, photos=5)
    labels = np.repeat(np.arange(60), 5)
    result = measure_folder(samples, threshold=1.0)
    supported = [point for point in result.val if point.val is not None]
    assert [point.far for point in supported] == list(FARS[:3])
    expected = bootstrap_by_person(samples.embeddings, labels, fars=FARS[:3])
    assert [point.interval for point in supported] == expected
    assert result.fmr.interval is not None
    assert result.fmr.interval.low < (result.fmr.value or 0) < result.fmr.interval.high
    assert (result.eer_reason, result.missed.errors >= 30) == ("", True)
    for rate, limits in (
        (result.eer, result.eer_interval),
        (result.missed.value, result.missed.interval),
    ):
        assert limits is not None
        assert limits.estimate == rate
        assert limits.low < limits.estimate < limits.high


@pytest.mark.slow
def test_rank_one_moves_with_the_people_drawn() -> None:
    samples = crowd(3, people=30, photos=6, unnamed=5, spread=1.4)
    labels = person_numbers(samples)
    photos = samples.embeddings[:180].reshape(30, 6, 128).astype(float)
    squared = ((photos[:, 1:, None] - photos[None, None, :, 0]) ** 2).sum(axis=-1)
    own = squared[np.arange(30), :, np.arange(30)]
    missed = ((squared <= own[:, :, None]).sum(axis=2) > 1).sum(axis=1)
    draws = people_drawn(compared(samples, labels), labels)
    assert draws is not None
    shares = [sum(draw * missed) / sum(draw * 5) for draw in draws]
    found = measure_folder(samples, threshold=1.0).missed
    assert (found.errors, found.of) == (missed.sum(), 150)
    assert found.interval is not None
    ends = tuple(np.quantile(shares, [0.025, 0.975]))
    assert (found.interval.low, found.interval.high) == pytest.approx(ends)


@pytest.mark.slow
def test_an_equal_error_rate_needs_pairs_as_val_does() -> None:
    """Of 24 genuine pairs, and where fewer than 30 strangers are nearer than mates."""
    few_pairs = measure_folder(crowd(0, people=4, photos=4, spread=1.4), threshold=1.0)
    apart = measure_folder(crowd(0, people=40, photos=3, spread=0.1), threshold=1.0)
    for result, reason in (
        (few_pairs, "not supported by 24 genuine pairs"),
        (apart, "not supported by 7,020 impostor pairs"),
    ):
        assert result.eer_reason == reason
        assert result.eer_interval is not None
        assert result.eer_interval.low <= result.eer <= result.eer_interval.high < 0.7


def test_where_nothing_was_rejected_the_rule_of_three_limits_val() -> None:
    """Thirty people of two equal photos each: VAL is 1, and at least 1 - 3/30.

    Those of one photo each have no genuine pair, and say nothing of VAL.
    """
    alone = np.eye(40, 128, 30, dtype=np.float32)
    rows = np.concatenate([np.repeat(np.eye(30, 128, dtype=np.float32), 2, axis=0), alone])
    people = [f"p{row // 2:02}" for row in range(60)]
    samples = samples_of(rows, [*people, *(f"q{row:02}" for row in range(40))])
    point = measure_folder(samples, threshold=1.0).val[0]
    assert point.interval is not None
    assert (point.val, point.interval.low, point.interval.high) == (1.0, 0.9, 1.0)


def test_failures_are_rejections_in_frr_alone() -> None:
    """Ada: 2 photos and 2 failures, 6 pairs; Bob: 2 photos; Cleo: failures only, one pair."""
    rows = np.eye(4, 128, dtype=np.float32)
    samples = samples_of(
        rows, ["Ada", "Ada", "Bob", "Bob"], failed=["Ada", "Ada", "Cleo", "Cleo", ""]
    )
    result = measure_folder(samples, threshold=4.0)
    assert (result.fnmr.errors, result.fnmr.of) == (0, 2)
    assert (result.frr.errors, result.frr.of) == (6, 8)
    assert (result.failures, result.photos, result.people) == (5, 4, 2)


def test_ties_match_together() -> None:
    """All pairs are exactly 2 apart: at 2 all match, below none, and chance decides nothing."""
    samples = samples_of(np.eye(6, 128, dtype=np.float32), ["a", "a", "b", "b", "c", "c"])
    at, below = (measure_folder(samples, threshold=limit) for limit in (2.0, 1.999))
    assert (at.fmr.errors, at.fnmr.errors) == (12, 0)
    assert (below.fmr.errors, below.fnmr.errors) == (0, 3)
    assert (at.auc, at.eer, at.missed.errors, at.missed.of) == (0.5, 0.5, 3, 3)


def test_without_both_kinds_of_pairs_the_reason_is_given() -> None:
    rows = np.eye(2, 128, dtype=np.float32)
    with pytest.raises(FaceError, match="no genuine pairs"):
        measure_folder(samples_of(rows, ["a", "b"]), threshold=1.0)
    with pytest.raises(FaceError, match="no impostor pairs"):
        measure_folder(samples_of(rows, ["a", "a"]), threshold=1.0)
    with pytest.raises(FaceError, match="no genuine pairs"):
        measure_folder(samples_of(rows[:0], []), threshold=1.0)


def test_one_person_with_genuine_pairs_has_rates_without_intervals() -> None:
    samples = samples_of(crowd(0, people=1, photos=40).embeddings, ["a"] * 39 + ["b"])
    result = measure_folder(samples, threshold=1.0)
    assert result.resampled == {}
    assert all(point.interval is None for point in result.val if point.val is not None)


def test_progress_is_shown_and_changes_nothing() -> None:
    samples, labels = crowd(2, people=5, photos=3), []

    def watch(steps: list[object], label: str) -> list[object]:
        labels.append((label, len(steps)))
        return steps

    watched = measure_folder(samples, threshold=1.0, watch=watch)  # type: ignore[arg-type]
    assert labels == [("Comparing photos", 1), ("Resampling people", 1000)]
    assert watched.fmr == measure_folder(samples, threshold=1.0).fmr


def test_a_failure_keeps_its_reason() -> None:
    samples = samples_of(np.eye(1, 128, dtype=np.float32), ["a"], failed=["b"])
    assert samples.failures == (Failure.no_face("lost0.jpg"),)


HUNDRED_MILLION = """
from pathlib import Path
import numpy as np
from people import samples_of
from facecli.vectors.distances import normalize
from facecli.evaluation.folders import compared, measure, people_drawn, person_numbers

random = np.random.default_rng(0)
centres = np.repeat(random.normal(size=(3550, 128)), 4, axis=0)
rows = normalize(centres + 0.8 * random.normal(size=centres.shape))
samples = samples_of(rows, [f"p{row // 4:04}" for row in range(14200)])
labels = person_numbers(samples)
pairs = compared(samples, labels)
draws = people_drawn(pairs, labels)[:20]
result = measure(samples, labels, pairs=pairs, draws=draws, threshold=1.1)
status = Path("/proc/self/status").read_text()
print(result.fmr.of, status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much memory")
def test_a_hundred_million_pairs_take_less_than_a_gigabyte() -> None:
    """With intervals at every FAR down to 1e-6; VmHWM is the peak in KiB, since ru_maxrss begins
    with that of the process which started this one.
    """
    done = subprocess.run(
        [sys.executable, "-c", HUNDRED_MILLION],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    pairs, peak = map(int, done.stdout.split())
    assert pairs > 10**8
    assert peak < 0.7 * 2**20
