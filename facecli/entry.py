"""The program's entry: to a warm service if one is running, else the ordinary way."""

from __future__ import annotations

import os
import sys

RELAYED = {"enroll", "verify", "identify"}
"""Commands that spend most of their time loading networks."""


def main() -> None:
    """Run the program."""
    arguments = sys.argv[1:]
    if RELAYED.intersection(arguments) and "serve" not in arguments and hasattr(os, "fork"):
        from facecli.relay import relayed

        code = relayed(arguments)
        if code is not None:
            sys.exit(code)
    from facecli.cli import main as run

    run()
