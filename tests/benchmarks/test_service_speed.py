"""What a warm service saves a command, and how many questions it answers at 10,000 people.

Run with `pytest tests/benchmarks/test_service_speed.py --benchmark-only -n 0 -s`.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fake_service import ENTRY, TOKEN, real_service, relaying
from fakes import new_template
from pytest_benchmark.fixture import BenchmarkFixture

from facecli.models import DIMENSION
from facecli.models.encoders import DEFAULT_MODEL, read_card
from facecli.portraits import eileen_collins, grace_hopper
from facecli.stores.gallery.sqlite.store import SqliteGallery

PEOPLE = 10_000
CLIENTS, QUESTIONS = 8, 160
SECOND_VERIFY_SECONDS = 0.15

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """Run a service that knows 10,000 people; yield the folder of its sockets and its port."""
    folder = tmp_path_factory.mktemp("service")
    vectors = np.random.default_rng(0).standard_normal((PEOPLE, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with SqliteGallery(folder / "gallery.db") as gallery:
        people = [new_template(f"p{row}", vector) for row, vector in enumerate(vectors)]
        gallery.add(people, read_card(DEFAULT_MODEL))
    with real_service(folder) as (_, port):
        yield folder / "run", port


def test_a_second_verify_from_the_shell(
    benchmark: BenchmarkFixture, service: tuple[Path, int]
) -> None:
    """Python's start, the way to the service and back, and the answer to both photos."""
    photos = [str(grace_hopper()), str(eileen_collins())]

    def verify() -> int:
        command = [sys.executable, "-P", "-c", ENTRY, "verify", *photos]
        return subprocess.run(command, capture_output=True, env=relaying(service[0])).returncode

    verify()
    assert benchmark.pedantic(verify, rounds=20) == 1  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    # The fastest: this is about the program, not about who else uses the machine.
    assert benchmark.stats.stats.min < SECOND_VERIFY_SECONDS


def test_python_alone(benchmark: BenchmarkFixture) -> None:
    """What any program in Python takes to start and stop here."""
    benchmark.pedantic(subprocess.run, args=([sys.executable, "-P", "-c", ""],), rounds=20)  # type: ignore[no-untyped-call]


def test_identify_under_load(benchmark: BenchmarkFixture, service: tuple[Path, int]) -> None:
    """Eight clients at once get what they would get one by one."""
    photos = [grace_hopper().read_bytes(), eileen_collins().read_bytes()]
    alone = [_identify(service[1], photo)[0] for photo in photos]
    assert b'"unknown"' in alone[0] + alone[1]
    taken: list[float] = []

    def ask(number: int) -> bool:
        answer, seconds = _identify(service[1], photos[number % 2])
        taken.append(seconds)
        return answer == alone[number % 2]

    def load() -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            assert all(pool.map(ask, range(QUESTIONS)))

    benchmark.pedantic(load, rounds=1)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    p50, p99 = np.percentile(taken, [50, 99])
    benchmark.extra_info["requests/s"] = QUESTIONS / benchmark.stats.stats.mean
    benchmark.extra_info["p50 s"], benchmark.extra_info["p99 s"] = p50, p99


def _identify(port: int, photo: bytes) -> tuple[bytes, float]:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/identify", photo, {"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200
    return content, time.monotonic() - began
