"""Measure groups of people or photos separately, and the differences between groups.

A group is measured on its own pairs; pairs across groups are left out, as in NIST's reports on
demographics (Grother, Ngan & Hanaoka, NISTIR 8280, 2019, section 4). All groups use the same draws
of people, so that differences are resampled correctly even if people are in several groups.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecli.errors import FacecliError, FaceError
from facecli.evaluation.folders import (
    FMR,
    FNMR,
    FolderResult,
    FollowWork,
    compared,
    measure,
    people_drawn,
    person_numbers,
    silent,
    val_name,
)
from facecli.evaluation.samples import Samples
from facecli.faces.tables import read_table
from facecli.metrics import Interval, all_pairs, interval
from facecli.text import name_key
from facecli.types import BoolArray, IntArray, Quality

QUALITY = "quality"
"""The column that needs no file: the measured quality of each face."""

VAL_SHOWN = 1e-3
"""The FAR of the one VAL in a table of groups: it has no room for more."""

MEASURES: dict[str, Callable[[Quality], float]] = {
    "eye distance": lambda quality: quality.eye_distance,
    "sharpness": lambda quality: quality.sharpness,
    "brightness": lambda quality: quality.brightness,
    "turn": lambda quality: quality.turn,
}
"""Measures of quality; the key begins the names of their groups."""


@dataclass(frozen=True, slots=True)
class Split:
    """Groups by name: the samples, bool (n,), and the failures, bool (f,), that are in each.

    `unmatched` are rows of the file for which there is no photo; `ungrouped` counts the photos
    without a group.
    """

    column: str
    groups: Mapping[str, tuple[BoolArray, BoolArray]]
    unmatched: tuple[str, ...] = ()
    ungrouped: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The result of one group, or the `reason` why there is none."""

    name: str
    photos: int
    result: FolderResult | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A rate of `group` minus that of `reference`, with its interval."""

    group: str
    reference: str
    measure: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class Subgroups:
    """Groups of one column, in order, and their differences from the one with the most photos."""

    split: Split
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """The values of one column of a file by path or by person; `key` is "path" or "person"."""

    column: str
    key: str
    of: Mapping[str, str]

    def spelled(self, who: str) -> str:
        """Return what all spellings of a person, or of a path, share."""
        return name_key(who) if self.key == "person" else unicodedata.normalize("NFC", who)


def read_answers(path: Path, column: str) -> Answers:
    """Read a column of a CSV file whose rows name a path or a person; empty cells are ignored.

    Raises FacecliError for a file without these columns, and for two different values for one photo
    or person.
    """
    table = read_table(path, ())
    key = next((name for name in ("path", "person") if name in table.columns), None)
    if key is None or column.casefold() not in table.columns:
        raise FacecliError(f"{path}: needs the columns path or person, and {column}")
    of: dict[str, str] = {}
    answers = Answers(column, key, of)
    said: dict[str, str] = {}
    for row in table.whole_rows():
        who, value = row[key], row[column.casefold()]
        if not who or not value:
            continue
        first = said.setdefault(answers.spelled(who), value)
        if first != value:
            raise FacecliError(f"{table.where(row)}: {who} is both {first} and {value}")
        of.setdefault(who, value)
    if not of:
        raise FacecliError(f"{path}: nothing in the column {column}")
    return answers


def split_by(answers: Answers, samples: Samples) -> Split:
    """Group samples and failures by the values of a file; its paths are those of the samples."""
    kept, lost = (
        (samples.paths, samples.failed_paths)
        if answers.key == "path"
        else (samples.people, samples.failed)
    )
    of = {answers.spelled(who): value for who, value in answers.of.items()}
    said, said_lost = ([of.get(answers.spelled(one), "") for one in some] for some in (kept, lost))
    groups = {
        name: (
            np.array([one == name for one in said], dtype=bool),
            np.array([one == name for one in said_lost], dtype=bool),
        )
        for name in sorted(set(answers.of.values()))
    }
    present = set(map(answers.spelled, [*kept, *lost]))
    return Split(
        column=answers.column,
        groups=groups,
        unmatched=tuple(one for one in answers.of if answers.spelled(one) not in present),
        ungrouped=[*said, *said_lost].count(""),
    )


def splits_by_quality(samples: Samples) -> list[Split]:
    """Group samples into the lower, middle and upper third of each measure that they have."""
    none = np.zeros(len(samples.failures), dtype=bool)
    splits = []
    for measure_name, of in MEASURES.items():
        values = np.array([of(quality) for quality in samples.qualities])
        if not values.any():
            continue  # a whole picture has no eyes and no turn
        low, high = np.quantile(values, [1 / 3, 2 / 3])
        groups = {
            f"{measure_name} up to {low:.3g}": (values <= low, none),
            f"{measure_name} from {low:.3g} to {high:.3g}": (
                (low < values) & (values <= high),
                none,
            ),
            f"{measure_name} above {high:.3g}": (values > high, none),
        }
        splits.append(Split(measure_name, groups))
    return splits


def measure_groups(
    samples: Samples, split: Split, *, threshold: float, watch: FollowWork = silent
) -> Subgroups:
    """Measure each group on its own pairs; all use the same threshold."""
    labels = person_numbers(samples)
    draws = people_drawn(all_pairs(samples.embeddings, labels), labels)
    groups = tuple(
        _measured(name, samples.subset(kept, lost), labels[kept], draws, threshold)
        for name, (kept, lost) in watch(list(split.groups.items()), f"Groups by {split.column}")
    )
    measured = [group for group in groups if group.result is not None]
    if not measured:
        return Subgroups(split, groups, ())
    reference = max(measured, key=lambda group: group.photos)
    return Subgroups(
        split=split,
        groups=groups,
        differences=tuple(
            difference
            for group in measured
            if group is not reference
            for difference in _differences(group, reference)
        ),
    )


def _measured(
    name: str, samples: Samples, labels: IntArray, draws: IntArray | None, threshold: float
) -> Group:
    try:
        pairs = compared(samples, labels)
    except FaceError as error:
        return Group(name, len(samples), None, str(error))
    present = np.unique(labels[labels >= 0])
    several = len(np.unique(pairs.genuine_person)) > 1
    own = draws[:, present] if draws is not None and several else None
    result = measure(samples, labels, pairs=pairs, draws=own, threshold=threshold)
    return Group(name, len(samples), result)


def _differences(group: Group, reference: Group) -> list[Difference]:
    """Subtract the rates of two groups, draw by draw; leave out those equal in all draws."""
    assert group.result is not None
    assert reference.result is not None
    rates, base = _estimates(group.result), _estimates(reference.result)
    drawn, drawn_base = group.result.resampled, reference.result.resampled
    found = []
    for name in rates:
        if name in base and name in drawn and name in drawn_base:
            moved = drawn[name] - drawn_base[name]
            if np.nanmin(moved) < np.nanmax(moved):
                limits = interval(rates[name] - base[name], moved)
                found.append(Difference(group.name, reference.name, name, limits))
    return found


def _estimates(result: FolderResult) -> dict[str, float]:
    named = {FMR: result.fmr.value, FNMR: result.fnmr.value}
    named |= {val_name(point.far): point.val for point in result.val}
    return {name: value for name, value in named.items() if value is not None}
