"""Run the program with the fake networks, in a process of its own, as `python serving.py ARG…`."""

from __future__ import annotations

import sys

from fakes import FakeDetector, FakeEncoder

from facecli.cli import cli
from facecli.cli.settings import Settings

if __name__ == "__main__":
    cli.main(sys.argv[1:], obj=Settings(detector=FakeDetector(), encoder=FakeEncoder()))
