"""Draw how a training run went, each plot with its content in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from facecli.evaluation.rates import histogram_of
from facecli.metrics import Comparisons
from facecli.report import plots
from facecli.report.page import Figure
from facecli.report.projection import has_tsne, project
from facecli.report.svg import FIRST, INK, SERIES, SOFT, drawing, finished, percent, style_of
from facecli.training.story import Accuracy, AnglesAt, ComparedPairs, Moment, Series, Values
from facecli.types import BoolArray, IntArray

Item = TypeVar("Item")

LOWER = (
    "An accuracy below chance is normal early in training where the margin counts: the margin "
    "moves the right class away before it is compared with the others."
)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

RIGHT_ANGLE = 90.0
"""Degrees between a point and a centre that know nothing of each other, in many dimensions."""

DEGREES_A_BIN = 2.5

SPREAD = 1001
"""Angles that a histogram is made of."""

CLASSES, POINTS = 12, 300
"""Most classes and points on a map: so many can be told apart, and t-SNE takes a second."""

MARKERS = ("o", "s", "^")
"""With four colours they make a mark for each of CLASSES classes."""


def curve(
    series: Series, heading: str, *, name: str = "", write: Callable[..., str] = "{:.4g}".format
) -> Figure:
    """Draw one number over the steps. `name` labels its axis; `write` makes text of a value."""
    with drawing() as canvas:
        axes = canvas.subplots()
        _line(axes, series, 0, "")
        axes.yaxis.set_major_formatter(lambda value, _: write(value))
        axes.set_ylim(bottom=min(0.0, float(series.values.min())))
        axes.set_xlabel("step")
        axes.set_ylabel(name or heading.lower())
        alt = f"{heading} over training: {_in_words(series, write)}."
        return finished(canvas, heading=heading, alt=alt)


def accuracy(measured: Accuracy) -> Figure:
    """Draw how often the right class came first, without and with the margin, and chance."""
    chance = 1 / measured.classes
    parts = [("without margin", measured.without_margin.measured())]
    if measured.with_margin is not None:
        parts.append(("with margin", measured.with_margin.measured()))
    with drawing() as canvas:
        axes = canvas.subplots()
        for place, (name, series) in enumerate(parts):
            _line(axes, series, place, name)
        label = f"chance, 1 of {measured.classes:,} classes"
        axes.axhline(chance, color=INK, linewidth=1.2, linestyle=(0, (1, 2)), label=label)
        axes.yaxis.set_major_formatter(percent)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("step")
        axes.set_ylabel("right class first")
        canvas.legend(loc="outside upper center", ncols=2, columnspacing=1.4)
        said = "; ".join(
            f"{name} {_in_words(series, percent)}" for name, series in parts if len(series.steps)
        )
        return finished(
            canvas,
            heading="Accuracy in training",
            alt=f"Share whose right class comes first: {said}. Chance is {chance:.2%}.",
            note=LOWER if len(parts) > 1 else "",
        )


def angle_quantiles(angles: Sequence[AnglesAt]) -> Figure:
    """Draw quantiles of the angle to the centre of the class over the steps."""
    steps = [one.step for one in angles]
    table = np.array([np.quantile(one.degrees, QUANTILES) for one in angles]).T
    with drawing() as canvas:
        axes = canvas.subplots()
        outer, inner = f"{QUANTILES[0]:.0%} to {QUANTILES[-1]:.0%}", "25% to 75%"
        axes.fill_between(steps, table[0], table[-1], color=FIRST, alpha=0.2, lw=0, label=outer)
        axes.fill_between(steps, table[1], table[-2], color=FIRST, alpha=0.35, lw=0, label=inner)
        axes.plot(steps, table[2], color=FIRST, label="median", marker=_mark(len(steps)))
        axes.axhline(RIGHT_ANGLE, color=SOFT, linewidth=1, linestyle=(0, (4, 2)))
        axes.set_ylim(0, max(100.0, float(table.max()) + 5))
        axes.yaxis.set_major_formatter(_degrees)
        axes.set_xlabel("step")
        axes.set_ylabel("angle to the centre of the class")
        canvas.legend(loc="outside upper center", ncols=3, handlelength=1.4, columnspacing=1.4)
        said = "; ".join(
            f"step {one.step:,}: median {np.median(one.degrees):.1f}°, 5% to 95% from "
            f"{np.quantile(one.degrees, 0.05):.1f}° to {np.quantile(one.degrees, 0.95):.1f}°"
            for one in three_of(angles)
        )
        return finished(
            canvas,
            heading="Angle to the class centre",
            alt=f"Quantiles of the angle to the learned centre of the own class. {said}.",
            note="Training starts near 90°, where nothing is known. 30° to 40° at the end is usual "
            "for a loss with an angular margin.",
        )


def angle_histograms(angles: Sequence[AnglesAt]) -> Figure:
    """Draw the distribution of the angle at the first, the middle and the last measurement."""
    chosen = three_of(angles)
    highest = max(float(one.degrees.max()) for one in chosen)
    edges = np.arange(0, highest + 2 * DEGREES_A_BIN, DEGREES_A_BIN)
    with drawing() as canvas:
        axes = canvas.subplots()
        for place, one in enumerate(chosen):
            shares = _shares(one.degrees, edges)
            style = style_of(place)
            axes.stairs(shares, edges, fill=True, color=style["color"], alpha=0.25)
            axes.stairs(shares, edges, label=f"step {one.step:,}", linewidth=1.6, **style)
        axes.xaxis.set_major_formatter(_degrees)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel("angle to the centre of the class")
        axes.set_ylabel("share of pictures")
        axes.set_xlim(left=0)
        canvas.legend(loc="outside upper center", ncols=3, handlelength=1.8, columnspacing=1.4)
        said = "; ".join(f"step {one.step:,}, mean {one.degrees.mean():.1f}°" for one in chosen)
        return finished(
            canvas,
            heading="Distribution of the angle",
            alt=f"Histograms of the angle to the class centre: {said}.",
            note="Of the pictures of one batch at each of these steps, between whose quantiles the "
            "shares are spread evenly.",
        )


def _shares(degrees: Values, edges: Values) -> Values:
    """Return the share of pictures between each two edges, spread evenly between the angles given.

    Angles are few where they are quantiles. Counted one by one they would make gaps that the
    pictures do not have.
    """
    places = np.linspace(0, 1, SPREAD)
    spread = np.quantile(degrees, places)
    shares: Values = np.histogram(spread, edges)[0] / SPREAD
    return shares


def pair_histograms(before: ComparedPairs | None, after: ComparedPairs | None) -> list[Figure]:
    """Draw the squared L2 of validation pairs before and after on one scale."""
    known = [(when, one) for when, one in (("before", before), ("after", after)) if one is not None]
    counted = [
        histogram_of(Comparisons.of(one.pairs.genuine), one.pairs.impostor) for _, one in known
    ]
    last = max(
        (np.flatnonzero(one.genuine + one.impostor).max(initial=0) for one in counted), default=0
    )
    return [
        plots.histograms(
            histogram,
            threshold=one.threshold,
            heading=f"Validation pairs {when} training: {one.name}",
            limit=float(histogram.edges[last + 1]),
        )
        for (when, one), histogram in zip(known, counted, strict=True)
    ]


def maps(moments: Sequence[Moment]) -> list[Figure]:
    """Lay out the embeddings of up to three moments, the same classes in each."""
    chosen = three_of([one for one in moments if len(one.labels)])
    if not chosen:
        return []
    found, counts = np.unique(np.concatenate([one.labels for one in chosen]), return_counts=True)
    classes = np.sort(found[np.argsort(-counts, kind="stable")][:CLASSES])
    return [figure for one in chosen if (figure := _map(one, classes, len(found))) is not None]


def three_of(items: Sequence[Item]) -> list[Item]:
    """Return the first, the middle and the last item, or all if there are fewer."""
    places = sorted({0, len(items) // 2, len(items) - 1}) if items else []
    return [items[place] for place in places]


def _map(moment: Moment, classes: IntArray, total: int) -> Figure | None:
    """Lay out one moment, or return None if it has fewer than three points of these classes."""
    kept = np.isin(moment.labels, classes) & np.isfinite(moment.embeddings).all(axis=1)
    rows = np.flatnonzero(kept)
    rows = rows[np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(np.intp)]
    if len(rows) < 3:
        return None
    places = project(moment.embeddings[rows])
    labels, synthetic = moment.labels[rows], moment.synthetic[rows]
    with drawing() as canvas:
        axes = canvas.subplots()
        for number, label in enumerate(classes):
            for hollow in (False, True):
                some = (labels == label) & (synthetic == hollow)
                if some.any():
                    axes.plot(*places[some].T, **_dot(number, hollow=hollow))
        if synthetic.any():
            for hollow, name in ((False, "original"), (True, "synthetic")):
                axes.plot([], [], **_dot(0, hollow=hollow) | {"color": INK}, label=name)
            canvas.legend(loc="outside upper center", ncols=2, handletextpad=0.2)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        return finished(
            canvas,
            heading=f"Map of embeddings at step {moment.step:,}",
            alt=_map_in_words(labels, synthetic),
            note=_map_note(min(len(classes), total), total),
        )


def _dot(number: int, *, hollow: bool) -> dict[str, Any]:
    """Return the mark of a class, hollow for synthetic points."""
    style: dict[str, Any] = {
        "color": SERIES[number % len(SERIES)],
        "marker": MARKERS[number // len(SERIES) % len(MARKERS)],
        "linestyle": "none",
        "markersize": 4,
        "markeredgewidth": 0.9,
    }
    return style | {"markerfacecolor": "none"} if hollow else style | {"alpha": 0.85}


def _map_in_words(labels: IntArray, synthetic: BoolArray) -> str:
    return (
        f"Map of {len(labels)} embeddings of {len(np.unique(labels))} classes, "
        f"{int(synthetic.sum())} of them synthetic."
    )


def _map_note(shown: int, total: int) -> str:
    made = (
        "t-SNE: neighbours have a meaning, distances have none."
        if has_tsne()
        else "Two principal components. t-SNE needs scikit-learn: pip install 'facecli[report]'."
    )
    some = f"; {shown:,} of {total:,} are shown" if shown < total else ""
    return (
        "Pictures that the run learned from, so this says nothing of new classes. "
        f"{made} Each colour and form is a class{some}."
    )


def _line(axes: Any, series: Series, place: int, name: str) -> None:
    axes.plot(
        series.steps, series.values, marker=_mark(len(series.steps)), label=name, **style_of(place)
    )


def _mark(points: int) -> str:
    """Return a marker where there are too few points for a line."""
    return "o" if points < 3 else ""


def _in_words(series: Series, write: Callable[..., str]) -> str:
    places = three_of(range(len(series.steps)))
    return ", ".join(
        f"{write(float(series.values[one]))} at step {series.steps[one]:,}" for one in places
    )


def _degrees(value: float, _: object = None) -> str:
    return f"{value:.0f}°"
