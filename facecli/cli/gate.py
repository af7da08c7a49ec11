"""`facecli identify --source`: work as a gate that decides about each appearance."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.annotating import film_of
from facecli.cli.options import AnyCallable, Option, Range, Whole
from facecli.cli.output import (
    bad,
    counted,
    detail,
    doubtful,
    emit,
    emit_json,
    good,
    note,
    shown,
    warn,
)
from facecli.cli.settings import Settings
from facecli.errors import FacecliError, reason_of
from facecli.files import DECISIONS, data_file
from facecli.records import stamped
from facecli.records.gate import GateEventRecord, gate_event

if TYPE_CHECKING:
    from facecli.calibration.operating import OperatingPoint
    from facecli.gate.engine import Gate
    from facecli.gate.frames import Frame
    from facecli.gate.journal import Journal
    from facecli.gate.outlets import Outlet
    from facecli.gate.sources import Source
    from facecli.gate.types import GateEvent
    from facecli.report.film import Film

PAINT: dict[str, Callable[[str], str]] = {"match": good, "unknown": bad, "ambiguous": doubtful}

OPTIONS = (
    click.option(
        "--source",
        metavar="SOURCE",
        help="Work as a gate on a camera number, a stream address, a video file, a folder, or - "
        "for pictures on stdin.",
    ),
    click.option(
        "--watch", is_flag=True, help="With a folder: process only new pictures, as they arrive."
    ),
    click.option(
        "--confirm",
        type=Whole(min=1),
        metavar="N",
        help="Number of usable looks that must agree on a name.",
        show_default="3, or 1 for a folder",
        cls=Option,
    ),
    click.option(
        "--cooldown",
        type=Range(min=0.0),
        metavar="S",
        help="Seconds out of view before a person is announced again.",
        show_default="10",
        cls=Option,
    ),
    click.option(
        "--on-match",
        metavar="CMD",
        help="Command to run for a match, without a shell. It gets FACECLI_… variables.",
    ),
    click.option(
        "--on-unknown", metavar="CMD", help="Command to run for an unknown or ambiguous face."
    ),
    click.option(
        "--webhook", metavar="URL", help="Address to which every decision is posted as JSON."
    ),
)


def gate_options(function: AnyCallable) -> AnyCallable:
    """Add the options of a gate. The command receives them as keywords."""
    for option in reversed((*OPTIONS, log_option)):
        function = option(function)
    return function


log_option = click.option(
    "--log",
    "log",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="The log of decisions.",
    show_default=f"${DECISIONS[0]}, or {DECISIONS[1]} in the user's data folder",
    cls=Option,
)


def log_database(path: Path | None) -> Path:
    """Return the path of the log of decisions."""
    return path or data_file(*DECISIONS)


def stand_at_gate(
    settings: Settings,
    *,
    source: str,
    watch: bool,
    confirm: int | None,
    cooldown: float | None,
    on_match: str | None,
    on_unknown: str | None,
    webhook: str | None,
    log: Path | None,
    gap: float | None,
    k: int | None,
    annotate: Path | None,
) -> None:
    """Decide about everyone who appears, until the source ends or a signal comes."""
    from facecli.gate.journal import Journal
    from facecli.gate.sources import source_of

    found = source_of(source, watch=watch, stdin=_stdin)
    film = None if annotate is None else film_of(source, annotate)
    outlets = _outlets(on_match=on_match, on_unknown=on_unknown, webhook=webhook)
    gate = _gate(settings, found, confirm=confirm, cooldown=cooldown, gap=gap, k=k)
    path = log_database(log)
    journal = Journal(path, warn=warn, on_lost=lambda line: click.echo(line, err=True))

    def announce(event: GateEvent) -> None:
        record = gate_event(event, gate.point)
        journal.append(stamped(record))
        for statuses, outlet in outlets:
            if event.status in statuses:
                outlet.offer(stamped(record))
        _show(event, record, gate.point)

    try:
        with _stopped_by_signals() as stop, film or nullcontext():
            frames = found.frames(stop, warn)  # a folder is listed now, before it is said
            note(f"watching {found.name}; decisions are logged in {path}")
            _run(gate, frames, announce, journal, name=found.name, film=film)
        if film and film.frames:
            note(f"{annotate}: annotated video, {counted(film.frames, 'frame')}")
    finally:
        for _, outlet in outlets:
            outlet.close()
        journal.close()


def _run(
    gate: Gate,
    arriving: Iterator[Frame],
    announce: Callable[[GateEvent], None],
    journal: Journal,
    *,
    name: str,
    film: Film | None,
) -> None:
    """Feed the gate until the source ends, then decide about everyone still in view."""
    at = 0.0
    frames = looks = 0
    told = ""
    for frame in arriving:
        at = frame.at
        due = gate.due(at)
        picture = frame.load() if frame.load and (due or film) else None
        frames += frame.load is not None
        looks += due and picture is not None
        try:
            seen = gate.feed(picture, at, source=frame.source)
        except Exception as error:  # one frame that cannot be searched must not end the watch
            if picture is None or isinstance(error, FacecliError):
                raise
            if (trouble := f"{frame.source}: {reason_of(error)}") != told:
                warn(trouble)
            told = trouble
            seen, due = gate.feed(None, at, source=frame.source), False
        for event in seen.events:
            announce(event)
        if film and picture:
            film.add(at, picture, seen.faces if due else None)
        journal.retry()
    for event in gate.finish(at):
        announce(event)
    detail(f"{name}: {frames} frames, {looks} looked at")


def _gate(
    settings: Settings,
    source: Source,
    *,
    confirm: int | None,
    cooldown: float | None,
    gap: float | None,
    k: int | None,
) -> Gate:
    from facecli.gate.engine import Gate
    from facecli.gate.types import CONFIRM, COOLDOWN, LOOK_SECONDS, GateSettings
    from facecli.recognition.identify import CANDIDATES
    from facecli.recognition.live import LivePeople

    recognizer = settings.recognizer(watching=True)
    people = LivePeople(recognizer.reader, say=warn)
    if not people.known().templates:
        note("nobody is enrolled: everyone will be unknown")
    how = GateSettings(
        gap=gap,
        confirm=confirm or (1 if source.apart else CONFIRM),
        cooldown=COOLDOWN if cooldown is None else cooldown,
        candidates=k or CANDIDATES,
        look_seconds=0.0 if source.every else LOOK_SECONDS,
    )
    return Gate(recognizer, how, people=people)


def _outlets(
    *, on_match: str | None, on_unknown: str | None, webhook: str | None
) -> list[tuple[frozenset[str], Outlet]]:
    """Return the outlets, each with the statuses that are sent to it."""
    from facecli.gate import outlets

    started: list[tuple[frozenset[str], Outlet]] = []
    # All are checked before the first thread is started.
    runs = [
        ({"match"}, "--on-match", on_match and outlets.command(on_match)),
        ({"unknown", "ambiguous"}, "--on-unknown", on_unknown and outlets.command(on_unknown)),
        (set(PAINT), "--webhook", webhook and outlets.webhook(webhook)),
    ]
    for statuses, name, deliver in runs:
        if deliver:
            started.append((frozenset(statuses), outlets.Outlet(name, deliver, warn=warn)))
    return started


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; a second SIGINT interrupts."""
    stop = threading.Event()
    former: dict[int, Any] = {}

    def ask_stop(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, former[signal.SIGINT])

    former.update((one, signal.signal(one, ask_stop)) for one in (signal.SIGINT, signal.SIGTERM))
    try:
        yield stop
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)


