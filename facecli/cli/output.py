"""Write results to stdout, as text or JSON, and notes and progress to stderr.

Names, paths and messages may hold any character: pass them through `shown` before they are printed.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, TypeVar

import click

from facecli.cli.settings import settings_of
from facecli.errors import FacecliError, reason_of
from facecli.records import as_line
from facecli.text import shown as shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from facecli.records.kinds import Record

Item = TypeVar("Item")

QUIET_SECONDS = 10.0
"""Seconds between progress lines if there is no terminal for a progress bar."""


def emit(record: Record, human: str) -> None:
    """Write one result to stdout: `record` with --json, else `human`.

    `human` may span lines and hold styling, so its foreign parts must have passed `shown`.
    """
    emit_all([record], human)


def emit_all(records: Sequence[Record], human: str) -> None:
    """Write several results to stdout: a line each with --json; else one text about them all."""
    if wants_json():
        for record in records:
            emit_json(record)
        return
    for record in records:
        tell(record)
    if human:
        answer(human)


def emit_json(record: Record) -> None:
    """Write one result to stdout as a line of plain ASCII JSON, whether or not --json was given."""
    tell(record)
    answer(as_line(record))


def answer(text: str, *, ends: bool = True) -> None:
    """Write text to stdout, as every answer is; with `ends`, a line break after it.

    Raises FacecliError if stdout does not take it, such as a full disk. A command answers after it
    has stored what it says, so that is kept.
    """
    try:
        click.echo(text, nl=ends)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader has seen enough
        raise FacecliError(unanswered(error)) from error


def unanswered(error: OSError) -> str:
    """Return what to say if stdout does not take an answer."""
    return f"stdout: {reason_of(error)}: the answer is lost, but what was stored before it is kept"


def tell(record: Record) -> None:
    """Hand one result to whoever listens to the results of this command."""
    settings_of(click.get_current_context()).hear(record)


def wants_json() -> bool:
    """Return whether --json was given."""
    return settings_of(click.get_current_context()).json


def note(text: str) -> None:
    """Print a note on stderr."""
    click.echo(shown(text), err=True)


def detail(text: str) -> None:
    """Print a note on stderr if -v was given."""
    if settings_of(click.get_current_context()).verbose:
        note(text)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    click.secho(f"warning: {shown(text)}", err=True, fg="yellow")


def complain(text: str) -> None:
    """Print on stderr, in one line, why the program stops."""
    click.echo(f"facecli: {shown(text)}", err=True)


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 face", "2 faces", "2 people"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def good(text: str) -> str:
    """Colour a good answer."""
    return click.style(text, fg="green")


def bad(text: str) -> str:
    """Colour a bad answer."""
    return click.style(text, fg="red")


def doubtful(text: str) -> str:
    """Colour an uncertain answer."""
    return click.style(text, fg="yellow")


def strong(text: str) -> str:
    """Print a heading in bold."""
    return click.style(text, bold=True)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as aligned columns, numbers to the right. Every cell passes through `shown`."""
    kept = list(rows)
    cells = [[shown(cell) for cell in row] for row in [header, *kept]]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    numeric = [
        bool(kept) and all(isinstance(row[place], int | float) for row in kept)
        for place in range(len(header))
    ]
    lines = [
        "  ".join(
            _pad(cell, width, right=right)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([strong(lines[0]), *lines[1:]])


def _pad(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if right else cell + space


def _width(text: str) -> int:
    """Count the columns text takes in a terminal: East Asian wide characters take two."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def is_plain() -> bool:
    """Tell whether the user wants text without colour (https://no-color.org)."""
    return bool(os.environ.get("NO_COLOR")) or _is_dumb()


def _is_dumb() -> bool:
    """Tell whether the terminal can neither colour text nor go back in a line."""
    return os.environ.get("TERM") == "dumb"


def confirmed(question: str) -> bool:
    """Ask on stderr. An answer may come through a pipe; no answer counts as no.

    Raises FacecliError if nobody can answer, as in a script.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        return click.confirm(shown(question), default=False, err=True)
    note(f"{question} [y/N]")
    given = sys.stdin.readline() if sys.stdin is not None else ""
    if not given:
        raise FacecliError("there is no terminal to answer on: use --yes")
    return given.strip().lower() in ("y", "yes")


def progress(items: Iterable[Item], length: int | None, label: str) -> Iterator[Item]:
    """Yield the items, and show on stderr how many are done, the speed and the time left.

    A terminal gets a progress bar. Otherwise, and with --json, a line is printed every ten seconds.
    """
    if sys.stderr.isatty() and not _is_dumb() and not wants_json():
        return _bar(items, length, label)
    return _lines(items, length, label)


class Progress:
    """Shows how far a piece of work is that says itself when it begins and when an item is done."""

    def __init__(self) -> None:
        self._shown: Iterator[int] = iter(())

    def begin(self, length: int, label: str) -> None:
        """Begin a piece of so many items."""
        self._shown = progress(range(length), length, label)
        next(self._shown, None)

    def step(self) -> None:
        """Count an item that is done."""
        next(self._shown, None)


def _bar(items: Iterable[Item], length: int | None, label: str) -> Iterator[Item]:
    began = time.monotonic()
    done = 0
    with click.progressbar(
        items,
        length=length,
        label=shown(label),
        show_pos=True,
        show_eta=length is not None,
        item_show_func=lambda _: f"{_rate(done, began):.1f}/s",
        file=sys.stderr,
    ) as bar:
        for item in bar:
            yield item
            done += 1


def _lines(items: Iterable[Item], length: int | None, label: str) -> Iterator[Item]:
    began = spoke = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - spoke >= QUIET_SECONDS:
            spoke = now
            note(f"{label}: {_where(done, length, _rate(done, began))}")


def _rate(done: int, began: float) -> float:
    """Return the number of items per second so far."""
    return done / max(time.monotonic() - began, 1e-9)


def _where(done: int, length: int | None, rate: float) -> str:
    if length is None:
        return f"{done}, {rate:.1f}/s"
    return f"{done}/{length}, {rate:.1f}/s, {(length - done) / rate:.0f} s left"
