"""Thresholds and odds from data hold what they say, against slow oracles and on real people."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from fakes import embedding, fake_card, new_template
from hypothesis import given
from hypothesis import strategies as st

from facecli.calibration import (
    ImpostorDistribution,
    Odds,
    distribution_from,
    impostor_distribution,
    impostor_table,
    sentence,
)
from facecli.calibration.operating import OperatingPoint, operating_point
from facecli.calibration.threshold import calibrated_threshold, strangers_taken, too_many_taken
from facecli.errors import CalibrationError, GalleryError
from facecli.metrics import Comparisons
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import normalize, squared_l2

pytestmark = pytest.mark.base

CARD = fake_card()


def crowd(people: int, photos: int = 2, *, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Return people at random places of a low-dimensional part of the sphere, photos nearby."""
    random = np.random.default_rng(seed)
    places = np.zeros((people * photos, 128))
    places[:, :6] = np.repeat(random.normal(size=(people, 6)), photos, axis=0)
    places[:, :12] += random.normal(size=(people * photos, 12)) * 0.15
    return normalize(places), np.repeat(np.arange(people), photos)


def strangers(rows: FloatArray, labels: IntArray) -> Comparisons:
    """Return what `all_pairs` counts, quicker for a few rows."""
    first, second = np.triu_indices(len(rows), 1)
    apart = labels[first] != labels[second]
    return Comparisons.of(squared_l2(rows, rows)[first[apart], second[apart]])


def distribution(people: int = 60, photos: int = 2, seed: int = 0) -> ImpostorDistribution:
    rows, labels = crowd(people, photos, seed=seed)
    made = impostor_distribution(rows, labels, strangers(rows, labels), source="crowd")
    assert made is not None
    return made


# the distribution


def test_counts_are_those_of_a_plain_double_loop() -> None:
    rows, labels = crowd(40, 3)
    made = impostor_distribution(rows, labels, strangers(rows, labels), source="")
    assert made is not None
    squared = squared_l2(rows, rows)
    impostors = [
        float(squared[a, b])
        for a, b in itertools.combinations(range(len(rows)), 2)
        if labels[a] != labels[b]
    ]
    assert made.pairs == len(impostors)
    for point, count in zip(made.squared_l2, made.counts, strict=True):
        assert count == sum(one <= point for one in impostors)
    assert made.counts[0] >= 30
    assert made.counts[-1] / made.pairs == pytest.approx(0.1, rel=0.3)


def test_the_interval_is_korn_and_graubards_around_a_jackknife_over_people() -> None:
    """Oracle: leave one person out after the other, then ask SciPy's beta distribution."""
    from scipy import stats

    rows, labels = crowd(30, 2)
    made = impostor_distribution(rows, labels, strangers(rows, labels), source="")
    assert made is not None
    point, people = made.squared_l2[-1], 30
    shares = []
    for left_out in range(people):
        rest = labels != left_out
        impostor = strangers(rows[rest], labels[rest])
        shares.append(int(impostor.matched(point)) / impostor.size)
    variance = (people - 1) / people * ((np.array(shares) - np.mean(shares)) ** 2).sum()
    share = made.counts[-1] / made.pairs
    factor = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, people - 1)) ** 2
    effective = factor * share * (1 - share) / variance
    low = stats.beta.ppf(0.025, effective * share, effective * (1 - share) + 1)
    high = stats.beta.ppf(0.975, effective * share + 1, effective * (1 - share))
    # The influence of a person is the derivative of what leaving them out does.
    assert made.low[-1] == pytest.approx(low, rel=0.05)
    assert made.high[-1] == pytest.approx(high, rel=0.05)


