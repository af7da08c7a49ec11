"""Make the page of a comparison of losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facecli.errors import MissingExtra
from facecli.metrics import Interval
from facecli.report.page import Figure, Page, Section, Table, Text
from facecli.report.svg import FIRST, INK, SECOND, SOFT, THIRD, drawing, finished, shortened
from facecli.training.compared import (
    BETTER,
    NO_DIFFERENCE,
    WORSE,
    ComparedLoss,
    ComparedLosses,
)

MARKS = {
    BETTER: (THIRD, "^"),
    WORSE: (SECOND, "v"),
    NO_DIFFERENCE: (SOFT, "o"),
    "": (INK, "D"),
}
"""Colour and shape of each verdict; the last is the reference."""

ROW, AROUND = 0.24, 1.0
"""Inches that a row of a plot takes, and the axis and the legend together."""

HOW = (
    "Every loss was trained with the same trunk, crops and batches, and with the same number of "
    "trials. Its settings were chosen by the mean MAP@R over the folds. The test classes were "
    "opened once, after that, and no class is in two parts.",
    "Intervals of 95 % are over classes: their pictures are drawn together. A difference is paired "
    "by class. Where its interval contains 0, no difference is shown, and the order of the rows "
    "means nothing.",
)


def compared_page(result: ComparedLosses) -> Page:
    """Return the page: a table, plots with intervals, and how it was measured.

    Without matplotlib the plots are left out, and the page says how to install it.
    """
    rows = sorted(result.rows, key=lambda row: row.map_at_r.estimate, reverse=True)
    sections: list[Section] = [_results(result, rows)]
    if rows:
        try:
            sections += [_measured(rows), _differences(result, rows)]
        except MissingExtra as error:
            sections.append(Text("No plots", (f"{error}.",)))
    sections += [_others(rows), _settings(rows), Text("How this was measured", HOW)]
    return Page(title=result.title, facts=result.facts, sections=sections)


def _results(result: ComparedLosses, rows: Sequence[ComparedLoss]) -> Table:
    return Table(
        "Test classes: MAP@R",
        (
            "loss",
            "MAP@R",
            "95 % interval",
            f"less {result.reference}",
            "95 % interval",
            "verdict",
            "MAP@R on the folds",
        ),
        tuple(
            (
                row.name,
                _value(row.map_at_r),
                _ends(row.map_at_r),
                _value(row.difference, sign="+"),
                _ends(row.difference, sign="+"),
                (row.verdict or "reference").replace(" ", "\N{NO-BREAK SPACE}"),
                _value(row.fold_map_at_r),
            )
            for row in rows
        ),
        note="MAP@R is the mean average precision among the R nearest, where R is how many other "
        "pictures of its class there are: 1 if these come first for every picture.",
    )


def _others(rows: Sequence[ComparedLoss]) -> Table:
    return Table(
        "Test classes: other measures",
        ("loss", "Recall@1", "R-precision", "VAL at FAR 1e-2", "NMI"),
        tuple(
            (row.name, *map(_both, (row.recall_at_1, row.r_precision, row.val)), f"{row.nmi:.3f}")
            for row in rows
        ),
        note="With 95 % intervals over classes. A dash stands where the pairs do not support VAL "
        "at this FAR.",
    )


def _settings(rows: Sequence[ComparedLoss]) -> Table:
    return Table(
        "Settings and time",
        ("loss", "settings", "seconds"),
        tuple((row.name, row.settings, f"{row.seconds:,.0f}") for row in rows),
        note="Seconds are those of all its trials.",
    )


def _measured(rows: Sequence[ComparedLoss]) -> Figure:
    """Draw MAP@R on the test classes with intervals, and on the folds as hollow marks."""
    with drawing(height=ROW * len(rows) + AROUND) as canvas:
        axes = canvas.subplots()
        for place, row in enumerate(rows):
            _dot(axes, place, row.map_at_r, FIRST, "o", "test" if not place else "")
        folds = [
            (row.fold_map_at_r.estimate, place)
            for place, row in enumerate(rows)
            if row.fold_map_at_r is not None
        ]
        if folds:
            x, y = zip(*folds, strict=True)
            axes.plot(x, y, "D", color=SECOND, markerfacecolor="none", ms=5, label="folds")
        _named(axes, rows)
        axes.set_xlabel("MAP@R")
        canvas.legend(loc="outside upper center", ncols=2, handletextpad=0.3)
        said = ", ".join(f"{row.name} {_both(row.map_at_r)}" for row in rows)
        return finished(canvas, heading="MAP@R by loss", alt=f"MAP@R on the test classes: {said}.")


def _differences(result: ComparedLosses, rows: Sequence[ComparedLoss]) -> Figure:
    """Draw the difference of each loss from the reference with its interval, beside 0."""
    with drawing(height=ROW * len(rows) + AROUND) as canvas:
        axes = canvas.subplots()
        axes.axvline(0, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        told: set[str] = set()
        for place, row in enumerate(rows):
            name = row.verdict or "reference"
            label = "" if name in told else name
            told.add(name)
            shown = row.difference or Interval(0.0, 0.0, 0.0)
            _dot(axes, place, shown, *MARKS[row.verdict], label)
        _named(axes, rows)
        axes.set_xlabel("difference in MAP@R")
        canvas.legend(loc="outside upper center", ncols=2, handletextpad=0.3, columnspacing=1.4)
        said = ", ".join(
            f"{row.name} {_both(row.difference, sign='+')}, {row.verdict}"
            for row in rows
            if row.difference is not None
        )
        return finished(
            canvas,
            heading=f"Difference from {result.reference}",
            alt=f"Difference in MAP@R from {result.reference}: {said}.",
        )


def _dot(axes: Any, place: int, one: Interval, colour: str, marker: str, label: str) -> None:
    axes.plot([one.low, one.high], [place, place], color=colour, linewidth=1.6)
    axes.plot([one.estimate], [place], marker, color=colour, markersize=5, label=label)


def _named(axes: Any, rows: Sequence[ComparedLoss]) -> None:
    axes.set_yticks(range(len(rows)), [shortened(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the first on top
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)


def _value(one: Interval | None, *, sign: str = "-") -> str:
    return "–" if one is None else f"{one.estimate:{sign}.3f}"


def _ends(one: Interval | None, *, sign: str = "-") -> str:
    return "" if one is None else f"{one.low:{sign}.3f} to {one.high:{sign}.3f}"


def _both(one: Interval | None, *, sign: str = "-") -> str:
    """Return an estimate and its interval, or a dash."""
    return "–" if one is None else f"{_value(one, sign=sign)} ({_ends(one, sign=sign)})"
