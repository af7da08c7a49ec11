"""Keep a service busy for some minutes while people come and go, and watch its memory.

Run with `PYTHONPATH=tests python tests/benchmarks/soak_service.py SECONDS`. Eileen Collins is
enrolled throughout, Grace Hopper by turns by another process: naming either the other, or an
answer other than 200 or 429, ends the soak. A line every ten seconds says how much memory the
service and its warm process hold.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fake_service import ADMIN, ENTRY, TOKEN, real_service, relaying

from facecli.portraits import eileen_collins, grace_hopper
from facecli.stores.decisions import DecisionLog

REPORT_SECONDS = 10
NAMES = {"Eileen": eileen_collins(), "Grace": grace_hopper()}
COMING_AND_GOING = """
import sys, time
from facecli.cli import cli

while True:
    for words in (["people", "forget", "Grace", "--yes"], ["enroll", "Grace", sys.argv[2]]):
        assert cli.main([*words, "--db", sys.argv[1]], standalone_mode=False) == 0
        time.sleep(1)
"""


class Soak:
    """Clients of a service on a folder, until one finds something wrong."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.done: Counter[str] = Counter()
        self.wrong: str | None = None
        self.over = False

    def keep_asking(self, path: str, name: str) -> None:
        """Ask over HTTP who is in a portrait."""
        while not self.over:
            status, said = self.ask(path, NAMES[name].read_bytes())
            self.done[f"{path.partition('?')[0]} {status}"] += 1
            if status not in (200, 429):
                self.wrong = f"{path}: {status} {said}"
            elif status == 200:
                answers = said["faces"] if isinstance(said, dict) else said
                if named := {one["person"] for one in answers} - {None, name}:
                    self.wrong = f"{name} was called {named}"

    def keep_verifying(self) -> None:
        """Compare the portraits from the command line."""
        surroundings = relaying(self.folder / "run")
        words = [sys.executable, "-P", "-c", ENTRY, "verify", *map(str, NAMES.values())]
        while not self.over:
            code = subprocess.run(words, env=surroundings, capture_output=True).returncode
            self.done[f"verify {code}"] += 1
            if code != 1:
                self.wrong = f"verify: exit code {code}"

    def ask(self, path: str, body: bytes, token: str = TOKEN) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, body, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        connection.close()
        return answer.status, said


def memory(process: int) -> float:
    """Return megabytes of a process that are in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(seconds: float) -> int:
    """Soak, and return 1 if anything was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    with real_service(folder) as (process, port):
        soak = Soak(folder, port)
        for name, photo in NAMES.items():
            assert soak.ask(f"/enroll?name={name}", photo.read_bytes(), ADMIN)[0] == 200
        jobs = [
            (f"{path}{number:032x}" if path[-1] == "=" else path, name)
            for path in ("/identify", "/gate?session=")
            for number, name in enumerate(NAMES)
        ]
        threads = [threading.Thread(target=soak.keep_asking, args=words) for words in jobs]
        threads.append(threading.Thread(target=soak.keep_verifying))
        command = [sys.executable, "-P", "-c", COMING_AND_GOING, str(folder / "gallery.db")]
        with subprocess.Popen([*command, str(NAMES["Grace"])], stdout=subprocess.DEVNULL) as other:
            for thread in threads:
                thread.start()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            watch(soak, seconds, {"service": process.pid, "warm": int(children.split()[0])}, other)
            other.kill()
        soak.over = True
        for thread in threads:
            thread.join()
        with DecisionLog(folder / "decisions.db") as log:
            log.verify()
    sys.stdout.write(f"{soak.wrong or 'nothing was wrong, and the log verifies'}\n")
    return 1 if soak.wrong else 0


def watch(
    soak: Soak, seconds: float, processes: dict[str, int], other: subprocess.Popen[bytes]
) -> None:
    """Report until the time is over or something is wrong."""
    began = time.monotonic()
    while soak.wrong is None and time.monotonic() - began < seconds:
        time.sleep(REPORT_SECONDS)
        if other.poll() is not None:
            soak.wrong = "the other process has ended"
        held = {name: round(memory(one), 1) for name, one in processes.items()}
        report = {"seconds": round(time.monotonic() - began), "megabytes": held, **soak.done}
        sys.stdout.write(f"{json.dumps(report)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
