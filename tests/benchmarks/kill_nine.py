"""Kill -9 what stores something, again and again, and check what is left and how it goes on.

Run with `PYTHONPATH=tests python tests/benchmarks/kill_nine.py [WORK…] --kills 100 --seed 0`. The
works are those of WORKS; without one, all of them. Each prints a line with its counts; the first
thing that is wrong ends the program with the folder that shows it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import kill_service
from kill_works import Deciding, Enrolling, Naming, Training
from killing import Work, kill_often

WORKS: dict[str, Callable[[Path], Work]] = {
    "enroll": lambda _: Enrolling(),
    "naming": Naming,
    "train": Training,
    "gate": lambda _: Deciding(),
}
SERVICE = "serve"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="*", metavar="WORK", help=", ".join([*WORKS, SERVICE]))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in given.works or [*WORKS, SERVICE]:
        began = time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix=f"kill-{name}-"))
        if name == SERVICE:
            report = kill_service.kill_often(folder, kills=given.kills, seed=given.seed)
        else:
            (folder / "own").mkdir()
            work = WORKS[name](folder / "own")
            report = asdict(kill_often(work, folder, kills=given.kills, seed=given.seed))
        seconds = round(time.monotonic() - began)
        sys.stdout.write(json.dumps({"work": name, **report, "seconds": seconds}) + "\n")
        sys.stdout.flush()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
