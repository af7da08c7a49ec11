"""The result of a comparison of losses: plain numbers, for its page."""

from __future__ import annotations

from dataclasses import dataclass

from facecli.metrics import Interval

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"


@dataclass(frozen=True, slots=True)
class ComparedLoss:
    """How one loss, or a way without training, did. Measures are shares from 0 to 1.

    `settings` says in one line what was chosen on the folds. `fold_map_at_r` is the mean over the
    folds, by which it was chosen; None for a row that has nothing to choose. The others are of the
    test classes, with intervals over classes but for NMI, which has none: k-means would find both
    copies of a class as one; `val` is VAL at a FAR of 1e-2, None where the pairs
    do not support it. `difference` is MAP@R less that of the reference, paired by class; None for
    the reference itself. `seconds` is the time all its trials took.
    """

    name: str
    settings: str
    fold_map_at_r: Interval | None
    map_at_r: Interval
    recall_at_1: Interval
    r_precision: Interval
    nmi: float
    val: Interval | None
    difference: Interval | None
    seconds: float

    @property
    def verdict(self) -> str:
        """Return whether it is better or worse than the reference; empty for the reference."""
        if self.difference is None:
            return ""
        if self.difference.low > 0:
            return BETTER
        return WORSE if self.difference.high < 0 else NO_DIFFERENCE


@dataclass(frozen=True, slots=True)
class ComparedLosses:
    """A comparison. `facts` name the protocol: data, classes, folds, trials, steps, trunk, seed.

    `reference` is the name of the row that the others are compared with.
    """

    title: str
    reference: str
    rows: tuple[ComparedLoss, ...]
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def best(self) -> ComparedLoss:
        """The loss with the best MAP@R over the folds, which know nothing of the test classes."""
        tried = [one for one in self.rows if one.fold_map_at_r is not None]
        return max(tried, key=lambda one: one.fold_map_at_r.estimate if one.fold_map_at_r else 0.0)
