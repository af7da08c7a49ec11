"""One photo a person enrolled: closed set, strangers at the gate, and galleries that grow."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from fakes import embedding, squared_l2_of
from hypothesis import given, settings
from hypothesis import strategies as st
from people import crowd, samples_of

from facecli.errors import FaceError
from facecli.evaluation.growth import gallery_sizes
from facecli.evaluation.identification import closed_set, one_shot_split, open_set
from facecli.evaluation.samples import Samples
from facecli.metrics import exact_interval
from facecli.types import FloatArray
from facecli.vectors.distances import squared_l2

few = settings(max_examples=10)


def at(*places: tuple[str, int, float], failed: tuple[str, ...] = ()) -> Samples:
    """Return samples at (person, plane, angle); in one plane nearness goes by the angle."""
    rows = np.stack([embedding(plane, angle) for _, plane, angle in places])
    return samples_of(rows, [person for person, _, _ in places], failed=failed)


# One-shot


def test_the_first_photo_by_name_is_enrolled_whatever_the_order_of_rows() -> None:
    samples = crowd(0, people=2, photos=2, unnamed=1)
    order = [4, 3, 2, 1, 0]
    shuffled = samples_of(samples.embeddings[order], [samples.people[row] for row in order])
    enrolled, probes = one_shot_split(shuffled)
    assert [shuffled.paths[row] for row in enrolled] == ["p001/001.jpg", "p000/003.jpg"]
    assert [shuffled.paths[row] for row in probes] == ["p000/004.jpg", "p001/002.jpg"]


def test_closed_set_by_hand() -> None:
    """Ada's probe is nearest to Ada, Bob's to Ada first, and a third photo gave no face."""
    samples = at(
        ("Ada", 0, 0), ("Ada", 0, 2), ("Bob", 0, 10), ("Bob", 0, 4), failed=("Ada", "nobody", "")
    )
    found = closed_set(samples)
    assert (found.enrolled, found.probes, found.lost) == (2, 3, 1)
    counted = [(one.errors, one.of) for one in found.missed]
    assert counted == [(2, 3), *[(1, 3)] * 9]
    assert found.cmc.tolist() == pytest.approx([1 / 3, *[2 / 3] * 9])


def test_rank_intervals_are_those_of_the_people_looked_for() -> None:
    """Of twenty people ten are found in all of nine photos, ten in none: both move together.

    Of twenty drawn, the share of the second kind is within 6/20 and 14/20 in 95 % of draws.
    """
    people = [f"p{number:02}" for number in range(20)]
    right = [(person, number, 0.0) for number, person in enumerate(people[:10])]
    wrong = [(person, 10, 6.0 * place) for place, person in enumerate(people[10:])]
    others = [one for one in right for _ in range(9)]
    others += [(person, 0, 0.0) for person in people[10:] for _ in range(9)]
    found = closed_set(at(*right, *wrong, *others)).missed[0]
    assert (found.errors, found.of, found.right) == (90, 180, 0.5)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((0.3, 0.7), abs=0.026)


def test_one_person_looked_for_gives_no_interval() -> None:
    """All of Bob's forty photos look like Ada: a rate, but of people nothing is known."""
    samples = at(("Ada", 0, 0), ("Bob", 1, 0), *[("Bob", 0, 1.0)] * 40)
    found = closed_set(samples).missed[0]
    assert (found.value, found.interval) == (1.0, None)


def test_without_a_second_photo_there_is_nothing_to_look_for() -> None:
    samples = at(("Ada", 0, 0), ("Bob", 1, 0))
    for measured in (
        lambda: closed_set(samples),
        lambda: open_set(samples, threshold=1.0),
        lambda: gallery_sizes(samples, samples.embeddings[:0], threshold=1.0, largest=10),
    ):
        with pytest.raises(FaceError, match="two photos"):
            measured()


# Open set


def brute_open_set(samples: Samples, enrolled: set[str], threshold: float) -> tuple[int, ...]:
    """Count false positives and misses search by search."""
    first: dict[str, int] = {}
    for row in sorted(range(len(samples)), key=lambda row: samples.paths[row]):
        first.setdefault(samples.people[row], row)
    gallery = {person: first[person] for person in enrolled}
    positives = misses = searches = mated = 0
    for row, person in enumerate(samples.people):
        if row == gallery.get(person):
            continue
        vector = samples.embeddings[row : row + 1]
        squared = {
            name: squared_l2(vector, samples.embeddings[place : place + 1]).item()
            for name, place in gallery.items()
        }
        if person not in gallery:
            searches += 1
            positives += any(value <= threshold for value in squared.values())
        else:
            mated += 1
            own = squared.pop(person)
            misses += own > threshold or own >= min(squared.values())
    return positives, searches, misses, mated


