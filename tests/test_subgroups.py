"""Groups measured on their own pairs, and what differs between them with its interval."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import GOOD, FakeEncoder
from people import crowd, samples_of
from record_check import problems

from facecli.errors import FacecliError
from facecli.evaluation.folders import measure_folder, people_drawn, person_numbers
from facecli.evaluation.samples import Samples
from facecli.evaluation.subgroups import (
    MEASURES,
    Split,
    measure_groups,
    read_answers,
    split_by,
    splits_by_quality,
)
from facecli.metrics import all_pairs
from facecli.records import as_line
from facecli.records.pairs import of_groups
from facecli.vectors.distances import squared_l2


@pytest.fixture
def samples() -> Samples:
    """Return 40 people with 5 photos; those from p020 on are noisier. Two photos were lost."""
    clear, noisy = crowd(0, people=20, photos=5, spread=0.5), crowd(1, people=20, photos=5)
    rows = np.concatenate([clear.embeddings, noisy.embeddings])
    names = [f"p{row // 5:03}" for row in range(200)]
    return samples_of(rows, names, failed=["p003", "p030"])


def groups_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def by_person(samples: Samples, path: Path) -> Split:
    lines = [f"p{number:03},{'noisy' if number >= 20 else 'clear'}" for number in range(40)]
    return split_by(read_answers(groups_file(path, "person,kind", *lines), "kind"), samples)


@pytest.mark.slow
def test_a_group_is_measured_as_a_folder_of_its_own(samples: Samples, tmp_path: Path) -> None:
    measured = measure_groups(samples, by_person(samples, tmp_path / "g.csv"), threshold=1.0)
    for place, group in enumerate(measured.groups):
        keep = np.arange(200) // 100 == place
        alone = measure_folder(samples.subset(keep, np.arange(2) == place), threshold=1.0)
        assert group.result is not None
        assert (group.name, group.photos) == (("clear", "noisy")[place], 100)
        assert group.result.fmr.errors == alone.fmr.errors
        assert group.result.fnmr.of == alone.fnmr.of
        assert group.result.frr == alone.frr
        assert [point.val for point in group.result.val] == [point.val for point in alone.val]
        assert group.result.failures == 1


@pytest.mark.slow
def test_a_difference_is_that_of_the_rates_and_clear_of_nothing_where_they_differ(
    samples: Samples, tmp_path: Path
) -> None:
    measured = measure_groups(samples, by_person(samples, tmp_path / "g.csv"), threshold=1.0)
    found = {one.measure: one for one in measured.differences}
    one = found["VAL at FAR 1e-2"]
    assert (one.group, one.reference) == ("noisy", "clear")
    values = [
        point.val
        for group in measured.groups
        for point in (group.result.val if group.result else ())
        if point.far == 0.01
    ]
    assert values[0] is not None
    assert values[1] is not None
    assert one.interval.estimate == pytest.approx(values[1] - values[0], abs=1e-12)
    assert one.interval.low < one.interval.estimate < one.interval.high < 0


@pytest.mark.slow
def test_rates_and_differences_of_groups_are_records(samples: Samples, tmp_path: Path) -> None:
    measured = measure_groups(samples, by_person(samples, tmp_path / "g.csv"), threshold=1.0)
    records = of_groups(measured, FakeEncoder().card)
    assert {one["kind"] for one in records} == {"error_rates", "val_at_far", "rate_difference"}
    for one in records:
        assert problems(json.loads(as_line(one))) == []


@pytest.mark.slow
def test_every_group_follows_the_one_draw_of_people(samples: Samples, tmp_path: Path) -> None:
    """FNMR of each draw, by hand: a person drawn twice weighs double."""
    measured = measure_groups(samples, by_person(samples, tmp_path / "g.csv"), threshold=0.6)
    draws = people_drawn(
        all_pairs(samples.embeddings, person_numbers(samples)), person_numbers(samples)
    )
    assert draws is not None
    for start, group in zip((0, 20), measured.groups, strict=True):
        assert group.result is not None
        rejected = np.array(
            [
                sum(
                    squared_l2(samples.embeddings[[i]], samples.embeddings[[j]]).item() > 0.6
                    for i, j in itertools.combinations(range(5 * person, 5 * person + 5), 2)
                )
                for person in range(start, start + 20)
            ]
        )
        weights = draws[:, start : start + 20]
        expected = weights @ rejected / (10 * weights.sum(axis=1))
        np.testing.assert_allclose(group.result.resampled["FNMR"], expected, atol=1e-12)


@pytest.mark.slow
def test_the_same_group_twice_differs_by_nothing_that_is_said(samples: Samples) -> None:
    half = np.arange(200) < 100
    none = np.zeros(2, dtype=bool)
    split = Split("kind", {"one": (half, none), "other": (half, none)})
    assert measure_groups(samples, split, threshold=1.0).differences == ()


@pytest.mark.slow
def test_small_groups_have_bounds_and_those_without_pairs_a_reason(samples: Samples) -> None:
    none = np.zeros(2, dtype=bool)
    rows = np.arange(200)
    split = Split(
        "kind",
        {
            "ten pairs": (rows < 10, none),
            "one person": (rows < 5, none),
            "nobody": (rows < 0, none),
            "enough": (rows < 50, none),
        },
    )
    ten, one, nobody, enough = measure_groups(samples, split, threshold=1.0).groups
    assert ten.result is not None
    assert (ten.result.fnmr.value, ten.result.fnmr.of) == (None, 20)
    assert ten.result.fnmr.interval is not None
    assert "no impostor pairs" in one.reason
    assert "no genuine pairs" in nobody.reason
    assert enough.result is not None
    assert (
        measure_groups(
            samples, Split("kind", {"nobody": split.groups["nobody"]}), threshold=1.0
        ).differences
        == ()
    )


def test_paths_group_photos_and_failures_and_leftovers_are_named(
    samples: Samples, tmp_path: Path
) -> None:
    lines = ["p000/000.jpg,outdoors", "p000/001.jpg,indoors", "lost0.jpg,outdoors", "gone.jpg,?"]
    path = groups_file(tmp_path / "g.csv", "path,light", *lines, ",indoors", "p001/005.jpg,")
    split = split_by(read_answers(path, "light"), samples)
    kept, lost = split.groups["outdoors"]
    assert (kept.nonzero()[0].tolist(), lost.tolist()) == ([0], [True, False])
    assert split.unmatched == ("gone.jpg",)
    assert split.ungrouped == 199


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["person,age"], "needs the columns path or person, and kind"),
        (["name,kind"], "needs the columns path or person, and kind"),
        (["person,kind", "p001,a", "p001,b"], "line 3: p001 is both a and b"),
        (["person,kind", "p001,"], "nothing in the column kind"),
    ],
)
def test_a_file_that_does_not_say_is_refused(tmp_path: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(FacecliError, match=reason):
        read_answers(groups_file(tmp_path / "g.csv", *lines), "kind")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_bytes(b"person,kind\n\xff\xfe,a\n")
    with pytest.raises(FacecliError, match="not UTF-8 text"):
        read_answers(tmp_path / "g.csv", "kind")


def test_thirds_of_quality_hold_every_photo_once(samples: Samples) -> None:
    qualities = tuple(replace(GOOD, sharpness=float(row % 7), turn=row / 200) for row in range(200))
    splits = splits_by_quality(replace(samples, qualities=qualities))
    assert [split.column for split in splits] == list(MEASURES)
    for split in splits:
        held = np.sum([kept for kept, _ in split.groups.values()], axis=0)
        assert (held == 1).all()
    turn = [kept.sum() for kept, _ in splits[-1].groups.values()]
    assert max(turn) - min(turn) <= 1
