"""`facecli log`: show, check, export and prune the gate's decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.gate import PAINT, log_database, log_option
from facecli.cli.options import command_options
from facecli.cli.output import bad, confirmed, counted, emit, emit_all, emit_json, good, shown
from facecli.errors import GateError
from facecli.records import gate as records

if TYPE_CHECKING:
    from facecli.stores.decisions import Decision, DecisionLog


@click.group()
def log() -> None:
    """Show, check, export and prune the gate's decisions."""


@log.command()
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Number of decisions to show.",
)
@log_option
@command_options
def show(log: Path | None, last: int) -> None:
    """Show the last decisions, newest last."""
    with _opened(log) as chain:
        found = list(chain.decisions(last=last))
    lines = [_described(one) for one in found]
    emit_all(
        [records.decision(one) for one in found], "\n".join(lines) or "nothing was decided yet"
    )


@log.command()
@log_option
@command_options
@click.pass_context
def verify(ctx: click.Context, log: Path | None) -> None:
    """Check that no decision was changed, removed or inserted.

    Keep the printed hash in another place. Someone who can write the file can replace the whole
    chain, and only a different hash shows that. Exit codes: 0 if the chain is whole, 1 if it is
    broken.
    """
    path = log_database(log)
    with _opened(log) as chain:
        found = chain.verify()
    if found.broken is None:
        count = counted(found.last - found.first + 1, "decision")
        text = f"{good('whole')}  {shown(path)}: {count}, the last one's hash {found.head}"
        text += f"; {found.erased} before them were erased" if found.erased else ""
    else:
        text = f"{bad('broken')}  {shown(path)}: decision {found.broken}: {found.reason}"
    emit(records.log_verification(path, found), text)
    ctx.exit(0 if found.broken is None else 1)


@log.command()
@log_option
@command_options
def export(log: Path | None) -> None:
    """Write every decision as a JSON line, with its number and hash."""
    with _opened(log) as chain:
        for one in chain.decisions():
            emit_json(records.decision(one))


@log.command()
@click.option(
    "--older-than",
    type=click.IntRange(min=1),
    required=True,
    metavar="DAYS",
    help="Erase decisions that are older than this.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@log_option
@command_options
def prune(log: Path | None, older_than: int, yes: bool) -> None:
    """Erase old decisions for good.

    The rest can still be checked: it starts from the number and hash of the last erased decision.
    The newest decision is always kept.
    """
    if not yes and not confirmed(f"Erase decisions older than {counted(older_than, 'day')}?"):
        raise GateError("nothing was erased: the answer was no")
    with _opened(log) as chain:
        erased = chain.prune(datetime.now(UTC) - timedelta(days=older_than))
    emit(records.log_pruned(erased), f"Erased {counted(erased, 'decision')}.")


def _opened(path: Path | None) -> DecisionLog:
    from facecli.stores.decisions import DecisionLog

    return DecisionLog(log_database(path), create=False)


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
