"""`facecli evaluate`: measure a model on photos."""

from __future__ import annotations

import click

from facecli.cli.lazy import LazyGroup

PROTOCOLS = {
    "lfw": "Measure a model on a list of pairs, by the LFW protocol.",
    "folders": "Measure a model on all pairs of photos of a folder of people.",
    "identification": "Measure identification with one enrolled photo per person.",
    "clustering": "Measure how well clustering finds the people of a folder.",
    "robustness": "Measure how much damage photos can take and still verify.",
}
"""Each protocol with the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, table=PROTOCOLS)
def evaluate() -> None:
    """Measure a model on your own photos."""
