"""Kill -9 at any moment: nothing acknowledged is lost, and the next run goes on to the same end.

The same with a hundred kills of each is `benchmarks/kill_nine.py`, which says how it is done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PROGRAM = HERE / "benchmarks" / "kill_nine.py"


@pytest.mark.parametrize(
    ("work", "kills"), [("enroll", 6), ("naming", 6), ("gate", 6), ("train", 2), ("serve", 2)]
)
def test_work_that_is_killed_goes_on_to_the_same_end(work: str, kills: int, tmp_path: Path) -> None:
    """In a process of its own: what forks may have no threads."""
    command = [sys.executable, str(PROGRAM), work, "--kills", str(kills)]
    paths = os.pathsep.join((str(HERE), os.environ.get("PYTHONPATH", str(HERE.parent))))
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    counts = ("moments", "events", "under_load", "early")
    assert sum(report.get(count, 0) for count in counts) == kills
