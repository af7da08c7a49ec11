"""`facecli cluster`: sort the faces of a folder into people, and correct the result."""

from __future__ import annotations

import importlib

import click

from facecli.cli.lazy import LazyGroup

DEFAULT = "photos"
COMMANDS = {
    "photos": "Sort the faces in photos into people.",
    "review": "Correct clusters in a browser on this machine.",
    "name": "Name the person of a cluster.",
    "merge": "Merge clusters of the same person.",
    "split": "Split off faces that are another person.",
    "move": "Move faces from one cluster to another.",
    "not-same": "Mark two clusters as different people.",
    "undo": "Undo the last correction.",
    "log": "List the corrections in force.",
}
"""Each command with the first line of its help."""

ELSEWHERE = {"photos": "photos", "review": "review"}
"""The commands with their own module. The others are in `corrections`."""


class ClusterGroup(LazyGroup):
    """Runs the default command unless the first word is another command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command if no command is named."""
        asks_help = set(args[:1]) & set(ctx.help_option_names)
        if args and args[0] not in self.table and not asks_help:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in self.table:
            return None
        module = ELSEWHERE.get(cmd_name, "corrections")
        found = getattr(
            importlib.import_module(f"{self.package}.{module}"), cmd_name.replace("-", "_")
        )
        assert isinstance(found, click.Command)
        return found


@click.group(
    cls=ClusterGroup,
    package=__name__,
    table=COMMANDS,
    subcommand_metavar="DIR|PHOTO… | COMMAND …",
)
def cluster() -> None:
    """Sort the faces of a folder into people, and correct the result.

    \b
    facecli cluster holiday/
    facecli cluster name 3 "Ada Lovelace"
    facecli cluster merge 3 17

    Clusters keep their numbers from run to run, and every later run obeys your corrections. If a
    folder has the name of a command, write ./name.
    """  # noqa: D301 - Click reads \b
