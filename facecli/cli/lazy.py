"""A group of commands that are imported only when they are run."""

from __future__ import annotations

import importlib
from typing import Any

import click


class LazyGroup(click.Group):
    """Imports a command when it is run. Each is in a module of the same name in `package`.

    `table` holds the first line of each command's help, so that the group's help imports no
    command. A test compares it with the commands' own help. Some arguments are unused, since Click
    defines the signatures.
    """

    def __init__(self, *, package: str, table: dict[str, str], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.package = package
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which a new user needs them."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in self.table:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"{self.package}.{name}")
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a name; for a mistyped name, suggest the nearest one."""
        known = self.get_command(ctx, args[0]) is not None or args[0].startswith("-")
        if not known and not ctx.resilient_parsing:  # no complaint while somebody is typing
            # Imported here, since only a mistake needs it.
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.table, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))