@few
@given(st.integers(0, 10**6), st.floats(0.3, 2.0))
def test_open_set_rates_agree_with_search_by_search(seed: int, threshold: float) -> None:
    samples = crowd(seed, people=12, photos=4)
    result = open_set(samples, threshold=threshold)
    names = sorted(set(samples.people))
    left_out = np.random.default_rng(0).permutation(np.array(names))[:6]
    expected = brute_open_set(samples, set(names) - set(left_out.tolist()), threshold)
    assert (result.enrolled, result.strangers) == (6, 6)
    found = (result.fpir.errors, result.fpir.of, result.fnir.errors, result.fnir.of)
    assert found == expected


def test_lost_photos_return_nobody() -> None:
    """A stranger's lost photo is a search that raised no alarm, an enrolled person's a miss."""
    people = [f"p{place // 4:03}" for place in range(48)]
    samples = crowd(1, people=12, photos=4)
    lost = samples_of(samples.embeddings, people, failed=people[::4] * 2)
    whole, less = open_set(samples, threshold=1.0), open_set(lost, threshold=1.0)
    assert (less.fpir.errors, less.fpir.of) == (whole.fpir.errors, whole.fpir.of + 12)
    assert (less.fnir.errors, less.fnir.of) == (whole.fnir.errors + 12, whole.fnir.of + 12)


def test_a_mate_no_nearer_than_another_is_missed() -> None:
    """Everyone looks the same: every search ties, and none names the right person."""
    same = np.tile(embedding(0, 0), (16, 1))
    result = open_set(samples_of(same, [f"p{row // 2}" for row in range(16)]), threshold=1.0)
    assert result.fnir.errors == result.fnir.of == 4
    assert result.fpir.errors == result.fpir.of == 8


def test_the_curve_goes_from_no_alarm_to_few_misses_and_rates_have_intervals() -> None:
    samples = crowd(3, people=160, photos=4)
    result = open_set(samples, threshold=1.0)
    assert (np.diff(result.curve.fmr) >= 0).all()
    assert (np.diff(result.curve.fnmr) <= 0).all()
    (point, *others) = result.at
    assert point.missed is not None
    for rate, limits in (
        (result.fpir.value, result.fpir.interval),
        (result.fnir.value, result.fnir.interval),
        (point.missed, point.missed_interval),
    ):
        assert limits is not None
        assert limits.estimate == rate
        assert limits.low < limits.estimate < limits.high
    assert [one.val for one in others] == [None, None]


# Growing galleries


def brute_gallery(
    samples: Samples, distractors: FloatArray, size: int, threshold: float
) -> tuple[float, float, float]:
    """Average FPIR, FNIR and rank-1 over every gallery of a size that can be drawn."""
    enrolled, probes = one_shot_split(samples)
    pool = [*((samples.people[row], samples.embeddings[row]) for row in enrolled)]
    pool += [(f"distractor{place}", row) for place, row in enumerate(distractors)]

    def squared(row: int, entry: tuple[str, FloatArray]) -> float:
        return squared_l2(samples.embeddings[row : row + 1], entry[1][None]).item()

    alarms, misses, firsts = [], [], []
    for row, person in enumerate(samples.people):
        others = [entry for entry in pool if entry[0] != person]
        alarms += [
            any(squared(row, entry) <= threshold for entry in gallery)
            for gallery in itertools.combinations(others, size)
        ]
        if row in probes:
            own = squared(row, next(entry for entry in pool if entry[0] == person))
            for gallery in itertools.combinations(others, size - 1):
                first = all(own < squared(row, entry) for entry in gallery)
                firsts.append(first)
                misses.append(not first or own > threshold)
    return float(np.mean(alarms)), float(np.mean(misses)), float(np.mean(firsts))


@pytest.mark.parametrize("size", [1, 3, 5, 6])
def test_measured_rates_are_means_over_all_galleries(size: int) -> None:
    samples = crowd(7, people=5, photos=25, spread=2.0)
    distractors = crowd(8, people=2, photos=1).embeddings
    found = gallery_sizes(samples, distractors, threshold=1.2, largest=size)[0]
    assert (found.size, found.measured) == (size, True)
    expected = brute_gallery(samples, distractors, size, 1.2)
    assert (found.fpir, found.fnir) == pytest.approx(expected[:2], abs=1e-12)
    # Alone in a gallery everyone is found first, and no misses support that rate.
    assert found.rank_one == (pytest.approx(expected[2], abs=1e-12) if size > 1 else None)
    assert 0 < expected[0] < 1
    assert 0 < expected[1] < 1


def test_sizes_are_decades_the_largest_measured_and_the_largest_asked_for() -> None:
    samples = crowd(2, people=30, photos=2)
    sizes = gallery_sizes(samples, samples.embeddings[:0], threshold=1.0, largest=250)
    assert [one.size for one in sizes] == [10, 29, 100, 250]
    assert [one.measured for one in sizes] == [True, True, False, False]


