"""The options that commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facecli.cli.configuration import from_file
from facecli.cli.settings import MOST_WORKERS, settings_of
from facecli.files import GALLERY, LIBRARY
from facecli.models import DEFAULT_DETECTOR, DETECTORS, NO_DETECTOR, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.types import OptionHelpExtra


MAX_SQUARED_L2 = 4.0
MOST_WHOLE = 10**9
"""The largest whole number that an option takes. SQLite fails beyond 2**63."""

AUTOMATIC = "auto"
DEVICES = ("cpu", "cuda", "mps", "auto")

PICTURES = click.Path(readable=False, path_type=Path)
"""Photos and folders of photos. One that may not be read is reported when its turn comes, and the
others are done; Click itself would stop at once."""

AnyCallable = TypeVar("AnyCallable", bound="Callable[..., Any]")


class Range(click.FloatRange):
    """Numbers between two limits. NaN is refused, which Click accepts."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; raise BadParameter if it is not a number or outside the limits."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


class Whole(click.IntRange):
    """Whole numbers that a count, a cluster or a number of days can be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; raise BadParameter if it is outside the limits."""
        number = int(super().convert(value, param, ctx))
        if number > MOST_WHOLE:
            self.fail(f"{number} is larger than {MOST_WHOLE:,}.", param, ctx)
        return number


class DetectorName(click.Choice[str]):
    """The names of detectors. `none` passes also where it is not offered.

    There the model refuses it, in one line that says what it looks at.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; raise BadParameter for an unknown one."""
        return NO_DETECTOR if value == NO_DETECTOR else super().convert(value, param, ctx)


class Where(click.Path):
    """Where a gallery is: a path, or the URL of a server. An error never shows a URL as given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the location; raise BadParameter for a folder, and GalleryError for other URLs."""
        from facecli.stores.address import PostgresAddress, located

        found = located(value) if isinstance(value, str) else value
        return found if isinstance(found, PostgresAddress) else super().convert(found, param, ctx)


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store an option in the settings if it was given. An option after the command name wins."""
    from click.core import ParameterSource

    assert param.name is not None
    source, settings = ctx.get_parameter_source(param.name), settings_of(ctx)
    if source is ParameterSource.DEFAULT:
        return
    if source is ParameterSource.COMMANDLINE:
        settings.given.add(param.name)
    elif param.name in settings.given:
        return  # the command line wins over the file, wherever the option stands
    setattr(settings, param.name, value)


class Option(click.Option):
    """An option whose default may be described in words, shown as Click shows values."""

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Return what stands in brackets after the help, without parentheses around words."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra


def _shared(*names: str, **attributes: Any) -> Callable[[AnyCallable], AnyCallable]:
    return click.option(*names, cls=Option, expose_value=False, callback=_remember, **attributes)


SHARED = {
    "db": _shared(
        "--db",
        type=Where(dir_okay=False, path_type=Path),
        metavar="PATH|URL",
        help="The database of enrolled people: a file, or postgresql://USER@HOST/DATABASE.",
        show_default=f"${GALLERY[0]}, or {GALLERY[1]} in the user's data folder",
    ),
    "model": _shared(
        "--model",
        metavar="NAME|FILE",
        help="The model: its name, or a checkpoint file.",
        show_default="facecli-128",
    ),
    "threshold": _shared(
        "--threshold",
        type=Range(0.0, MAX_SQUARED_L2),
        metavar="SQUARED_L2",
        help="The largest squared L2 that counts as the same person.",
        show_default="as calibrated, or the model's own",
    ),
    "device": _shared(
        "--device",
        type=click.Choice(DEVICES),
        default="cpu",
        show_default=True,
        help="Where the networks run.",
    ),
    "detector": _shared(
        "--detector",
        "detector_name",
        type=DetectorName(DETECTORS),
        default=DEFAULT_DETECTOR,
        show_default=True,
        help="What finds the faces. mtcnn needs the extra 'train'.",
    ),
    "precision": _shared(
        "--precision",
        type=click.Choice(PRECISIONS),
        default=PRECISIONS[0],
        show_default=True,
        help="Arithmetic for many faces. bf16 needs the extra 'openvino'; a pair's squared L2 then "
        "moves by up to 0.01.",
    ),
    "json": _shared("--json", is_flag=True, help="Write JSON lines to stdout, and nothing else."),
    "verbose": _shared("-v", "--verbose", is_flag=True, help="Print more details, and tracebacks."),
    "quiet": _shared(
        "--quiet", is_flag=True, help="Print no notes and no progress: only warnings and errors."
    ),
    "no-progress": _shared("--no-progress", is_flag=True, help="Show no progress."),
}
"""The shared options by name."""

OF_ALL = ("db", "json", "verbose", "quiet", "no-progress")
"""Those that every command takes.

--db is one: it says in which gallery the user works, as FACECLI_DB does, and a command that asks no
gallery does not disobey it.
"""

NETWORKS = ("model", "device", "detector", "precision")
"""Those of a command that looks at photos, and neither asks the gallery nor decides."""


training_detector_option = _shared(
    "--detector",
    "detector_name",
    type=DetectorName((*DETECTORS, NO_DETECTOR)),
    default=DEFAULT_DETECTOR,
    show_default=True,
    help="What finds the faces. mtcnn needs the extra 'train'. none: the model looks at whole "
    "pictures, of anything.",
)
"""--detector of training, the one command that offers none: no model says yet what it looks at."""


library_option = _shared(
    "--library",
    "library_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="The database of faces already found in photos.",
    show_default=f"${LIBRARY[0]}, or {LIBRARY[1]} in the user's data folder",
)
"""Which photo library a command uses."""

workers_option = _shared(
    "--workers",
    type=Whole(min=1),
    metavar="N",
    help="Number of processes that look for faces.",
    show_default=f"one per core, at most {MOST_WORKERS}",
)


def refuse_with(ctx: click.Context, mode: str, *names: str) -> None:
    """Refuse the options given to this command that have no effect in a mode, such as --show."""
    for option in ctx.command.params:
        name = option.name
        if name in names and (is_given(ctx, name) or name in settings_of(ctx).given):
            raise click.UsageError(f"{option.opts[-1]} has no effect with {mode}.", ctx=ctx)


def is_given(ctx: click.Context, name: str) -> bool:
    """Tell whether the command line gave an option of this command."""
    from click.core import ParameterSource

    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def options_for(*names: str) -> Callable[[AnyCallable], AnyCallable]:
    """Return a decorator that adds the shared options of these names, and those of all commands.

    A command takes the options that it obeys, and no other: one that it ignored would look obeyed.
    """

    def add(function: AnyCallable) -> AnyCallable:
        for name in reversed(SHARED):
            if name in names or name in OF_ALL:
                function = SHARED[name](function)
        return from_file(function)

    return add


command_options = options_for(*SHARED)
"""Adds all shared options. They are accepted before and after the command's name."""


def library_options(function: AnyCallable) -> AnyCallable:
    """Add the options of commands that look through many photos."""
    return library_option(workers_option(function))


def cluster_count(function: AnyCallable) -> AnyCallable:
    """Add --k. The command receives `k`: a number of clusters, or None for auto."""
    return click.option(
        "--k",
        callback=_count,
        default=AUTOMATIC,
        show_default=True,
        metavar="N|auto",
        help="Number of clusters. auto: the threshold decides.",
    )(function)


def _count(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == AUTOMATIC:
        return None
    if not value.isdecimal() or len(value) > len(str(MOST_WHOLE)) or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number nor auto.", ctx=ctx, param=param)
    return int(value)
