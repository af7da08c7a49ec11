"""`facecli log`: show, check, export and prune the gate's decisions."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.gate import PAINT, log_database, log_option
from facecli.cli.moments import Moment, local
from facecli.cli.options import Option, Whole, options_for
from facecli.cli.output import (
    bad,
    confirmed,
    counted,
    doubtful,
    emit,
    emit_all,
    emit_json,
    good,
    note,
    shown,
    warn,
)
from facecli.errors import GateError
from facecli.records import gate as records

if TYPE_CHECKING:
    from facecli.stores.decisions import Decision, DecisionLog

LAST = 20
"""Decisions shown unless told otherwise."""

HASH = 64
"""Digits of a SHA-256."""

MOST_DAYS = 365_000
"""Dates begin in the year 1: nothing is older than this."""


@click.group()
def log() -> None:
    """Show, check, export and prune the gate's decisions."""


@log.command()
@click.option(
    "--last",
    type=Whole(min=1),
    metavar="N",
    help="Number of decisions to show.",
    show_default=f"{LAST}, or all with --since",
    cls=Option,
)
@click.option(
    "--since",
    type=Moment(),
    metavar="WHEN",
    help="Show decisions from then on: a date, a date and time, or how long ago (45m, 3h, 2d, 1w).",
)
@log_option
@options_for()
@click.pass_context
def show(ctx: click.Context, log: Path | None, last: int | None, since: datetime | None) -> None:
    """Show the last decisions, newest last.

    A date or time is of this machine's time zone unless it names another; a note says what was
    understood. Decisions are shown with their time in UTC. Exit codes: 2 if a decision is damaged;
    the others are shown.
    """
    if since is not None:
        note(f"since {local(since)}")
    with _opened(log) as chain:
        found = _since(chain, since, last)
    sound = [one for one in found if not _is_damaged(one)]
    lines = [_described(one) for one in sound]
    nothing = "" if found else f"nothing was decided {'yet' if since is None else 'since then'}"
    emit_all([records.decision(one) for one in sound], "\n".join(lines) or nothing)
    ctx.exit(0 if len(sound) == len(found) else 2)


@log.command()
@click.option(
    "--noted",
    callback=lambda *given: _noted(given[-1]),
    metavar="N:HASH",
    help="The last decision of an earlier check, as it was printed: check that it is still there.",
)
@log_option
@options_for()
@click.pass_context
def verify(ctx: click.Context, log: Path | None, noted: tuple[int, str] | None) -> None:
    """Check that no decision was changed, or removed from the middle, or inserted.

    By itself it cannot see that the newest decisions were removed, or all of them, or that someone
    who can write the file has put a new chain in place of the old one. So keep the printed number
    and hash in another place, and give them with --noted next time. Exit codes: 0 if the chain is
    whole, 1 if it is broken.
    """
    path = log_database(log)
    with _opened(log) as chain:
        found = chain.verify(noted)
    if found.broken is not None:
        text = f"{bad('broken')}  {shown(path)}: decision {found.broken}: {found.reason}"
    elif found.last < found.first:
        text = f"{doubtful('empty')}  {shown(path)}: nothing was decided yet, or all was removed"
    else:
        count = counted(found.last - found.first + 1, "decision")
        text = f"{good('whole')}  {shown(path)}: {count}, the last one is {found.last}:{found.head}"
        text += f"; {found.erased} before them were erased" if found.erased else ""
    emit(records.log_verification(path, found), text)
    ctx.exit(0 if found.broken is None else 1)


@log.command()
@log_option
@options_for()
@click.pass_context
def export(ctx: click.Context, log: Path | None) -> None:
    """Write every decision as a JSON line, with its number and hash.

    Exit codes: 2 if a decision is damaged; the others are written.
    """
    damaged = 0
    with _opened(log) as chain:
        for one in chain.decisions():
            if _is_damaged(one):
                damaged += 1
            else:
                emit_json(records.decision(one))
    ctx.exit(2 if damaged else 0)


@log.command()
@click.option(
    "--older-than",
    type=Whole(min=1),
    required=True,
    metavar="DAYS",
    help="Erase decisions that are older than this.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@log_option
@options_for()
def prune(log: Path | None, older_than: int, yes: bool) -> None:
    """Erase old decisions for good.

    The rest can still be checked: it starts from the number and hash of the last erased decision.
    The newest decision is always kept. A decision dated in the future, from when the clock was
    wrong, counts as old as those that follow it. Nothing is erased from a chain that is broken:
    its file is evidence, so move it to a safe place, and the gate begins a new one.
    """
    if not yes and not confirmed(f"Erase decisions older than {counted(older_than, 'day')}?"):
        raise GateError("nothing was erased: the answer was no")
    with _opened(log) as chain:
        erased = chain.prune(datetime.now(UTC) - timedelta(days=min(older_than, MOST_DAYS)))
    emit(records.log_pruned(erased), f"Erased {counted(erased, 'decision')}.")


def _since(chain: DecisionLog, since: datetime | None, last: int | None) -> list[Decision]:
    """Return decisions, oldest first: the last ones, those from a time on, or the last of those.

    A damaged decision has no time that could be read: it counts as one of them.
    """
    if since is None:
        return list(chain.decisions(last=LAST if last is None else last))
    from facecli.stores.decisions import stamp

    first = stamp(since)
    later = (one for one in chain.decisions() if one.damage or one.body["time"] >= first)
    return list(deque(later, last))


def _opened(path: Path | None) -> DecisionLog:
    from facecli.stores.decisions import DecisionLog

    return DecisionLog(log_database(path), create=False)


def _is_damaged(one: Decision) -> bool:
    """Return whether a decision cannot be read, and warn if so."""
    if one.damage:
        warn(one.damage)
    return bool(one.damage)


def _noted(text: str | None) -> tuple[int, str] | None:
    """Return the number and the hash in a text as `log verify` prints it."""
    if text is None:
        return None
    number, _, sha256 = text.partition(":")
    if not (number.isdecimal() and len(number) < HASH and len(sha256) == HASH):
        raise click.BadParameter(f"{text!r} is not a number, a colon and {HASH} digits.")
    return int(number), sha256


def _described(one: Decision) -> str:
    """Return a decision as a line. Fields may be missing: older versions wrote to the log."""
    body = one.body
    status = str(body.get("status", ""))
    paint = PAINT.get(status, str)
    who = body.get("person") or body.get("reason", "")
    number = body.get("squared_l2")
    near = f", squared L2 {number:.3f}" if isinstance(number, float) else ""
    source = shown(body.get("source", ""))
    return f"{one.number:>6}  {shown(body['time'])}  {paint(f'{shown(status):<9}')}  {source}: " + (
        f"{shown(who)}{near}"
    )
