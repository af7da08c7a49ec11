"""The picture of a run: the curves of the loss, and the distances before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facecli.errors import MissingExtra
from facecli.metrics import AllPairs
from facecli.training.steps import Step
from facecli.training.story import ComparedPairs

GENUINE, IMPOSTOR = "#0072b2", "#d55e00"
"""Blue and vermilion, which people with any colour vision can tell apart (Okabe & Ito 2008)."""

BINS = 100


def draw_run(
    path: Path,
    steps: Sequence[Step],
    *,
    before: ComparedPairs,
    after: ComparedPairs,
) -> None:
    """Draw the curves of `steps`, and the squared L2 of the validation pairs before and after.

    Raises MissingExtra without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(
            "the curves are drawn by matplotlib: pip install 'facecli[train]'"
        ) from error
    figure = Figure(figsize=(12, 9), layout="constrained")
    loss, share, means, rate, first, second = figure.subplots(3, 2).flat
    _curves(loss, steps, {"loss": "black"}, "loss")
    _curves(share, steps, {"semi_hard": "black"}, "share of pairs with a semi-hard negative")
    _curves(means, steps, {"genuine": GENUINE, "impostor": IMPOSTOR}, "mean squared L2 in a batch")
    _curves(rate, steps, {"learning_rate": "black"}, "learning rate")
    share.set_ylim(0, 1)
    limit = 1.05 * max(_farthest(before.pairs), _farthest(after.pairs))
    for axes, one, when in ((first, before, "before"), (second, after, "after")):
        _histogram(axes, one.pairs, one.threshold, limit)
        axes.set_title(f"validation pairs, {one.name} ({when})")
    figure.savefig(path, dpi=100)


def _curves(axes: Any, steps: Sequence[Step], fields: dict[str, str], title: str) -> None:
    for field, colour in fields.items():
        values = [getattr(step, field) for step in steps]
        axes.plot([step.step for step in steps], values, color=colour, label=field, linewidth=1)
    if len(fields) > 1:
        axes.legend(loc="upper right")  # looking for the best place takes long
    axes.set_title(title)
    axes.set_xlabel("step")


def _farthest(pairs: AllPairs) -> float:
    return float(max(pairs.genuine.max(initial=0), pairs.impostor.values.max(initial=0)))


def _histogram(axes: Any, pairs: AllPairs, threshold: float | None, limit: float) -> None:
    """Draw genuine and impostor pairs as densities, since there are far more impostor pairs."""
    edges = np.linspace(0, limit, BINS + 1)
    counts = np.diff(pairs.impostor.counts)
    for values, weights, colour, label in (
        (pairs.genuine, None, GENUINE, f"{len(pairs.genuine):,} genuine"),
        (pairs.impostor.values, counts, IMPOSTOR, f"{pairs.impostor.size:,} impostor"),
    ):
        full = bool(len(values))  # no pairs have no density
        axes.hist(
            values, edges, weights=weights, density=full, color=colour, alpha=0.6, label=label
        )
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.3f}")
    axes.set_xlabel("squared L2")
    axes.legend(loc="upper right")  # looking for the best place takes long
