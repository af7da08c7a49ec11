"""What a row of the table of losses holds, and how its function or class becomes a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from facecli.training.objective import Objective, PlainObjective, Terms
from facecli.training.pair_losses import PairObjective

MANY_CLASSES = 1000
"""From this many classes on, some options have another default."""


@dataclass(frozen=True, slots=True)
class Option:
    """A number that a loss takes: its default, its least and largest value, and what it is.

    `many` is the default for `MANY_CLASSES` or more, None for the same one. A `whole` one has no
    fraction.
    """

    default: float
    least: float
    most: float
    meaning: str
    many: float | None = None
    whole: bool = False

    def allows(self, value: float) -> bool:
        """Whether the option can have this value; not-a-number is never allowed."""
        if not isinstance(value, int | float) or not self.least <= value <= self.most:
            return False
        return not self.whole or float(value).is_integer()


@dataclass(frozen=True, slots=True)
class Setting:
    """What a loss is made for: a number of classes, a length of embeddings, and all its options.

    `mining` is how triplets are chosen, a name in `TRIPLET_MINING`; other losses pass over it.
    """

    classes: int
    dimension: int
    options: Mapping[str, float]
    mining: str


@dataclass(frozen=True, slots=True)
class ObjectiveKind:
    """A loss by name: what it does in a line, its paper and section, its options, and its maker.

    `library` says that it needs pytorch-metric-learning, and `centres` that it learns a direction
    of each class.
    """

    name: str
    summary: str
    source: str
    options: Mapping[str, Option]
    make: Callable[[Setting], Objective]
    library: bool = False
    centres: bool = False

    @property
    def defaults(self) -> Mapping[str, float]:
        """The value of each option that is not given, for fewer than `MANY_CLASSES`."""
        return self.defaults_for(1)

    def defaults_for(self, classes: int) -> Mapping[str, float]:
        """Return the value of each option that is not given, for this number of classes."""
        return {
            name: one.many if one.many is not None and classes >= MANY_CLASSES else one.default
            for name, one in self.options.items()
        }


def on_rows(function: Callable[..., Terms]) -> Callable[[Setting], Objective]:
    """Return the maker of a loss over rows, whose keywords are named as its options."""
    return lambda one: PlainObjective(partial(function, **one.options))


def on_pairs(function: Callable[..., Terms]) -> Callable[[Setting], Objective]:
    """Return the maker of a loss over pairs, whose keywords are named as its options."""
    return lambda one: PairObjective(partial(function, **one.options))


def on_classes(maker: Callable[..., Objective]) -> Callable[[Setting], Objective]:
    """Return the maker of a loss that learns something of each class.

    `maker` takes the number of classes, the length of embeddings, and the options as keywords.
    """
    return lambda one: maker(one.classes, one.dimension, **one.options)
