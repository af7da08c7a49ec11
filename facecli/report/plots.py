"""Draw the usual plots of face recognition, each with its content in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from facecli.evaluation.growth import GallerySize
from facecli.evaluation.rates import Curve, Histogram
from facecli.evaluation.robustness import Robustness
from facecli.report.page import Figure
from facecli.report.svg import (
    FIRST,
    INK,
    RULE,
    SECOND,
    SERIES,
    drawing,
    finished,
    percent,
    shortened,
    style_of,
)
from facecli.text import shown

GROWING: dict[str, Callable[[GallerySize], float | None]] = {
    "FPIR": lambda one: one.fpir,
    "FNIR": lambda one: one.fnir,
    "not first": lambda one: None if one.rank_one is None else 1 - one.rank_one,
}
"""Rates that change with the number of people enrolled. All are errors: lower is better."""

DET_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)


def roc(curves: Mapping[str, Curve], *, threshold: float) -> Figure:
    """Draw VAL over FAR on a logarithmic axis for each group, and mark the `threshold`."""
    with drawing() as canvas:
        axes = canvas.subplots()
        for place, (name, curve) in enumerate(curves.items()):
            there = curve.fmr > 0
            axes.plot(
                curve.fmr[there], 1 - curve.fnmr[there], label=shortened(name), **style_of(place)
            )
        _mark(axes, [(x, 1 - y) for x, y in _ringed(curves, threshold) if x > 0], threshold)
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_ylim(top=1.0)
        axes.xaxis.set_major_formatter(_rate)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel("false accept rate (FAR)")
        axes.set_ylabel("genuine pairs accepted (VAL)")
        axes.legend(loc="lower right")
        alt = "Receiver operating characteristic, FAR on a logarithmic axis. "
        return finished(canvas, heading="ROC", alt=alt + _in_words(curves, threshold))


def det(curves: Mapping[str, Curve], *, threshold: float) -> Figure:
    """Draw FNMR over FMR, both on normal deviate axes (Martin et al., Eurospeech 1997)."""
    with drawing() as canvas:
        axes = canvas.subplots()
        lowest = 0.05
        for place, (name, curve) in enumerate(curves.items()):
            inside = (curve.fmr > 0) & (curve.fmr <= 0.5) & (curve.fnmr > 0) & (curve.fnmr <= 0.5)
            fmr, fnmr = curve.fmr[inside], curve.fnmr[inside]
            axes.plot(ndtri(fmr), ndtri(fnmr), label=shortened(name), **style_of(place))
            lowest = min([lowest, *fmr, *fnmr])
        ringed = [(x, y) for x, y in _ringed(curves, threshold) if 0 < x <= 0.5 and 0 < y <= 0.5]
        _mark(axes, [(ndtri(x), ndtri(y)) for x, y in ringed], threshold)
        ticks = [tick for tick in DET_TICKS if tick >= lowest / 3]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ndtri(ticks), [_rate(tick) for tick in ticks])
        axes.set_xlabel("false match rate (FMR), normal deviate")
        axes.set_ylabel("false non-match rate (FNMR)")
        axes.legend(loc="upper right")
        alt = "Detection error trade-off, lower left is better. "
        return finished(canvas, heading="DET", alt=alt + _in_words(curves, threshold))


def histograms(
    histogram: Histogram,
    *,
    threshold: float | None,
    heading: str = "Squared L2 of pairs",
    limit: float | None = None,
) -> Figure:
    """Draw genuine and impostor squared L2, each as shares, since there are far more impostors.

    With a `limit` the axis ends there, so that two figures can be compared.
    """
    edges = histogram.edges
    kinds = [("genuine", histogram.genuine, FIRST), ("impostor", histogram.impostor, SECOND)]
    with drawing() as canvas:
        axes = canvas.subplots()
        for name, counts, colour in kinds:
            label = f"{counts.sum():,} {name} pairs"
            shares = counts / max(1, counts.sum())
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.6, label=label)
        marked = "no threshold" if threshold is None else f"threshold {threshold:.3g}"
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label=marked)
        last = np.flatnonzero(histogram.genuine + histogram.impostor).max(initial=0)
        axes.set_xlim(0, limit or edges[last + 1])
        axes.set_ylim(bottom=0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("squared L2, lower is more alike")
        canvas.legend(loc="outside upper center", ncols=2, handlelength=1.4, columnspacing=1.4)
        said = ", ".join(
            f"{counts.sum():,} {name} pairs, most at {edges[counts.argmax()]:.2f}"
            for name, counts, _ in kinds
        )
        alt = f"Histograms of squared L2: {said}; {marked}."
        return finished(canvas, heading=heading, alt=alt)


def cmc(rates: Sequence[float]) -> Figure:
    """Draw the share of probes whose mate is among the nearest 1, 2, … people."""
    with drawing() as canvas:
        axes = canvas.subplots()
        ranks = range(1, len(rates) + 1)
        axes.plot(ranks, rates, color=FIRST, marker="o", markersize=4)
        axes.set_xticks(ranks)
        axes.set_ylim(top=1.0)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel("rank")
        axes.set_ylabel("mate at this rank or nearer")
        said = ", ".join(
            f"{rate:.2%} at rank {rank}" for rank, rate in zip(ranks, rates, strict=True)
        )
        return finished(canvas, heading="CMC", alt=f"Cumulative match characteristic: {said}.")


def open_set(curve: Curve, *, threshold: float, enrolled: int) -> Figure:
    """Draw FPIR and FNIR over the threshold, as NIST's 1:N reports do, with the gallery's size."""
    with drawing() as canvas:
        axes = canvas.subplots()
        for place, (name, rates) in enumerate((("FPIR", curve.fmr), ("FNIR", curve.fnmr))):
            axes.plot(curve.thresholds, rates, label=name, **style_of(place))
        marked = f"threshold {threshold:.3g}"
        axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label=marked)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel("threshold, squared L2")
        axes.set_ylabel(f"share of searches among {enrolled:,} people")
        axes.legend(loc="center left")
        ((fpir, fnir),) = _ringed({"": curve}, threshold)
        alt = f"At threshold {threshold:.3g} squared L2 FPIR is {fpir:.2%} and FNIR {fnir:.2%}."
        return finished(canvas, heading="Strangers accepted, people missed", alt=alt)


def growth(sizes: Sequence[GallerySize]) -> Figure:
    """Draw the rates over the number of people enrolled; hollow marks are computed rates."""
    with drawing() as canvas:
        axes = canvas.subplots()
        told = []
        for place, (name, value) in enumerate(GROWING.items()):
            known = [
                (one.size, value(one), one.measured) for one in sizes if value(one) is not None
            ]
            axes.plot(
                [one[0] for one in known], [one[1] for one in known], label=name, **style_of(place)
            )
            for measured in (True, False):
                some = [one for one in known if one[2] == measured]
                axes.plot(
                    [one[0] for one in some],
                    [one[1] for one in some],
                    "o",
                    markersize=4.5,
                    color=SERIES[place],
                    markerfacecolor=None if measured else "none",
                )
            told += [f"{name} {rate:.2%} among {size:,}" for size, rate, _ in known]
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(percent)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("people enrolled")
        axes.set_ylabel("share of searches")
        axes.legend(loc="upper left")
        alt = f"Rates as the gallery grows: {', '.join(told)}."
        note = "Filled marks are measured; hollow ones are computed from the impostor distribution."
        return finished(canvas, heading="As the gallery grows", alt=alt, note=note)


def sweep(summary: Sequence[Robustness]) -> Figure:
    """Draw the results of the photos for each alteration, series by series."""
    kinds = [
        ("still verifies", FIRST, [line.share for line in summary]),
        (
            "above the threshold",
            SECOND,
            [(line.photos - line.missed - line.verified) / line.photos for line in summary],
        ),
        ("no face found", RULE, [line.missed / line.photos for line in summary]),
    ]
    places = _places([line.series for line in summary])
    with drawing(height=0.21 * (places[-1] + 4)) as canvas:
        axes = canvas.subplots()
        left = np.zeros(len(summary))
        for name, colour, shares in kinds:
            axes.barh(places, shares, left=left, height=0.78, color=colour, label=name)
            left += shares
        axes.set_yticks(places, [line.alteration for line in summary])
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.xaxis.set_major_formatter(percent)
        axes.margins(x=0, y=0.01)
        axes.spines["left"].set_visible(False)
        canvas.legend(loc="outside upper center", ncols=3, handlelength=1, columnspacing=1.2)
        said = ", ".join(f"{line.alteration} {line.share:.0%}" for line in summary)
        return finished(
            canvas, heading="Photos that still verify", alt=f"Share that still verifies: {said}."
        )


def _places(series: Iterable[str]) -> list[float]:
    """Return the places of the bars, with a gap before each new series."""
    places: list[float] = []
    before = None
    for name in series:
        places.append(places[-1] + (1.0 if name == before else 1.6) if places else 0.0)
        before = name
    return places


def _mark(axes: Any, places: Sequence[tuple[float, float]], threshold: float) -> None:
    """Put a ring on each curve at the threshold in use."""
    label = f"threshold {threshold:.3g} squared L2"
    for x, y in places:
        axes.plot([x], [y], "o", markersize=6, markerfacecolor="none", color=INK, label=label)
        label = ""


def _ringed(curves: Mapping[str, Curve], threshold: float) -> list[tuple[float, float]]:
    """Return FMR and FNMR of each curve at its last point at or below a threshold."""
    places = [
        np.searchsorted(one.thresholds, threshold, side="right") - 1 for one in curves.values()
    ]
    return [
        (float(one.fmr[place]), float(one.fnmr[place])) if place >= 0 else (0.0, 1.0)
        for one, place in zip(curves.values(), places, strict=True)
    ]


def _in_words(curves: Mapping[str, Curve], threshold: float) -> str:
    """Say where the rings are: approximately, since curves have a limited number of points."""
    said = "; ".join(
        f"{shown(name)} {1 - fnmr:.2%} at FAR {_rate(fmr)}"
        for name, (fmr, fnmr) in zip(curves, _ringed(curves, threshold), strict=True)
    )
    return f"Accepted at threshold {threshold:.3g} squared L2, about: {said}."


def _rate(value: float, _: object = None) -> str:
    """Write a small rate as 1e-4, and a rate of 1 % or more in percent."""
    return f"{value:.0%}" if value >= 0.01 or not value else f"{value:.0e}".replace("e-0", "e-")
