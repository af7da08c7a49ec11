"""Tasks: other questions about the same photos, each answered by a slice of the embedding."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecli.datasets import UNKNOWN, PhotoSet
from facecli.errors import TrainingError
from facecli.faces.tables import Row, Table, read_table
from facecli.text import name_key, shown
from facecli.types import IntArray

_FORM = re.compile(
    r"(?P<name>[\w-]+)=(?P<table>.+):(?P<first>\d{1,6})-(?P<last>\d{1,6})", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task: its name, the table of its labels, and its slice of the embedding.

    The slice has the numbers from `first` to `last`, both counted from 0 and both included.
    """

    name: str
    table: Path
    first: int
    last: int

    @property
    def numbers(self) -> slice:
        """The slice of an embedding."""
        return slice(self.first, self.last + 1)

    @property
    def size(self) -> int:
        """How many numbers the slice has."""
        return self.last + 1 - self.first


@dataclass(frozen=True, slots=True)
class TaskLabels:
    """A task with the labels of n photos: `labels` int64 (n,) are indices of `names`, or -1.

    `said` is what is to be told of the table.
    """

    task: Task
    labels: IntArray
    names: tuple[str, ...]
    said: str = ""


def parse_task(text: str) -> Task:
    """Read a task as it is given on the command line: NAME=FILE.csv:FIRST-LAST.

    Raises TrainingError for any other text.
    """
    found = _FORM.fullmatch(text)
    if found is None or int(found["first"]) > int(found["last"]):
        raise TrainingError(
            f"{shown(text)}: a task is NAME=FILE.csv:FIRST-LAST, such as colour=colour.csv:0-127"
        )
    return Task(found["name"], Path(found["table"]), int(found["first"]), int(found["last"]))


def check_tasks(tasks: Sequence[Task], dimension: int) -> None:
    """Raise TrainingError for tasks that share a name or numbers, or have more than there are."""
    names = [task.name for task in tasks]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise TrainingError(f"task {doubled}: given twice")
    ordered = sorted(tasks, key=lambda task: task.first)
    for one, other in itertools.pairwise(ordered):
        if other.first <= one.last:
            raise TrainingError(f"tasks {one.name} and {other.name} share numbers")
    for task in tasks:
        if task.last >= dimension:
            raise TrainingError(
                f"task {task.name}: embeddings have the numbers 0 to {dimension - 1}, and it wants "
                f"{task.first} to {task.last}; set a larger dimension in the config"
            )
        if task.size < 2:
            raise TrainingError(f"task {task.name}: a slice needs at least two numbers")


def read_task(task: Task, photos: PhotoSet) -> TaskLabels:
    """Read the labels of a task for all photos of a set.

    The table has the column label, and a column person or path that says whose label it is. Photos
    that it does not name, or whose label is empty, have none. Raises TrainingError if one thing has
    two labels, if no photo is named, and if there are fewer than two labels.
    """
    table = read_table(task.table, ("label",))
    column = next((one for one in ("person", "path") if one in table.columns), None)
    if column is None:
        raise TrainingError(f"{task.table}: it needs a column person, or a column path")
    if column == "person":
        keys = [name_key(photos.people[one]) if one >= 0 else "" for one in photos.labels]
    else:
        keys = list(photos.paths)
    given = _labels_by(table, column, name_key if column == "person" else str)
    known = set(keys)
    if not known & given.keys():
        raise TrainingError(f"{task.table}: names no {column} of {photos.root}")
    names = tuple(sorted({given[one] for one in known & given.keys()}))
    if len(names) < 2:
        raise TrainingError(f"{task.table}: task {task.name} needs at least two different labels")
    number = {name: place for place, name in enumerate(names)}
    labels = [number[given[one]] if one in given else UNKNOWN for one in keys]
    return TaskLabels(task, np.array(labels, np.int64), names, _said(task, given, known, labels))


def check_labels(one: TaskLabels, rows: IntArray) -> None:
    """Raise TrainingError if the photos to learn from, at `rows`, have fewer than two labels."""
    labels = one.labels[rows]
    if len(np.unique(labels[labels >= 0])) < 2:
        raise TrainingError(
            f"{one.task.table}: task {one.task.name} needs at least two different labels among the "
            "photos to learn from, beside those that are held out"
        )


def _labels_by(table: Table, column: str, key: Callable[[str], str]) -> dict[str, str]:
    """Return the label of each person or path."""
    found: dict[str, str] = {}
    rows: list[Row] = [row for row in table.whole_rows() if row["label"]]
    for row in rows:
        name = key(row[column])
        if not name:
            raise TrainingError(f"{table.where(row)}: no {column}")
        if found.setdefault(name, row["label"]) != row["label"]:
            raise TrainingError(
                f"{table.where(row)}: {shown(row[column])} has two labels, {shown(found[name])} "
                f"and {shown(row['label'])}"
            )
    return found


def _said(task: Task, given: dict[str, str], known: set[str], labels: list[int]) -> str:
    """Say how many photos have no label, and how many names belong to no photo."""
    lost, odd = labels.count(UNKNOWN), len(given.keys() - known)
    parts = [f"{lost} of {len(labels)} photos have no label"] if lost else []
    parts += [f"{odd} of its names fit no photo"] if odd else []
    return f"task {task.name}: {', '.join(parts)}" if parts else ""