def test_the_interval_covers_the_truth_at_least_as_often_as_it_says() -> None:
    """Of 150 crowds of 60 people each, against the share among 2,000 other people."""
    rows, labels = crowd(2000, 1, seed=99)
    truth = strangers(rows, labels)
    limit = float(truth.values[np.searchsorted(truth.counts[1:], truth.size // 50)])
    share = int(truth.matched(limit)) / truth.size
    covered = 0
    for seed in range(150):
        odds = distribution(seed=seed).share(limit)
        covered += odds.low <= share <= odds.high
    assert covered >= 0.93 * 150


def test_pairs_of_one_wolf_make_the_interval_wider_than_as_many_independent_ones() -> None:
    """One person near everybody: the pairs are many, but it is one person who made them."""
    rows, labels = crowd(60, 1)
    wolf = rows.copy()
    wolf[0] = normalize(rows[1:].mean(axis=0))
    relative = []
    for data in (rows, wolf):
        made = impostor_distribution(data, labels, strangers(data, labels), source="")
        assert made is not None
        relative.append(made.high[0] / made.low[0])
    assert relative[1] > relative[0]


@given(st.lists(st.floats(0, 4), min_size=2, max_size=20), st.integers(1, 1000))
def test_odds_never_fall_as_the_squared_l2_rises(values: list[float], templates: int) -> None:
    made = DISTRIBUTION
    odds = [made.share(value).among(templates) for value in sorted(values)]
    for before, after in itertools.pairwise(odds):
        assert before.low <= after.low
        assert before.high <= after.high
        if before.share is not None and after.share is not None:
            assert before.share <= after.share
    for one in odds:
        assert 0 <= one.low <= one.high <= 1
        assert one.share is None or one.low <= one.share <= one.high


DISTRIBUTION = distribution()


def test_at_its_points_the_share_is_the_exact_count() -> None:
    for point, count in zip(DISTRIBUTION.squared_l2, DISTRIBUTION.counts, strict=True):
        assert DISTRIBUTION.share(point).share == pytest.approx(count / DISTRIBUTION.pairs)


def test_a_table_survives_json() -> None:
    again = distribution_from(json.loads(json.dumps(DISTRIBUTION.table())))
    assert again is not None
    for value in (0.01, 0.3, DISTRIBUTION.squared_l2[3], 3.0):
        before, after = DISTRIBUTION.share(value), again.share(value)
        assert after.share == before.share
        assert (after.low, after.high) == pytest.approx((before.low, before.high), rel=1e-3)
    assert distribution_from({}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"pairs": None},
        {"pairs": 10},
        {"squared_l2": []},
        {"squared_l2": "x"},
        {"low": [0.0] * len(DISTRIBUTION.low)},
        {"high": [2.0] * len(DISTRIBUTION.high)},
        {"counts": DISTRIBUTION.counts[::-1].tolist()},
        {"squared_l2": [math.nan] * len(DISTRIBUTION.low)},
    ],
    ids=str,
)
def test_a_table_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a table"):
        distribution_from(DISTRIBUTION.table() | change)
    with pytest.raises(ValueError, match="not a table"):
        distribution_from({"pairs": 5})


@pytest.mark.slow
def test_too_few_pairs_make_no_table() -> None:
    rows, labels = crowd(20, 1)
    assert impostor_table(rows, labels, source="") == {}
    rows, labels = crowd(30, 1)
    assert impostor_table(rows, labels, source="thirty")["source"] == "thirty"


# the sentence


def test_the_sentence() -> None:
    assert sentence(Odds(1 / 4012, 1 / 5234, 1 / 3089)) == (
        "about 1 in 4,000 strangers comes this close (95 % interval 1 in 3,100 to 5,200)"
    )
    assert sentence(Odds(None, 0, 1 / 71999)) == "fewer than 1 in 71,000 strangers come this close"
    assert sentence(Odds(None, 0.0951, 1)) == "more than 1 in 11 strangers come this close"
    assert sentence(Odds(0.9, 0.8, 0.95)) == "more than 1 in 2 strangers come this close"
    for enrolled, whom in ((1, "the one person"), (2, "one of the 2 people")):
        assert sentence(Odds(0.4, 0.3, 0.6), enrolled=enrolled).startswith(
            f"about 1 in 2.5 strangers comes this close to {whom} enrolled ("
        )


def test_among_many_templates_the_chance_grows_as_of_independent_draws() -> None:
    odds = Odds(0.001, 0.0005, 0.002).among(250)
    assert odds.share == pytest.approx(1 - 0.999**250)
    assert (odds.low, odds.high) == pytest.approx((1 - 0.9995**250, 1 - 0.998**250))
    bound = Odds(None, 0.1, 1.0).among(3)
    assert (bound.share, bound.high) == (None, 1.0)
    assert bound.low == pytest.approx(1 - 0.9**3)
    assert Odds(1e-12, 1e-13, 1e-11).among(10).share == pytest.approx(1e-11)


def test_odds_name_the_pairs_that_they_were_counted_on() -> None:
    for value in (0.0, float(DISTRIBUTION.squared_l2[1]), 4.0):
        odds = DISTRIBUTION.share(value).among(3)
        assert (odds.pairs, odds.source) == (DISTRIBUTION.pairs, DISTRIBUTION.source)


def few_and_many() -> OperatingPoint:
    """Return a point of a gallery calibrated on 60 people, for a model that knows 900."""
    rows, labels = crowd(60, 1)
    far = 30 / (60 * 59 / 2)
    own = calibrated_threshold(rows, labels, far=far, card=CARD, source="own")
    rows, labels = crowd(900, 1)
    card = dataclasses.replace(CARD, impostors=impostor_table(rows, labels, source="many"))
    return operating_point(card, [own], threshold=None)


@pytest.mark.slow
def test_the_better_founded_of_two_sources_of_odds_is_used() -> None:
    """An identical picture among 215 people is no "fewer than 1 in 3 strangers"."""
    point = few_and_many()
    identical = point.odds(0.0, templates=215)
    assert identical is not None
    assert identical.source == "many"
    assert identical.high < 0.1
    alone = point.strangers[0].share(0.0).among(215)
    assert alone.high > 1 / 3
    within = point.odds(point.threshold + 0.05)
    assert within is not None
    assert (within.source, within.share is None) == ("own", False)
    beyond = point.odds(4.0)
    assert beyond is not None
    assert (beyond.source, beyond.low > 0.05) == ("own", True)


def test_a_rate_is_of_use_to_a_gallery_of_some_size_only() -> None:
    """1 - (1 - 0.01)^215 is 0.88; the rate named instead is of use."""
    assert strangers_taken(0.01, 215) == pytest.approx(1 - 0.99**215)
    reason = too_many_taken(0.01, 215)
    assert reason == (
        "at FMR 1e-2, 88% of strangers would be like somebody among the 215 templates enrolled; "
        "at most 10% is of use, which needs FMR 4.8e-04 or less"
    )
    assert too_many_taken(4.8e-4, 215) == ""
    assert too_many_taken(5e-4, 215) != ""
    assert too_many_taken(0.1, 0) == too_many_taken(0.1, 1) == ""


# the threshold


@pytest.mark.slow
def test_a_threshold_keeps_its_rate_on_the_data_it_came_from() -> None:
    rows, labels = crowd(120, 2)
    made = calibrated_threshold(rows, labels, far=0.005, card=CARD, source="crowd")
    squared, same = squared_l2(rows, rows), labels[:, None] == labels
    upper = np.triu(np.ones_like(same), 1)
    impostor, genuine = squared[upper & ~same], squared[upper & same]
    assert made.impostor_pairs == len(impostor)
    assert made.genuine_pairs == len(genuine) == 120
    assert (impostor <= made.threshold).mean() <= 0.005
    just_above = np.sort(impostor)[int(0.005 * len(impostor))]
    assert made.threshold < just_above
    assert made.threshold == pytest.approx(just_above, abs=1e-6)
    assert made.fnmr == (genuine > made.threshold).mean()
    assert made.far_low < 0.005 < made.far_high
    assert (made.fingerprint, made.people) == (CARD.fingerprint, 120)


def test_a_rate_that_the_pairs_cannot_support_is_refused_with_what_it_takes() -> None:
    rows, labels = crowd(100, 1)
    with pytest.raises(CalibrationError) as refusal:
        calibrated_threshold(rows, labels, far=1e-4, card=CARD, source="people/")
    assert str(refusal.value) == (
        "people/: FMR 1e-4 needs 300,000 pairs of strangers, 30 of them expected at or under the "
        "threshold: 776 people with a photo each; there are 4,950 pairs, enough for --far 6.1e-03"
    )
    assert 776 * 775 / 2 >= 300_000 > 775 * 774 / 2
    assert calibrated_threshold(rows, labels, far=6.1e-3, card=CARD, source="").fnmr is None


@pytest.mark.parametrize(
    ("people", "said"), [(1, "are 0 pairs"), (2, "is 1 pair"), (3, "are 3 pairs")]
)
def test_one_pair_is_not_called_pairs(people: int, said: str) -> None:
    rows, labels = crowd(people, 1)
    with pytest.raises(CalibrationError, match=f"; there {said}$"):
        calibrated_threshold(rows, labels, far=1e-4, card=CARD, source="people/")


def test_people_enrolled_twice_under_two_names_are_no_basis() -> None:
    rows, _ = crowd(100, 1)
    doubled = np.concatenate([rows, rows])
    with pytest.raises(CalibrationError, match="more than 2e-3 of the pairs"):
        calibrated_threshold(doubled, np.arange(200), far=0.002, card=CARD, source="x")


def test_rounding_does_not_make_one_picture_two() -> None:
    """The same picture twice is not always 0 apart: a threshold of 1e-7 would match nobody."""
    rows, _ = crowd(100, 1)
    again = normalize(rows.astype(np.float64) + 8e-4 / 128**0.5)
    apart = np.diagonal(squared_l2(rows, again))
    assert 0 < np.median(apart) <= apart.max() < 1e-6
    with pytest.raises(CalibrationError, match="twice under two names"):
        calibrated_threshold(
            np.concatenate([rows, again]), np.arange(200), far=0.002, card=CARD, source="x"
        )


# the gallery


def test_a_gallery_keeps_one_calibration_a_model() -> None:
    rows, labels = crowd(60)
    first = calibrated_threshold(rows, labels, far=0.01, card=CARD, source="a")
    second = dataclasses.replace(first, threshold=0.25, source="b")
    other = dataclasses.replace(first, fingerprint="ff", model="a-other", fnmr=None)
    with SqliteGallery.memory() as gallery:
        assert gallery.calibrations() == []
        for one in (first, other, second):
            gallery.set_calibration(one)
        assert gallery.calibrations() == [other, second]
        assert gallery.clear_calibrations() == 2
        assert gallery.calibrations() == []


def test_a_calibration_that_cannot_be_stored_leaves_the_former_one(tmp_path: Path) -> None:
    rows, labels = crowd(60)
    good = calibrated_threshold(rows, labels, far=0.01, card=CARD, source="a")
    with SqliteGallery(tmp_path / "g.db") as gallery:
        gallery.add([new_template("Ada", embedding(0, 0))], CARD)
        gallery.set_calibration(good)
        with pytest.raises(GalleryError):
            gallery.set_calibration(dataclasses.replace(good, threshold=5.0))
    with SqliteGallery(tmp_path / "g.db") as gallery:
        assert gallery.calibrations() == [good]
