"""What the gallery acknowledged stays, whatever happens to the program, the disk or the lock."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import embedding, fake_card, new_template
from waiting import until

from facecli.errors import GalleryError, GalleryUnavailable
from facecli.models import DIMENSION
from facecli.stores import kind
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import FloatArray

pytestmark = pytest.mark.slow

CARD = fake_card()
BATCH = 60
"""People enrolled in one transaction, with two templates each: enough to be met half-way."""


def vector(batch: int, number: int) -> FloatArray:
    """Return the template of one person of a batch, the same in every process."""
    values = np.random.default_rng([batch, number]).standard_normal(DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def enroll(gallery: SqliteGallery, batch: int) -> None:
    """Add one batch of people, each with two templates."""
    gallery.add(
        [
            new_template(
                f"batch {batch} person {number}",
                vector(batch, number + take),
                f"{batch}/{number}/{take}",
            )
            for number in range(BATCH)
            for take in (0, 1000)
        ],
        CARD,
    )


def say(text: object) -> None:
    """Write a line that reaches a reader at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def enroll_until_killed(path: Path) -> None:
    """Enroll batch after batch, saying each one's number once it is stored."""
    with SqliteGallery(path) as gallery:
        for batch in range(100_000):
            enroll(gallery, batch)
            say(batch)


def assert_whole(path: Path, acknowledged: int) -> None:
    """Check that all acknowledged batches are there, at most one more, and none in part."""
    with SqliteGallery(path, create=False) as gallery:
        assert gallery.integrity_check() == []
        people = gallery.people()
        batches = len(people) // BATCH
        assert batches in (acknowledged, acknowledged + 1)
        expected = {
            f"batch {batch} person {number}" for batch in range(batches) for number in range(BATCH)
        }
        assert {person.name for person in people} == expected
        assert {person.templates for person in people} <= {2}
        if not batches:
            return
        matrix = gallery.matrix(CARD)
    order = [(b, n + take) for b in range(batches) for n in range(BATCH) for take in (0, 1000)]
    np.testing.assert_array_equal(matrix.embeddings, np.stack([vector(*which) for which in order]))


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_in_the_middle_loses_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    """SIGKILL at a random moment: while the gallery is made, then while batches are stored."""
    chance = random.Random(seed)
    path = tmp_path / "gallery.db"
    command = [sys.executable, __file__, str(path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment())
    assert writer.stdout is not None
    until(path.exists)
    early = seed < 2
    lines = [] if early else [writer.stdout.readline() for _ in range(chance.randrange(1, 20))]
    time.sleep(chance.uniform(0, 0.05))
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    assert writer.returncode == -signal.SIGKILL
    assert_whole(path, acknowledged=sum(line.endswith(b"\n") for line in lines))


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}


FILE_LIMIT = 4_000_000
"""Bytes: room for a few dozen batches and their log."""


def enroll_until_full(path: Path) -> None:
    """Enroll until a write fails; then, given room again, once more."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with SqliteGallery(path) as gallery:
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, unlimited[1]))
        batch = report_until_full(gallery)
        assert len(gallery.people()) == batch * BATCH
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        enroll(gallery, batch)
        say(batch)


def report_until_full(gallery: SqliteGallery) -> int:
    """Enroll until refused, print the refusal, and return the batch that was."""
    for batch in range(100_000):
        try:
            enroll(gallery, batch)
        except GalleryError as error:
            say(f"refused: {error}")
            return batch
        say(batch)
    raise AssertionError("never full")


def test_a_file_that_may_not_grow_loses_nothing(tmp_path: Path) -> None:
    """The refused batch leaves no trace, and the gallery goes on once there is room."""
    path = tmp_path / "gallery.db"
    done = subprocess.run(
        [sys.executable, __file__, str(path), "full"],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=True,
    )
    *numbers, refusal, last = done.stdout.splitlines()
    assert refusal.startswith(f"refused: gallery '{path}': ")
    assert "disk full" in refusal
    assert numbers == [str(number) for number in range(int(last))]
    assert len(numbers) > 3
    assert_whole(path, acknowledged=len(numbers) + 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same on a disk without room, which SQLite reports in another way."""
    path = small_disk / "gallery.db"
    with SqliteGallery(path) as gallery:
        batch = report_until_full(gallery)
        assert batch > 3
        refusal = capsys.readouterr().out.splitlines()[-1]
        assert refusal.startswith(f"refused: gallery '{path}': ")
        assert "disk is full" in refusal
        assert len(gallery.people()) == batch * BATCH
    assert_whole(path, acknowledged=batch)


def test_a_disk_without_room_for_a_new_gallery(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(6 * 2**20 - 8192))
    with pytest.raises(GalleryError, match=r"disk (is )?full") as caught:
        SqliteGallery(small_disk / "gallery.db")
    assert str(caught.value).isprintable()
    (small_disk / "ballast").unlink()
    with SqliteGallery(small_disk / "gallery.db") as gallery:
        enroll(gallery, 0)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteGallery]:
    """A gallery with Ada in it that another program is writing to and does not let go."""
    monkeypatch.setattr(kind, "BUSY_MILLISECONDS", 50)
    with SqliteGallery(tmp_path / "gallery.db") as gallery:
        gallery.add([new_template("Ada", embedding(0, 0))], CARD)
        other = sqlite3.connect(tmp_path / "gallery.db")
        other.execute("BEGIN IMMEDIATE")
        yield gallery
        other.close()


def test_a_locked_gallery_refuses_a_change_after_the_wait(locked: SqliteGallery) -> None:
    said = "another program is using it: try again"
    with pytest.raises(GalleryUnavailable, match=said) as caught:
        locked.add([new_template("Bob", embedding(1, 0))], CARD)
    assert str(caught.value).isprintable()


def test_a_locked_gallery_can_still_be_read(locked: SqliteGallery) -> None:
    """A gate goes on identifying while someone enrolls, and can even be started."""
    assert [person.name for person in locked.people()] == ["Ada"]
    assert locked.path is not None
    with SqliteGallery(locked.path) as second:
        assert len(second.matrix(CARD).embeddings) == 1


if __name__ == "__main__":
    if sys.argv[2:] == ["full"]:
        enroll_until_full(Path(sys.argv[1]))
    else:
        enroll_until_killed(Path(sys.argv[1]))
