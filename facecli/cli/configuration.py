"""The configuration file: values of options that are not given on the command line.

It is TOML. A key is the name of an option without its dashes. A key at the top counts for all
commands, one in the table of a command for that command, and one in the table of a group for those
of its commands that have the option: [identify], [evaluate], [people.forget].
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facecli.cli.settings import settings_of
from facecli.errors import FacecliError
from facecli.files import CONFIGURATION, DECISIONS, GALLERY, LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

AnyCallable = TypeVar("AnyCallable", bound="Callable[..., Any]")

EVERYWHERE = ("library", "workers", "log")
"""Keys at the top that not all commands have as an option, beside those that all have."""

VARIABLES = {"db": GALLERY[0], "library": LIBRARY[0], "log": DECISIONS[0]}
"""The environment variables that win over the file, by key."""

SPOKEN = frozenset({"yes", "force", "source", "help", "version"})
"""What a file must not say: answers that are asked for safety, and what makes another command."""

_READ = f"{__name__}.read"
_NO_WORDS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a configuration file says: its keys and tables; none if there is no file."""

    path: Path
    content: Mapping[str, Any]

    def defaults(self, ctx: click.Context) -> dict[str, Any]:
        """Return the values for the options of a command, by the names of its parameters.

        Raises FacecliError, with the file and the key, for a key that is no option and for a value
        that the option does not take.
        """
        root = ctx.find_root()
        top = self._checked(root.command, self.content, root, ())
        found = top if ctx is root else {key: top[key] for key in EVERYWHERE if key in top}
        content, command = self.content, root.command
        words = words_of(ctx)
        for place, word in enumerate(words, start=1):
            content, command = content.get(word, {}), commands_of(command, root, word)[word]
            found |= self._checked(command, content, root, words[:place])
        options = options_of(ctx.command)
        return {
            str(options[key].name): self._value(ctx, options[key], key, value, words)
            for key, value in found.items()
            if key in options and not os.environ.get(VARIABLES.get(key, ""))
        }

    def tables(self, root: click.Context) -> Iterator[tuple[str, str, Any]]:
        """Yield command, key and value of every table, after a check of all of them."""
        waiting: list[tuple[tuple[str, ...], click.Command, Any]] = [
            ((), root.command, self.content)
        ]
        while waiting:
            words, command, content = waiting.pop(0)
            keys, options = self._checked(command, content, root, words), options_of(command)
            for key, value in keys.items():
                if key in options:
                    self._value(root, options[key], key, value, words)
                if words:
                    yield " ".join(words), key, value
            waiting += [
                ((*words, name), inner, content[name])
                for name, inner in commands_of(command, root, *content).items()
            ]

    def _checked(
        self, command: click.Command, content: Any, root: click.Context, words: tuple[str, ...]
    ) -> dict[str, Any]:
        """Return the keys of a table that are no tables; raise FacecliError for unknown ones."""
        if not isinstance(content, dict):
            raise self._refusal(words[-1], "is a command and takes a table", words[:-1])
        keys = {key: value for key, value in content.items() if not isinstance(value, dict)}
        known = set(options_of(command)).union(EVERYWHERE)
        if words and keys:
            known = options_below(command, root)
        inner = command.list_commands(root) if isinstance(command, click.Group) else ()
        for key in content:
            if key in SPOKEN:
                raise self._refusal(key, "counts on the command line only", words)
            if key in keys and key not in known and key not in inner:
                raise self._refusal(key, "there is no such option", words, like=known)
            if key not in keys and key not in inner:
                raise self._refusal(key, "there is no such command", words, like=inner)
            if key in keys and key not in known:
                raise self._refusal(key, "is a command and takes a table", words)
        return keys

    def _value(
        self,
        ctx: click.Context,
        option: click.Option,
        key: str,
        value: Any,
        words: Sequence[str],
    ) -> Any:
        """Return a value as the command line would give it, after a check by the option's type."""
        if option.is_flag is not isinstance(value, bool):
            wanted = "true or false" if option.is_flag else "a value, not true or false"
            raise self._refusal(key, f"takes {wanted}", words)
        if option.multiple is not isinstance(value, list) or isinstance(value, dict):
            raise self._refusal(key, f"takes {'a list' if option.multiple else 'one value'}", words)
        given = [_as_typed(option, one) for one in (value if option.multiple else [value])]
        try:
            option.type_cast_value(ctx, given if option.multiple else given[0])
        except (click.UsageError, TypeError, ValueError) as error:
            reason = error.message if isinstance(error, click.UsageError) else str(error)
            raise self._refusal(key, reason.rstrip("."), words) from error
        return given if option.multiple else given[0]

    def _refusal(
        self, key: str, reason: str, words: Sequence[str] = (), *, like: Any = ()
    ) -> FacecliError:
        from difflib import get_close_matches

        table = f"[{'.'.join(words)}] " if words else ""
        close = get_close_matches(key, list(like), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return FacecliError(f"{self.path}: {table}{key}: {reason}{hint}")


class FromFile(click.Parameter):
    """Takes nothing from the command line: it sets the defaults of a command from the file.

    It is eager, so that it comes before the other options. --help is before it, as it is given.
    """

    param_type_name = "configuration"

    def __init__(self) -> None:
        super().__init__(["configuration"], is_eager=True, expose_value=False)

    def _parse_decls(self, decls: Any, expose_value: bool) -> tuple[str, list[str], list[str]]:  # noqa: ARG002
        return decls[0], [], []

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Add nothing."""

    def handle_parse_result(
        self,
        ctx: click.Context,
        opts: Mapping[str, Any],  # noqa: ARG002
        args: list[str],
    ) -> tuple[None, list[str]]:
        """Set the defaults; none while a shell completes a word."""
        if not ctx.resilient_parsing:
            _refuse_ignored(ctx)
        if not ctx.resilient_parsing and (configuration := in_force(ctx)).content:
            ctx.default_map = configuration.defaults(ctx)
        return None, args


def _refuse_ignored(ctx: click.Context) -> None:
    """Refuse a shared option before the command's name that the command does not take."""
    if isinstance(ctx.command, click.Group):
        return
    taken = {one.name for one in ctx.command.params}
    for option in options_of(ctx.find_root().command).values():
        if option.name in settings_of(ctx).given - taken:
            raise click.UsageError(f"{option.opts[-1]} has no effect with {ctx.command_path}.", ctx)


def from_file(function: AnyCallable) -> AnyCallable:
    """Let a command take what is not given on the command line from the configuration file."""
    options = [*getattr(function, "__click_params__", []), FromFile()]
    setattr(function, "__click_params__", options)  # noqa: B010 - Click reads it
    return function


def in_force(ctx: click.Context) -> Configuration:
    """Return the configuration of this run, which is read once."""
    if _READ not in ctx.meta:  # all contexts of a run share it
        place = configuration_file()
        read = read_configuration if settings_of(ctx).reads_configuration else _nothing
        ctx.meta[_READ] = read(place)
    configuration: Configuration = ctx.meta[_READ]
    return configuration


def read_configuration(path: Path) -> Configuration:
    """Read a file; no file is an empty one. Raises FacecliError if it cannot be read."""
    if not os.path.lexists(path):
        return _nothing(path)
    import tomllib

    try:
        return Configuration(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FacecliError(f"{path}: not a TOML file: {reason}") from error


def _nothing(path: Path) -> Configuration:
    return Configuration(path, {})


def configuration_file() -> Path:
    """Return the path of the file, which need not exist."""
    variable, name = CONFIGURATION
    if named := os.environ.get(variable):
        return Path(named)
    import platformdirs

    return platformdirs.user_config_path("facecli") / name


def words_of(ctx: click.Context) -> tuple[str, ...]:
    """Return the words of a command, without the program's name."""
    words: list[str] = []
    while ctx.parent is not None:
        words.insert(0, str(ctx.info_name))
        ctx = ctx.parent
    return tuple(words)


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by their keys."""
    return {
        max(one.opts, key=len).lstrip("-"): one
        for one in command.params
        if isinstance(one, click.Option)
    }


def options_below(command: click.Command, root: click.Context) -> set[str]:
    """Return the keys of a command and of all commands below it."""
    names = command.list_commands(root) if isinstance(command, click.Group) else ()
    inner = commands_of(command, root, *names).values()
    return set(options_of(command)).union(*(options_below(one, root) for one in inner))


def commands_of(
    command: click.Command, root: click.Context, *names: str
) -> dict[str, click.Command]:
    """Return those of the named commands that a command has below it."""
    if not isinstance(command, click.Group):
        return {}
    return {name: one for name in names if (one := command.get_command(root, name)) is not None}


def _as_typed(option: click.Option, value: Any) -> Any:
    """Return a value as it would be typed: a path with the user's home folder."""
    if isinstance(option.type, click.Path):
        return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111
    return str(value) if option.type is click.STRING else value
