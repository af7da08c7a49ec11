"""Clustering and corrections killed at any moment leave clusters as they were before or after."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import THRESHOLD, embedded, embedding

from facecli.albums.corrections import Corrections
from facecli.albums.sorting import group
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore

pytestmark = pytest.mark.slow

PICTURES = [
    embedded(f"{plane} {step}", embedding(plane, step), embedding(plane + 8, step))
    for plane, step in itertools.product(range(6), range(15))
]


def sort_and_correct(database: Path) -> None:
    """Cluster, merge the first two people and undo that, for ever; say what is about to happen."""
    with Library(database) as library:
        store = AlbumStore(library)
        while True:
            for what, act in (
                ("cluster", lambda: group(PICTURES, store=store, threshold=THRESHOLD)),
                ("merge", lambda: Corrections(store).merge(1, [3])),
                ("undo", lambda: Corrections(store).undo()),
            ):
                sys.stdout.write(what + "\n")
                sys.stdout.flush()
                act()


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_leaves_one_whole_state(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    database = tmp_path / "photos.db"
    command = [sys.executable, __file__, str(database)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert running.stdout is not None
    for _ in range(chance.randrange(4, 12)):
        running.stdout.readline()
    time.sleep(chance.uniform(0, 0.03))
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    with Library(database, create=False) as library:
        with library.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        store = AlbumStore(library)
        merged = len(store.corrections())
        assert merged in (0, 1)
        sizes = sorted(len(store.members(number)) for number in range(1, 13))
        assert sizes == ([0, *[15] * 10, 30] if merged else [15] * 12)
        assert bool(store.facts()) == bool(merged)
        group(PICTURES, store=store, threshold=THRESHOLD)
        if merged:
            Corrections(store).undo()
        assert [len(store.members(number)) for number in range(1, 13)] == [15] * 12


if __name__ == "__main__":
    sort_and_correct(Path(sys.argv[1]))
