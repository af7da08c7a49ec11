"""`facecli evaluate`: what a model is worth on photos."""

from __future__ import annotations

import click

from facecli.cli.lazy import LazyGroup

PROTOCOLS = {
    "robustness": "Tell how far photos may suffer before they no longer verify.",
}
"""Each protocol with the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, table=PROTOCOLS)
def evaluate() -> None:
    """Measure a model on your own photos."""
