"""A scan that is killed, starved of disk or run twice at once loses little and breaks nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from fakes import FakeDetector, FakeEncoder
from PIL import Image
from test_scanning import SlowDetector, assert_same, painted, painted_size, scanned, searched
from waiting import PATIENT, until

from facecli.albums import scanning
from facecli.albums.scanning import scan
from facecli.errors import LibraryError
from facecli.faces import workers
from facecli.stores.library import Library
from facecli.types import Detection

pytestmark = pytest.mark.slow

PHOTOS = 40
WAITING = 30
"""Photos from this one on are not looked at before the test says so."""


def say(text: object) -> None:
    """Write a line that reaches a reader at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class WaitingDetector(SlowDetector):
    """Look at the later photos once there is a file: a scan is not over before the test is."""

    def __init__(self, go: Path) -> None:
        super().__init__()
        self._go = go

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        late = painted_size(WAITING)
        if any(one.width >= late[0] and one.height == late[1] for one in pictures):
            until(self._go.exists)
        return super().detect(pictures)


def go(database: Path) -> Path:
    """Return the file that lets a scan go on to its end."""
    return database.with_name("go")


def scan_aloud(folder: Path, database: Path, count: int) -> None:
    """Scan slowly, saying of each photo that it is done and where the processes are."""
    scanning.STORE_SECONDS = 0.05
    workers.ALONE_SECONDS = 0.0
    with Library(database) as library:
        results = scan(
            sorted(folder.iterdir()),
            library=library,
            detector=WaitingDetector(go(database)),
            encoder=FakeEncoder(),
            workers=count,
        )
        for result in results:
            say(result.source)


def start(folder: Path, database: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, str(folder), str(database), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def is_over(group: int) -> bool:
    """Tell whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(("seed", "count"), [(0, 1), (1, 1), (2, 2)])
def test_a_kill_in_the_middle_loses_little_and_leaves_no_process(
    tmp_path: Path, seed: int, count: int
) -> None:
    """What was answered half a second before is known, and the rest is searched by the next run."""
    chance = random.Random(seed)
    paths = painted(tmp_path / "photos", PHOTOS)
    database = tmp_path / "photos.db"
    running = start(tmp_path / "photos", database, count)
    assert running.stdout is not None
    for _ in range(chance.randrange(8, 20)):
        running.stdout.readline()
    time.sleep(chance.uniform(0, 0.1))
    running.send_signal(signal.SIGKILL)
    done = running.stdout.read().splitlines()
    assert running.wait() == -signal.SIGKILL
    go(database).touch()
    until(partial(is_over, running.pid))
    with Library(database, create=False) as library:
        with library.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        known = library.statistics().photos
        assert 0 < known < PHOTOS
        assert known >= len(done) - 20
        assert searched(paths[: min(known, 5)], library) == 0
        whole = scanned(paths, library)
        assert library.statistics().photos == PHOTOS
    assert_same(whole, scanned(paths, Library.memory()))


@pytest.mark.parametrize("count", [1, 2])
def test_an_interrupt_ends_all_quietly(tmp_path: Path, count: int) -> None:
    """Ctrl-C reaches every process of the group; what was seen is kept."""
    painted(tmp_path / "photos", PHOTOS)
    running = start(tmp_path / "photos", tmp_path / "photos.db", count)
    assert running.stdout is not None
    for _ in range(10):
        running.stdout.readline()
    os.killpg(running.pid, signal.SIGINT)
    (tmp_path / "go").touch()
    assert running.wait(PATIENT) == -signal.SIGINT
    until(lambda: is_over(running.pid))
    with Library(tmp_path / "photos.db", create=False) as library:
        assert library.statistics().photos >= 10


class HearingDetector(SlowDetector):
    """Says in the process that it looks in whether Ctrl-C would be heard there."""

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        say(f"hears {signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])}")
        return super().detect(pictures)


def listen(folder: Path) -> None:
    """Look at photos in two processes, the first that this program starts."""
    workers.ALONE_SECONDS = 0.0
    scanned(sorted(folder.iterdir()), Library.memory(), detector=HearingDetector(), workers=2)


def test_no_process_hears_ctrl_c(tmp_path: Path) -> None:
    """One that does prints a traceback over the answer of the one that started it."""
    painted(tmp_path / "photos", 4)
    output, _ = start(tmp_path / "photos", tmp_path / "photos.db", -1).communicate(timeout=PATIENT)
    assert set(output.splitlines()) == {"hears False"}


def test_two_scans_at_once_agree(tmp_path: Path) -> None:
    """Neither waits for the other for long, and the library holds each photo once."""
    paths = painted(tmp_path / "photos", PHOTOS)
    database = tmp_path / "photos.db"
    go(database).touch()
    running = [start(tmp_path / "photos", database, 1) for _ in range(2)]
    outputs = [process.communicate(timeout=PATIENT)[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert outputs == [list(map(str, paths))] * 2
    with Library(database, create=False) as library:
        assert library.statistics().photos == PHOTOS
        found = scanned(paths, library)
        assert searched(paths, library) == 0
    assert_same(found, scanned(paths, Library.memory()))


def scan_until_full(folder: Path, database: Path) -> None:
    """Scan while files may not grow beyond what a few photos need, then with room again."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    scanning.STORE_PICTURES = 4
    paths = sorted(folder.iterdir())
    with Library(database) as library:
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
        try:
            scanned(paths, library)
        except LibraryError as error:
            say(error)
        say(library.statistics().photos)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        detector = FakeDetector()
        scanned(paths, library, detector=detector)
        say(library.statistics().photos)


def test_a_full_disk_is_one_line_and_keeps_what_was_stored(tmp_path: Path) -> None:
    painted(tmp_path / "photos", PHOTOS)
    running = start(tmp_path / "photos", tmp_path / "photos.db", 0)
    output, _ = running.communicate(timeout=PATIENT)
    refusal, kept, whole = output.splitlines()
    assert "is the disk full" in refusal
    assert 0 < int(kept) < PHOTOS
    assert int(whole) == PHOTOS


if __name__ == "__main__":
    photos, database, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    if count < 0:
        listen(photos)
    elif count:
        scan_aloud(photos, database, count)
    else:
        scan_until_full(photos, database)
