"""The program's entry: to a warm service if one is running, else the ordinary way."""

from __future__ import annotations

import os
import sys

RELAYED = {"enroll", "verify", "identify"}
"""Commands that spend most of their time loading networks."""

ALONE = {"serve", "--source"}
"""What runs for long, and has to outlive a service and take signals itself."""


def main() -> None:
    """Run the program."""
    arguments = sys.argv[1:]
    words = {one.partition("=")[0] for one in arguments}
    if words & RELAYED and not words & ALONE and hasattr(os, "fork"):
        from facecli.warm.client import relayed

        code = relayed(arguments)
        if code is not None:
            sys.exit(code)
    from facecli.cli import main as run

    run()


if __name__ == "__main__":
    main()