def _stdin() -> BufferedReader:
    """Return a second reader of stdin: Python cannot exit while a thread reads sys.stdin."""
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    except (OSError, ValueError):
        return BufferedReader(sys.stdin.buffer)  # type: ignore[arg-type]


def _show(event: GateEvent, record: GateEventRecord, point: OperatingPoint) -> None:
    """Write text on a terminal, else JSON, since a gate's output is mostly read by programs."""
    if not sys.stdout.isatty():
        emit_json(record)
        return
    lines = [
        f"{_clock(event)}  {PAINT[event.status](f'{event.status:<9}')}  "
        f"{shown(event.source)}: {_who(event, point)}"
    ]
    if event.odds is not None:
        from facecli.calibration import sentence

        lines.append(f"{'':21}{sentence(event.odds, enrolled=event.people)}")
    emit(record, "\n".join(lines))


def _clock(event: GateEvent) -> str:
    """Return the local time of day."""
    return datetime.fromisoformat(event.time).astimezone().strftime("%H:%M:%S")


def _who(event: GateEvent, point: OperatingPoint) -> str:
    if event.person is not None:
        return f"{shown(event.person)}, squared L2 {event.squared_l2:.3f} {point.limit}"
    if not event.candidates:
        return shown(event.reason)
    nearest = event.candidates[0]
    return (
        f"{shown(event.reason)}; nearest {shown(nearest.name)}, "
        f"squared L2 {nearest.squared_l2:.3f} {point.limit}"
    )
