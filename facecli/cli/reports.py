"""`--report FILE.html`: the same results as a page to read, print and hand on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facecli import __version__
from facecli.cli.output import note
from facecli.errors import FacecliError

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.report import Page
    from facecli.types import ModelCard

AnyCallable = TypeVar("AnyCallable", bound="Callable[..., Any]")


def report_option(function: AnyCallable) -> AnyCallable:
    """Add --report, given to the command as `report`: the file to `publish` its page in, or None.

    What would keep the page from being written stops the command before its work, not after.
    """
    return click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.html",
        callback=_ready,
        help="Write the results as a page as well, with plots; it needs no network to be read.",
    )(function)


def _ready(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is None:
        return None
    if not value.parent.is_dir():
        raise click.BadParameter(f"{value.parent} is no folder.", ctx=ctx, param=param)
    from facecli.report.svg import drawing

    with drawing():  # or MissingExtra
        return value


def facts_of(card: ModelCard, threshold: float) -> tuple[tuple[str, str], ...]:
    """Return what a reader must know beside any figure: by what it was measured, and when."""
    return (
        ("model", f"{card.name} ({card.fingerprint[:12]})"),
        ("threshold", f"{threshold:g} squared L2"),
        ("measured", f"{datetime.now(UTC):%Y-%m-%d} with facecli {__version__}"),
    )


def publish(page: Page, path: Path) -> None:
    """Write a page and say so on stderr."""
    from facecli.report import write_page

    try:
        write_page(page, path)
    except OSError as error:
        raise FacecliError(f"{path}: {error.strerror}") from error
    note(f"report: {path}")
