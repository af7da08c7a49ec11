"""`--report FILE.html`: write the results as a page too."""

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
    """Add --report. The command receives `report`: the file for `publish`, or None.

    If the page could not be written, the command stops before its work begins.
    """
    return _option(
        "Also write the results as a page with plots. It can be read offline.",
        _drawable,
    )(function)


def sheet_option(function: AnyCallable) -> AnyCallable:
    """Add --report for a page without plots, which needs no plotting library."""
    return _option(
        "Also write a contact sheet: a page with all faces, person by person.", _writable
    )(function)


def _option(text: str, check: Callable[..., Path | None]) -> Callable[[AnyCallable], AnyCallable]:
    return click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.html",
        callback=check,
        help=text,
    )


def _writable(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"{value.parent} is not a folder.", ctx=ctx, param=param)
    return value


def _drawable(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if _writable(ctx, param, value) is not None:
        from facecli.report.svg import drawing

        with drawing():  # raises MissingExtra without the plotting library
            pass
    return value


def facts_of(card: ModelCard, threshold: float) -> tuple[tuple[str, str], ...]:
    """Return what a reader must know about every number: the model, the threshold and the date."""
    return (
        ("model", f"{card.name} ({card.fingerprint[:12]})"),
        ("threshold", f"{threshold:g} squared L2"),
        ("measured", f"{datetime.now(UTC):%Y-%m-%d} with facecli {__version__}"),
    )


def publish(page: Page, path: Path) -> None:
    """Write a page and print its path on stderr."""
    from facecli.report import render

    publish_html(render(page), path)


def publish_html(html: str, path: Path) -> None:
    """Write a page given as HTML and print its path on stderr."""
    from facecli.report import write_html

    try:
        write_html(html, path)
    except OSError as error:
        raise FacecliError(f"{path}: {error.strerror}") from error
    note(f"report: {path}")
