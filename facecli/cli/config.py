"""`facecli config`: show what the options are when the command line does not give them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.configuration import VARIABLES, in_force, options_of
from facecli.cli.gate import log_database
from facecli.cli.options import command_options, library_options
from facecli.cli.output import emit_all, shown, table
from facecli.cli.settings import Settings, pass_settings
from facecli.records import configuration as records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facecli.records.configuration import SettingRecord


@click.group()
def config() -> None:
    """Show the configuration file and the values in force."""


@config.command()
@library_options
@command_options
@pass_settings
@click.pass_context
def show(ctx: click.Context, settings: Settings) -> None:
    """Show the configuration file, and where each value in force comes from.

    The file is TOML. A key is the name of an option without its dashes. A key at the top counts for
    all commands, one in a table such as [identify] or [people.forget] for that command only. The
    command line wins over the environment, the environment over the file. An unknown key is an
    error.
    """
    configuration = in_force(ctx)
    there = os.path.lexists(configuration.path)
    root = ctx.find_root()
    in_tables = [
        records.setting(key, _shown(key, value), "file", command=command)
        for command, key, value in configuration.tables(root)
    ]
    found = [*_everywhere(ctx, settings), *in_tables]
    head = f"{shown(configuration.path)}{'' if there else ' (there is no such file)'}"
    rows = [(one["command"] or "", one["key"], one["value"] or "", one["origin"]) for one in found]
    record = records.configuration_file(str(configuration.path), there=there)
    emit_all([record, *found], f"{head}\n\n{table(('command', 'option', 'value', 'from'), rows)}")


def _everywhere(ctx: click.Context, settings: Settings) -> Iterator[SettingRecord]:
    """Yield the options that all or most commands have."""
    content = in_force(ctx).content
    for key, option in options_of(ctx.command).items():
        if key in ("help", "version"):
            continue
        variable = VARIABLES.get(key, "")
        origin = "default"
        if option.name in settings.given:
            origin = "flag"
        elif os.environ.get(variable):
            origin = f"environment {variable}"
        elif key in content:
            origin = "file"
        yield records.setting(key, _value(settings, key, str(option.name)), origin)
    yield _log(content)


def _log(content: Any) -> SettingRecord:
    """Return where the log of decisions is; the gate's commands alone have the option."""
    variable = VARIABLES["log"]
    if os.environ.get(variable):
        return records.setting("log", str(log_database(None)), f"environment {variable}")
    if "log" in content:
        return records.setting("log", content["log"], "file")
    return records.setting("log", str(log_database(None)), "default")


def _shown(key: str, value: Any) -> Any:
    """Return a value of the file without a password, which a gallery's URL may have."""
    from facecli.stores.address import safe_to_show

    return safe_to_show(value) if key == "db" and isinstance(value, str) else value


def _value(settings: Settings, key: str, name: str) -> Any:
    """Return the value in force; None if the model or the calibration decides."""
    whole = {
        "db": settings.database,
        "library": settings.library_database,
        "model": settings.model_name,
    }
    value = whole[key] if key in whole else getattr(settings, name)
    return value if value is None or isinstance(value, bool | int | float) else str(value)
