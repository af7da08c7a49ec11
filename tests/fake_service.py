"""Services to ask: the real one, and one with the fake networks.

The second is this file as a program: fake_service.py GALLERY LOG HOW listens on a free port,
which it prints. The tokens are TOKEN and ADMIN below. Its gates have a clock of their own: from one
frame to the next a look is always due.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from types import SimpleNamespace

from fakes import FakeDetector, FakeEncoder
from PIL import Image
from waiting import PATIENT, until

from facecli.gate.journal import Journal
from facecli.recognition.networks import these_networks
from facecli.recognition.recognizer import Recognizer
from facecli.server import limits, serving, sessions
from facecli.server.access import Access
from facecli.server.lookers import LookedElsewhere, Lookers
from facecli.server.service import RecognitionService
from facecli.server.serving import listen, serve
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import gallery_at
from facecli.types import Detection

TOKEN, ADMIN = "t" * 32, "a" * 32
ENTRY = "from facecli.__main__ import main; main()"


class HeldDetector(FakeDetector):
    """Make a file `begun` in a folder, and answer once there is a file `go`.

    The first picture, with which a process warms itself up, is answered at once.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        if not self.seen:
            return super().detect(pictures)
        (self._folder / "begun").touch()
        until((self._folder / "go").exists)
        return super().detect(pictures)


HANGING, HUNGRY, DEADLY = 401, 402, 403
"""Widths of the pictures at which the hostile detector hangs, allocates, and dies."""


class HostileDetector(FakeDetector):
    """Do at some pictures what a broken decoder does."""

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        width = pictures[0].width
        while width == HANGING:
            pass
        if width == HUNGRY:
            bytearray(8 * 2**30)
        if width == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().detect(pictures)


@contextmanager
def running(gallery: Path, how: str = "") -> Iterator[tuple[Popen[bytes], int]]:
    """Run the service on a gallery and yield its process and port.

    If it is "held", it answers no photo before there is a file `go` beside the gallery. If it is
    "hostile", it has the hostile detector, and a second for each request.
    """
    words = [str(gallery), str(gallery.with_name("log.db")), how]
    with Popen([sys.executable, __file__, *words], stdout=PIPE) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def relaying(runtime: Path) -> dict[str, str]:
    """Return an environment in which services and commands meet under a folder.

    Two threads, since a pool of them is what a fork does not survive.
    """
    return {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "OMP_NUM_THREADS": "2"}


@contextmanager
def real_service(folder: Path, *options: str) -> Iterator[tuple[Popen[bytes], int]]:
    """Run `facecli serve` on gallery.db in a folder, its sockets under run; yield as above."""
    (folder / "run").mkdir(mode=0o700)
    words = ["serve", "--port", "0", "--db", "gallery.db", "--log", "decisions.db", *options]
    for option, token in (("token", TOKEN), ("admin-token", ADMIN)):
        (folder / option).touch(mode=0o600)
        (folder / option).write_text(token)
        words += [f"--{option}-file", option]
    # -P: the installed program, like everybody's, not one that lies in the folder it is run from.
    command = [sys.executable, "-P", "-c", ENTRY, *words]
    surroundings = relaying(folder / "run")
    with Popen(command, stderr=PIPE, cwd=folder, env=surroundings) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline().decode()
            found = re.fullmatch(r"listening at http://127\.0\.0\.1:(\d+)/\n", line)
            assert found, line + process.stderr.read().decode()
            yield process, int(found[1])
        finally:
            process.kill()


def main() -> None:
    gallery, log = map(Path, sys.argv[1:3])
    SqliteGallery(gallery).close()
    how = sys.argv[3]
    detectors = {"held": HeldDetector(gallery.parent), "hostile": HostileDetector()}
    detector = detectors.get(how, FakeDetector())
    limits.MOST_SECONDS = 1.0 if how == "hostile" else PATIENT
    serving.GRACE_SECONDS = int(PATIENT)
    ticks = itertools.count()
    vars(sessions)["time"] = SimpleNamespace(monotonic=lambda: next(ticks) / 5)
    listener = listen("127.0.0.1", 0)
    access = Access(token=TOKEN.encode(), admin=ADMIN.encode(), loopback=True)
    journal = Journal(log, warn=sys.exit, on_lost=sys.exit)
    with Lookers(partial(these_networks, detector, FakeEncoder())) as lookers:
        recognizer = Recognizer(LookedElsewhere(lookers), gallery_at(gallery))
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        serve(RecognitionService(recognizer), lookers, access, listener, journal)


if __name__ == "__main__":
    main()
