"""Make the page of a training run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from facecli.errors import MissingExtra
from facecli.report import curves
from facecli.report.page import Figure, Number, Numbers, Page, Section, Shot, Shots, Table, Text
from facecli.report.svg import percent
from facecli.training.story import AnglesAt, Query, RunStory, Series

QUERIES, NEIGHBOURS = 6, 5
"""Most validation pictures shown, and neighbours of each."""

SYNTHETIC = "Share of synthetic points among the hardest"


def training_page(story: RunStory) -> Page:
    """Return the page of a run; parts that were not measured are left out.

    Without matplotlib the plots are left out too, and the page says how to install it.
    """
    sections: list[Section] = [*_headline(story)]
    sections += [Table(one.heading, one.header, one.rows, note=one.note) for one in story.measures]
    try:
        sections += _figures(story)
    except MissingExtra as error:
        sections.append(Text("No plots", (f"{error}.",)))
    if story.queries:
        sections.append(_neighbours(story.queries))
    return Page(title=story.title, facts=story.facts, sections=sections)


def _headline(story: RunStory) -> Iterator[Numbers]:
    """Yield the most important numbers at the end of the run, if there are any."""
    numbers = []
    if angles := _angles(story):
        first, last = np.median(angles[0].degrees), np.median(angles[-1].degrees)
        note = f"median at step {angles[-1].step:,}; {first:.1f}° at step {angles[0].step:,}"
        numbers.append(Number("angle to the class centre", f"{last:.1f}°", note))
    if story.accuracy is not None and (series := _measured(story.accuracy.without_margin)):
        numbers.append(_ending("right class first in training, without margin", series))
    if series := _measured(story.synthetic):
        numbers.append(_ending("synthetic points among the hardest", series))
    if numbers:
        yield Numbers("At the end of training", tuple(numbers))


def _ending(label: str, series: Series) -> Number:
    """Return the last value of a series of shares, with the first as a note."""
    first, last = (f"{series.values[place]:.1%}" for place in (0, -1))
    steps = series.steps
    return Number(label, last, f"at step {steps[-1]:,}; {first} at step {steps[0]:,}")


def _figures(story: RunStory) -> Iterator[Figure]:
    if series := _measured(story.loss):
        yield curves.curve(series, "Loss")
    if series := _measured(story.learning_rate):
        yield curves.curve(series, "Learning rate")
    if series := _measured(story.synthetic):
        yield curves.curve(series, SYNTHETIC, name="share", write=percent)
    if angles := _angles(story):
        yield curves.angle_quantiles(angles)
        yield curves.angle_histograms(angles)
    if story.accuracy is not None and _measured(story.accuracy.without_margin):
        yield curves.accuracy(story.accuracy)
    yield from curves.pair_histograms(story.before, story.after)
    yield from curves.maps(story.moments)


def _measured(series: Series | None) -> Series | None:
    """Return the finite part of a series, or None if there is none."""
    found = None if series is None else series.measured()
    return found if found is not None and len(found.steps) else None


def _angles(story: RunStory) -> list[AnglesAt]:
    """Return the angles that are finite, without steps that have none."""
    finite = [AnglesAt(one.step, one.degrees[np.isfinite(one.degrees)]) for one in story.angles]
    return [one for one in finite if len(one.degrees)]


def _neighbours(queries: tuple[Query, ...]) -> Shots:
    rows = tuple(
        (
            Shot(query.chip, query.label, "validation picture"),
            *(
                Shot(one.chip, one.label, f"squared L2 {one.squared_l2:.3f}", one.same)
                for one in query.neighbours[:NEIGHBOURS]
            ),
        )
        for query in queries[:QUERIES]
    )
    return Shots(
        "Nearest neighbours of validation pictures",
        rows,
        note="Each row begins with a validation picture, drawn at random, of a class never trained "
        "on. After it come the other validation pictures nearest to it: a solid frame is the same "
        "class, a dashed one another class.",
    )
