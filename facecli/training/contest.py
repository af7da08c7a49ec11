"""The file of `train --compare`: which losses are compared, and how each is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facecli.errors import TrainingError
from facecli.text import shown
from facecli.training.config import read_toml
from facecli.training.objectives import OBJECTIVES, check_objective

OWN = ("loss", "margin", "mining", "options", "learning_rate", "class_rate")
"""Settings that losses may have of their own; all others are the same for all."""

TEST_SHARE = 0.5
"""Share of the classes that are kept for the end, as in Musgrave et al. 2020, section 3.2."""

POOLING = "pooling only"


@dataclass(frozen=True, slots=True)
class Rival:
    """A loss that is compared, by the settings of each of its trials."""

    name: str
    trials: tuple[dict[str, Any], ...]

    def described(self, trial: int) -> str:
        """Return the settings of a trial in one line, such as "margin 0.1"."""
        settings = dict(self.trials[trial])
        options = settings.pop("options", {})
        del settings["loss"]
        return ", ".join(f"{name} {value}" for name, value in (settings | options).items())


@dataclass(frozen=True, slots=True)
class Contest:
    """The losses, the settings that all share, and the share of the classes kept for the end."""

    rivals: tuple[Rival, ...]
    common: dict[str, Any]
    test_share: float

    @property
    def trials(self) -> int:
        """How many trials each loss has."""
        return len(self.rivals[0].trials)


def read_contest(path: Path) -> Contest:
    """Read a file of losses; raise TrainingError, which names it, for anything else.

    It is TOML: a table [[losses]] for each, with its loss and a name if that is not enough, and the
    settings in OWN. A list of values is a value for each trial. `test_share` and the settings
    before the first table hold for all. To each loss with synthetic points the same one without
    them is added; if there is none, symm-triplet without them.
    """
    common = read_toml(path)
    tables, share = common.pop("losses", None), common.pop("test_share", TEST_SHARE)
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise TrainingError(f"{path}: it needs a table [[losses]] for each loss")
    if not isinstance(share, float) or not 0 < share < 1:
        raise TrainingError(f"{path}: test_share lies between 0 and 1")
    if given := [name for name in OWN if name in common and name != "learning_rate"]:
        raise TrainingError(f"{path}: {given[0]} belongs into the tables of the losses")
    rivals = [_rival(path, table) for table in tables]
    if not rivals:
        raise TrainingError(f"{path}: there is no loss to compare")
    rivals += _without_synthesis(rivals)
    names = [one.name for one in rivals]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise TrainingError(f"{path}: two losses are named {shown(doubled)}; give one a name")
    counts = {len(one.trials) for one in rivals}
    if len(counts) > 1:
        told = ", ".join(f"{shown(one.name)} has {len(one.trials)}" for one in rivals)
        raise TrainingError(f"{path}: each loss needs as many trials as the others: {told}")
    return Contest(tuple(rivals), common, share)


def _rival(path: Path, table: dict[str, Any]) -> Rival:
    settings = dict(table)
    name = settings.pop("name", settings.get("loss"))
    if not isinstance(name, str) or not isinstance(settings.get("loss"), str):
        raise TrainingError(f"{path}: each of [[losses]] needs the name of its loss, as text")
    if odd := next((one for one in settings if one not in OWN), None):
        raise TrainingError(f"{path}: {shown(odd)} must be the same for all losses")
    options = settings.pop("options", {})
    if not isinstance(options, dict):
        raise TrainingError(f"{path}: options of {shown(name)} must be a table")
    flat = settings | {f"options.{key}": value for key, value in options.items()}
    counts = {len(value) for value in flat.values() if isinstance(value, list)}
    if len(counts) > 1 or 0 in counts:
        raise TrainingError(f"{path}: the lists of {shown(name)} must be of one length, above 0")
    trials = tuple(_trial(flat, number) for number in range(counts.pop() if counts else 1))
    for one in trials:
        check_objective(one["loss"], one.get("options", {}))
    return Rival(name, trials)


def _trial(flat: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the settings of one trial from values and lists of values."""
    chosen = {key: one[number] if isinstance(one, list) else one for key, one in flat.items()}
    options = {
        key.removeprefix("options."): chosen.pop(key)
        for key in list(chosen)
        if key.startswith("options.")
    }
    return chosen | ({"options": options} if options else {})


def _without_synthesis(rivals: list[Rival]) -> list[Rival]:
    """Return each loss that has synthetic points again, without them."""
    found = []
    for one in rivals:
        if "synthetic" in OBJECTIVES[one.trials[0]["loss"]].options:
            trials = [
                each | {"options": each.get("options", {}) | {"synthetic": 0}}
                for each in one.trials
            ]
            if list(one.trials) != trials:
                found.append(Rival(f"{one.name}, {POOLING}", tuple(trials)))
    count = len(rivals[0].trials)
    margins = [0.2 * 2 ** (number - (count - 1) / 2) for number in range(count)]
    usual = [
        {"loss": "symm-triplet", "options": {"margin": round(margin, 3), "synthetic": 0}}
        for margin in margins
    ]
    return found or [Rival(f"symm-triplet, {POOLING}", tuple(usual))]
