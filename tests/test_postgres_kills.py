"""Kill -9 of a client and of the server: nothing acknowledged is lost, and nobody is there by half.

The server's files are not synced here, so these kills prove nothing about a power cut. The
operating system lives on, and what a process has written is with it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import fake_card, new_template
from galleries import unit_vectors
from waiting import until

from facecli.errors import GalleryError
from facecli.stores.contract import GalleryPlace, GalleryStore
from facecli.stores.opening import gallery_at

pytest.importorskip("psycopg")
from postgres_server import new_address, server

pytestmark = pytest.mark.slow

CARD = fake_card()
BATCH = 200
"""People enrolled in one transaction, with two templates each."""

WORK = """
import sys
from test_postgres_kills import *
{work}(gallery_at({url!r}))
"""


def person(batch: int, number: int) -> str:
    return f"batch {batch} person {number}"


def enroll_for_ever(place: GalleryPlace) -> None:
    """Enroll batch after batch; say each one's number once it is stored."""
    vectors = unit_vectors(2 * BATCH)
    with place.open() as gallery:
        start = len(gallery.people()) // BATCH
        for batch in range(start, 100_000):
            templates = [
                new_template(
                    person(batch, number), vectors[2 * number + take], f"{batch}/{number}/{take}"
                )
                for number in range(BATCH)
                for take in (0, 1)
            ]
            gallery.add(templates, CARD)
            print(batch, flush=True)  # noqa: T201 - the test reads it


def forget_for_ever(place: GalleryPlace) -> None:
    """Forget half a batch at a time; say who is left once it is done."""
    with place.open() as gallery:
        while names := [one.name for one in gallery.people()][: BATCH // 2]:
            gallery.forget(names)
            print(len(names), flush=True)  # noqa: T201 - the test reads it


def check(gallery: GalleryStore, unit: int) -> int:
    """Check that people are there whole and by units of so many; return how many units."""
    assert gallery.integrity_check() == []
    people = gallery.people()
    assert len(people) % unit == 0
    assert {one.templates for one in people} <= {2}
    assert len(gallery.matrix(CARD).embeddings) == 2 * len(people)
    return len(people) // unit


def client(url: str, work: str) -> subprocess.Popen[str]:
    """Start a program that works on the gallery until it is killed."""
    paths = [str(Path(__file__).parent), *sys.path]
    return subprocess.Popen(
        [sys.executable, "-c", WORK.format(work=work, url=url)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


def killed(running: subprocess.Popen[str], seconds: float) -> int:
    """Kill a client so long after its first line; return how many lines it wrote."""
    assert running.stdout is not None
    first = running.stdout.readline()
    time.sleep(seconds)
    running.kill()
    rest = running.stdout.read()
    running.wait()
    return len((first + rest).splitlines())


@pytest.mark.parametrize(
    ("work", "unit"), [("enroll_for_ever", BATCH), ("forget_for_ever", BATCH // 2)]
)
def test_a_client_that_is_killed_leaves_what_it_acknowledged(work: str, unit: int) -> None:
    chance = random.Random(7)
    place = gallery_at((address := new_address()).url)
    with place.open(create=True) as gallery:
        before = 0
        if work == "forget_for_ever":
            filled = client(address.url, "enroll_for_ever")
            killed(filled, 2.0)
            until(lambda: gallery.integrity_check() == [])
            before = check(gallery, unit)
        for _ in range(3):
            said = killed(client(address.url, work), chance.uniform(0, 0.4))
            gallery.rename(gallery.people()[0].name, gallery.people()[0].name)  # waits for the dead
            after = check(gallery, unit)
            done = after - before if work == "enroll_for_ever" else before - after
            assert done in (said, said + 1)
            before = after


def test_a_server_that_is_killed_loses_nothing_acknowledged() -> None:
    """One process of the server dies: it ends all connections and recovers from its log."""
    if server().folder is None:
        pytest.skip("the server is not started by the tests")
    chance = random.Random(11)
    place = gallery_at((address := new_address()).url)
    with place.open(create=True):
        pass
    before = 0
    for _ in range(3):
        running = client(address.url, "enroll_for_ever")
        assert running.stdout is not None
        first = running.stdout.readline()
        time.sleep(chance.uniform(0, 0.4))
        os.kill(server().process_of(server().used[-1]), signal.SIGKILL)
        said = len((first + running.stdout.read()).splitlines())
        assert running.wait() != 0
        until(lambda: answers(place))
        with place.open() as gallery:
            after = check(gallery, BATCH)
        assert after - before in (said, said + 1)
        before = after


def answers(place: GalleryPlace) -> bool:
    try:
        return place.exists()
    except GalleryError:
        return False
