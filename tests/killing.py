"""Kill -9: run commands with the fake networks in forks of this process, and kill those.

A fork costs milliseconds where a new Python costs seconds, so a hundred kills are few minutes. The
program that uses this has imported what the commands need, and has no threads.
"""

from __future__ import annotations

import importlib
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Protocol

from fakes import FakeDetector, FakeEncoder
from waiting import PATIENT

from facecli.cli import cli
from facecli.cli.settings import Settings

Words = Sequence[object]
"""The arguments of one command."""

CHANGING = {
    *("execute", "executescript", "executemany", "write", "flush", "fsync", "open", "close"),
    *("replace", "rename", "unlink", "mkdir", "rmdir", "chmod", "symlink", "mkstemp", "flock"),
}
"""Functions in C that change what is on the disk. A process can die before and after each call."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, -9 if it was killed, and the whole lines of its stdout.

    `events` is how many calls of CHANGING it began or ended, 0 if it was killed.
    """

    code: int
    lines: tuple[str, ...]
    seconds: float
    events: int


class Process:
    """Commands that run one after the other in a fork, until one fails or the process is killed.

    Its stdout is a pipe, which ends when the last process that was started from it has ended. It
    dies at the event `dies_at`, if that is given.
    """

    def __init__(self, commands: Sequence[Words], errors: Path, *, dies_at: int = 0) -> None:
        self._began = time.monotonic()
        self._events = errors.with_suffix(".events")
        self._events.unlink(missing_ok=True)
        self._said = b""
        self._out, theirs = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._out)
            _become(commands, theirs, errors, self._events, dies_at)
        os.close(theirs)

    def read_for(self, seconds: float) -> bool:
        """Read what it says for so long; return whether all of it has ended before that."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._out], [], [], left)[0]:
                if not (data := os.read(self._out, 2**16)):
                    return True
                self._said += data
        return False

    def kill(self) -> None:
        """Kill this process only: those it started have to end by themselves."""
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> Ended:
        """Wait until all of it has ended."""
        assert self.read_for(PATIENT), "a process is left"
        os.close(self._out)
        _, status = os.waitpid(self.pid, 0)
        lines = self._said[: self._said.rfind(b"\n") + 1].decode().splitlines()
        took = time.monotonic() - self._began
        events = int(self._events.read_text()) if self._events.exists() else 0
        return Ended(os.waitstatus_to_exitcode(status), tuple(lines), took, events)


def _become(commands: Sequence[Words], out: int, errors: Path, events: Path, dies_at: int) -> None:
    """Run the commands in this fork and end it."""
    code = 70
    try:
        os.setsid()
        sys.modules["__main__"] = ModuleType("__main__")  # what it spawns need not import ours
        log = os.open(errors, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        os.dup2(out, 1)
        os.dup2(log, 2)
        os.close(out)
        os.close(log)
        sys.stdout, sys.stderr = (os.fdopen(one, "w", closefd=False) for one in (1, 2))
        count = _count(dies_at)
        for words in commands:
            settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
            code = cli.main([str(word) for word in words], standalone_mode=False, obj=settings)
            if code:
                break
        sys.stdout.flush()
        sys.setprofile(None)
        events.write_text(str(count()))
    except BaseException:
        traceback.print_exc()
        code = 70
    finally:
        os._exit(code)


def _count(dies_at: int) -> Callable[[], int]:
    """Count the events from now on, and die at one; return what tells the count."""
    seen = 0

    def hear(_: FrameType, event: str, function: Any) -> None:
        nonlocal seen
        of_disk = event in ("c_call", "c_return") and function.__name__ in CHANGING
        if of_disk and not isinstance(getattr(function, "__self__", None), str | bytes):
            seen += 1
            if seen == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(hear)
    return lambda: seen


class Work(Protocol):
    """Something that a user does with one or more commands, in a folder of its own.

    `uses` are the modules that take long to import.
    """

    uses: tuple[str, ...]

    def begin(self, place: Path) -> None:
        """Put into an empty folder what the commands need."""

    def commands(self, place: Path) -> Sequence[Words]:
        """Return what a user types to begin, or to go on after a kill."""

    def check(self, place: Path, lines: Sequence[str]) -> None:
        """Check after a run that was killed: all is whole, and what its lines say is there."""

    def result(self, place: Path) -> object:
        """Return what must be the same, however often the commands were killed."""


@dataclass(frozen=True, slots=True)
class Report:
    """How many runs were killed at a moment and at an event, and how often work was finished."""

    moments: int
    events: int
    finished: int


def kill_often(work: Work, folder: Path, *, kills: int, seed: int) -> Report:
    """Kill the commands of a work again and again, half at a moment and half at an event.

    After each kill they are run again, until they come to their end, which is then compared with
    that of a run left alone. Raises AssertionError, which names the folder of the work.
    """
    chance = random.Random(seed)
    import_all(work.uses)
    whole = _begun(work, folder / "whole")
    alone = _run(work, whole)
    assert alone.code == 0, _why(whole)
    expected = work.result(whole), _files(whole)
    counts = [0, 0]
    finished = 0
    while sum(counts) < kills:
        place = _begun(work, folder / f"work-{finished}")
        while True:
            by_event = sum(counts) % 2
            ended = _run(work, place, alone if sum(counts) < kills else None, chance, by_event)
            if ended.code != -signal.SIGKILL:
                break
            counts[by_event] += 1
            try:
                work.check(place, ended.lines)
            except AssertionError as error:
                raise AssertionError(f"{place}: after kill {sum(counts)}: {error}") from error
        assert ended.code == 0, _why(place)
        assert (work.result(place), _files(place)) == expected, place
        finished += 1
    return Report(moments=counts[0], events=counts[1], finished=finished)


def import_all(modules: Sequence[str]) -> None:
    """Import what the forks would import: so they need not, and die at their work instead."""
    for name in modules:
        importlib.import_module(name)


def _begun(work: Work, place: Path) -> Path:
    place.mkdir(parents=True)
    work.begin(place)
    return place


def _run(
    work: Work,
    place: Path,
    alone: Ended | None = None,
    chance: random.Random | None = None,
    by_event: int = 0,
) -> Ended:
    """Run the commands of a work; with `alone`, the run left alone, kill them at a random point."""
    errors = place.with_suffix(".errors")
    if alone is None or chance is None:
        return Process(work.commands(place), errors).ended()
    if by_event:
        at = chance.randint(1, alone.events)
        return Process(work.commands(place), errors, dies_at=at).ended()
    running = Process(work.commands(place), errors)
    if not running.read_for(chance.uniform(0, alone.seconds)):
        running.kill()
    return running.ended()


def _files(place: Path) -> list[str]:
    return sorted(str(one.relative_to(place)) for one in place.rglob("*"))


def _why(place: Path) -> str:
    return f"{place}: {place.with_suffix('.errors').read_text()}"