def test_beyond_the_photos_rates_are_computed_and_meet_the_measured_ones() -> None:
    samples = crowd(4, people=300, photos=4)
    none = samples.embeddings[:0]
    few_enrolled, *_, measured, computed = gallery_sizes(samples, none, threshold=1.0, largest=1000)
    assert (measured.size, computed.size) == (299, 1000)
    assert computed.fpir is not None
    assert measured.fpir is not None
    assert few_enrolled.fpir is not None
    one = 1 - (1 - measured.fpir) ** (1 / 299)
    assert computed.fpir == pytest.approx(1 - (1 - one) ** 1000, rel=0.2)
    assert few_enrolled.fpir < measured.fpir < computed.fpir
    rates = [size.rank_one for size in (few_enrolled, measured, computed)]
    assert rates == sorted(rates, key=lambda value: -(value or 0))


def test_computed_rates_are_those_of_independent_strangers() -> None:
    """1 - (1 - FMR)^N, and for each search (1 - FMR at its mate's squared L2)^(N - 1)."""
    samples = crowd(4, people=100, photos=3)
    rows, people = samples.embeddings, np.array(samples.people)
    squared, same = squared_l2(rows, rows), people[:, None] == people
    impostor = squared[np.triu(~same, 1)]
    own = [squared[row, row - row % 3] for row in range(300) if row % 3]
    *_, found, beyond = gallery_sizes(samples, rows[:0], threshold=0.8, largest=10_000)
    assert (found.size, found.measured, beyond.size) == (1000, False, 10_000)
    for size in (found, beyond):
        fmr = float((impostor <= 0.8).mean())
        assert size.fpir == pytest.approx(1 - (1 - fmr) ** size.size, rel=1e-6)
    alone = np.array([(1 - (impostor <= value).mean()) ** 999 for value in own])
    assert found.rank_one == pytest.approx(alone.mean(), rel=1e-6)
    assert found.fnir == pytest.approx(1 - (alone * (np.array(own) <= 0.8)).mean(), rel=1e-6)
    # 44,550 pairs of strangers speak of one in 1,485, and of no larger gallery.
    assert (beyond.fnir, beyond.rank_one) == (None, None)
    exact = np.mean([(1 - (impostor <= value).mean()) ** 9999 for value in own])
    assert beyond.rank_one_interval is not None
    assert beyond.rank_one_interval.low <= exact <= beyond.rank_one_interval.high < 1


@pytest.mark.parametrize(("errors", "rates"), [(29, (None, None)), (30, (30 / 32, 1.0))])
def test_a_rate_of_fewer_than_thirty_errors_is_not_measured(
    errors: int, rates: tuple[float | None, float | None]
) -> None:
    """All of Bob's photos but the first look like Ada: each is an alarm, and a miss."""
    samples = at(("Ada", 0, 0), ("Bob", 1, 0), *[("Bob", 0, 1.0)] * errors)
    (found,) = gallery_sizes(samples, samples.embeddings[:0], threshold=0.5, largest=1)
    assert (found.fpir, found.fnir) == pytest.approx(rates)
    if found.fnir is None:
        expected = exact_interval(29, 29)
        assert found.fnir_interval is not None
        assert found.fnir_interval.low == pytest.approx(expected.low)


@pytest.mark.parametrize(("photos", "rate"), [(58, None), (60, 0.5)])
def test_rank_one_needs_thirty_misses_to_be_expected(photos: int, rate: float | None) -> None:
    """Bob's photos look like Ada, who is in half of the galleries that hold him and another."""
    strangers = at(("Cleo", 0, 62)).embeddings
    samples = at(("Ada", 0, 0), ("Bob", 1, 0), *[("Bob", 0, 1.0)] * photos)
    *_, found = gallery_sizes(samples, strangers, threshold=0.5, largest=2)
    assert (found.size, found.rank_one) == (2, rate and pytest.approx(rate))


def test_what_the_pairs_do_not_support_is_not_computed() -> None:
    samples = crowd(4, people=20, photos=3)
    beyond = gallery_sizes(samples, samples.embeddings[:0], threshold=0.0, largest=10**6)[-1]
    assert (beyond.fpir, beyond.fpir_interval, beyond.rank_one) == (None, None, None)
    assert beyond.fnir == 1.0, "at threshold 0 nobody is found, whoever the others are"


def test_lost_photos_lower_every_rate_of_finding() -> None:
    people = [f"p{place // 9:03}" for place in range(180)]
    whole = crowd(5, people=20, photos=9, spread=1.4)
    lost = samples_of(whole.embeddings, people, failed=people)
    before, after = (
        gallery_sizes(one, whole.embeddings[:0], threshold=1.0, largest=19)[-1]
        for one in (whole, lost)
    )
    assert before.fpir
    assert before.fnir
    assert before.rank_one
    assert after.fpir == pytest.approx(before.fpir / 2)
    assert after.rank_one == pytest.approx(before.rank_one * 160 / 340)
    assert after.fnir == pytest.approx(1 - (1 - before.fnir) * 160 / 340)


def test_angles_are_what_the_hand_computed_cases_take_them_for() -> None:
    samples = at(("Ada", 0, 0), ("Bob", 0, 10))
    value = squared_l2(samples.embeddings[:1], samples.embeddings[1:]).item()
    assert math.isclose(value, squared_l2_of(10), abs_tol=1e-6)
