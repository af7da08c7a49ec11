"""Names of enrolled people, for a shell that completes a command."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from facecli.cli.settings import settings_of

if TYPE_CHECKING:
    import click

MOST_NAMES = 500
"""Names offered at a time; type more letters to see the others."""

_SPECIAL = re.compile(r"([^\w./+@%-])")
"""What means something to bash, such as a space."""

_OPEN_QUOTE = re.compile(r"""(?:^|\s)["'][^"']*$""")
"""The word that is being typed is in quotes."""


def complete_name(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - Click defines the signature
    incomplete: str,
) -> list[CompletionItem]:
    """Return the enrolled people whose names begin with a text; none if the gallery has trouble."""
    try:
        from facecli.stores.opening import names_beginning

        names = names_beginning(settings_of(ctx).database, incomplete, MOST_NAMES)
    # Somebody is typing: an error would destroy the line. The command itself will tell.
    except Exception:
        return []
    return [CompletionItem(_for_shell(name)) for name in names]


def _for_shell(name: str) -> str:
    """Return a name as its shell inserts it; zsh and fish put the backslashes themselves.

    Click's script for bash reads each backslash as the beginning of an escape, so there are two.
    """
    if not os.environ.get("_FACECLI_COMPLETE", "").startswith("bash"):
        return name
    if _OPEN_QUOTE.search(os.environ.get("COMP_WORDS", "")):
        return name
    return _SPECIAL.sub(r"\\\\\1", name)
