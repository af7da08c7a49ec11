"""The program's entry: to a warm service if one is running, else the ordinary way."""

from __future__ import annotations

import os
import signal
import sys

RELAYED = {"enroll", "verify", "identify"}
"""Commands that spend most of their time loading networks."""

ALONE = {"serve", "--source"}
"""What runs for long, and has to outlive a service and take signals itself."""


INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""


def main() -> None:
    """Run the program. After Ctrl-C it dies of the signal, so that a shell's loop ends with it."""
    try:
        _open_closed_streams()
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command line was there to explain it
        code = INTERRUPTED
    if code == INTERRUPTED and hasattr(signal, "pthread_kill"):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """Run a command, in a warm service or here, and return its exit code."""
    words = {one.partition("=")[0] for one in arguments}
    if words & RELAYED and not words & ALONE and hasattr(os, "fork"):
        from facecli.warm.client import relayed

        code = relayed(arguments)
        if code is not None:
            return code
    from facecli.cli import run

    return run()


def _open_closed_streams() -> None:
    """Open the null device in place of each standard stream that the caller has closed.

    Otherwise Python has no stream there, and the next file that is opened, perhaps a database,
    gets the number of the stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    main()
