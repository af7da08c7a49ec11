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
    return _option(
        "Write the results as a page as well, with plots; it needs no network to be read.",
        _drawable,
    )(function)


def sheet_option(function: AnyCallable) -> AnyCallable:
    """Add --report as `report_option` does, for a page without plots."""
    return _option(
        "Write a contact sheet as well: a page with all faces, person by person.", _writable
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
        raise click.BadParameter(f"{value.parent} is no folder.", ctx=ctx, param=param)
    return value


def _drawable(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if _writable(ctx, param, value) is not None:
        from facecli.report.svg import drawing

        with drawing():  # or MissingExtra
            pass
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
    from facecli.report import render

    publish_html(render(page), path)


def publish_html(html: str, path: Path) -> None:
    """Write a page that is rendered already, and say so on stderr."""
    from facecli.report import write_html

    try:
        write_html(html, path)
    except OSError as error:
        raise FacecliError(f"{path}: {error.strerror}") from error
    note(f"report: {path}")
