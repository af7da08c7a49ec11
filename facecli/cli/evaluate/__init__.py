"""`facecli evaluate`: what a model is worth on photos."""

from __future__ import annotations

import click

from facecli.cli.lazy import LazyGroup

PROTOCOLS = {
    "lfw": "Measure a model on listed pairs, as LFW asks.",
    "folders": "Measure a model on all pairs of a folder of people.",
    "identification": "Measure how well people are found from one photo each.",
    "clustering": "Measure how well clustering finds the people of a folder.",
    "robustness": "Tell how far photos may suffer before they no longer verify.",
}
"""Each protocol with the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, table=PROTOCOLS)
def evaluate() -> None:
    """Measure a model on your own photos."""
