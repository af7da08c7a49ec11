"""The command line: a group that imports a command only when it is run."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from facecli import __version__
from facecli.cli.lazy import LazyGroup
from facecli.cli.options import command_options
from facecli.cli.output import complain, is_plain, unanswered
from facecli.cli.settings import Settings
from facecli.errors import known_reason, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
READER_GONE = 141
"""The exit code that a shell reports for a program ended by SIGPIPE."""

COMMANDS = {
    "enroll": "Enroll people from one or more photos each.",
    "verify": "Check whether two photos show the same person.",
    "identify": "Find enrolled people in photos or in a video stream.",
    "cluster": "Sort the faces of a folder into people, and correct the result.",
    "people": "List, rename, merge, forget, export, import and copy enrolled people.",
    "people-folder": "Show who is in a folder of people, and what is passed over.",
    "embed": "Compute the embedding of each face, for other programs.",
    "library": "Show or erase what facecli remembers about photos.",
    "log": "Show, check, export and prune the gate's decisions.",
    "evaluate": "Measure a model on your own photos.",
    "calibrate": "Set the threshold from your own photos, for a false match rate.",
    "train-verifier": "Train a logistic verifier on the difference of two embeddings.",
    "models": "List, describe, import and export face models.",
    "train": "Train your own network on photos of people, or of anything.",
    "backup": "Write a checked copy of a database, while other programs use it.",
    "restore": "Put a backup in the place of a database, while other programs use it.",
    "serve": "Run an HTTP service with a camera page, and make other commands faster.",
    "config": "Show the configuration file and the values in force.",
    "doctor": "Check the installation, the model and the database.",
    "demo": "Try all of facecli on two public-domain portraits, offline.",
}
"""Each command with the first line of its help; its module in `facecli.cli` has the same name.

It is written here so that `facecli --help` imports no command. A test compares it with the
commands' own help.
"""


class Program(LazyGroup):
    """The group of all commands. It turns every failure into one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code.

        The codes are 0 for done or same, 1 for different or unknown, 2 for an error and 130 for
        interrupted. Tests and the demo pass their own `Settings` as `obj`. If `standalone_mode` is
        false, the exit code is returned instead.
        """
        settings = extra.get("obj") or Settings()
        extra["obj"] = settings
        if is_plain():
            extra["color"] = False
        _never_fail_to_print()
        stdout = sys.stdout
        try:
            code = super().main(args, prog_name or "facecli", complete_var, False, **extra)
            code = code if isinstance(code, int) else 0
        except SystemExit as error:
            # When a pipe is closed, Click replaces stdout by one that ignores the error and exits
            # with 1. For facecli, 1 would mean "different".
            code = error.code if sys.stdout is stdout else READER_GONE
        except BaseException as error:
            code = _failure(error, settings)
        finally:
            settings.close()
        if (lost := _lost_answer()) is not None and code != 2:
            complain(unanswered(lost))
            code = 2
        if standalone_mode:
            sys.exit(code)
        return code


def _never_fail_to_print() -> None:
    """Print the escape of a character that the terminal cannot show, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _lost_answer() -> OSError | None:
    """Return why stdout does not take what waits to be written, or None if it takes it.

    What it does not take goes to the null device, since Python would try it again at its end.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return None if error.errno == errno.EPIPE else error
    return None


def _failure(error: BaseException, settings: Settings) -> int:
    """Explain a failure in one line on stderr and return the exit code."""
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    if isinstance(error, click.exceptions.Abort):
        interrupted = isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)
        complain("interrupted" if interrupted else "stopped")
        return INTERRUPTED if interrupted else 2
    if settings.verbose:
        import traceback

        click.echo(traceback.format_exc(), err=True)
    complain(_reason(error))
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2


def _reason(error: BaseException) -> str:
    """Return what went wrong, in words that a user understands."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    hint = "run again with -v for the traceback"
    return known_reason(error) or f"a bug in facecli: {reason_of(error)} ({hint})"


@click.group(
    cls=Program,
    package=__name__,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="facecli")
@command_options
def cli() -> None:
    """Verify, identify, enroll and cluster faces, on this machine alone.

    Every number facecli compares is a squared L2 between unit vectors: 0 for the same picture,
    at most 4, lower is more alike.
    """


def run() -> int:
    """Run the program with the arguments it was called with, and return its exit code."""
    code: int = cli.main(standalone_mode=False)
    return code


def main() -> None:
    """Run the program here, without a warm service."""
    sys.exit(run())
