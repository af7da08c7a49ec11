"""The Markdown pages of the repository: their blocks, the commands they show, their links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from facecli.cli import cli
from facecli.cli.cluster import DEFAULT

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY"))]
PAGES += sorted(DOCS.glob("*.md"))

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
SHELL, UNITS = ("sh",), ("ini", "crontab")
"""Kinds of blocks with commands: what is typed, and what systemd and cron run."""


def blocks(text: str, *kinds: str) -> list[str]:
    """Return the contents of a page's blocks of some kinds."""
    return [content for kind, content in BLOCK.findall(text) if kind in kinds]


def prose(text: str) -> str:
    """Return a page without its blocks and comments."""
    return COMMENT.sub("", BLOCK.sub("", text))


def commands_shown(text: str) -> Iterator[list[str]]:
    """Yield the words after `facecli` of every command that a page shows, without comments."""
    lines = "\n".join(blocks(text, *SHELL, *UNITS)).replace("\\\n", " ").splitlines()
    for line in lines:
        for part in re.split(r"&&|\|\|?|;", line.removeprefix("ExecStart=")):
            yield from _after_program(shlex.split(part.strip("() "), comments=True))
    for span in re.findall(r"`(facecli [^`]+)`", prose(text)):
        yield from _after_program(shlex.split(" ".join(span.split())))


def _after_program(words: list[str]) -> Iterator[list[str]]:
    """Yield the words after the program's name, where it is run by its name or by its path."""
    for place, word in enumerate(words):
        if word.endswith("/facecli") or (word == "facecli" and not place):
            yield words[place + 1 :]
            return


def unknown_words(words: list[str]) -> list[str]:
    """Return the commands and options among the words after `facecli` that do not exist."""
    command: click.Command = cli
    options = _options(command)
    unknown = []
    waiting = iter(words)
    for word in waiting:
        name = word.partition("=")[0]
        if word.startswith("-") and word != "-":
            option = options.get(name)
            if option is None:
                unknown.append(word)
            elif "=" not in word and not (option.is_flag or option.count):
                next(waiting, None)
        elif isinstance(command, click.Group):
            below = _below(command, word) or _default(command)
            if below is None:
                return [*unknown, word]
            command = below
            options |= _options(command)
            if default := _default(command):
                options |= _options(default)
    return unknown


def _below(command: click.Command, word: str) -> click.Command | None:
    assert isinstance(command, click.Group)
    return command.get_command(click.Context(command), word)


def _default(command: click.Command) -> click.Command | None:
    """Return the command that runs where its group is given none: `cluster DIR`."""
    return _below(command, DEFAULT) if command.name == "cluster" else None


def _options(command: click.Command) -> dict[str, click.Option]:
    params = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
    options = [one for one in params if isinstance(one, click.Option)]
    return {name: one for one in options for name in (*one.opts, *one.secondary_opts)}


def all_commands(command: click.Command = cli, name: str = "") -> Iterator[str]:
    """Yield the names of every command that does something by itself, such as "people list"."""
    if not isinstance(command, click.Group):
        yield name
        return
    if command.invoke_without_command:
        yield name
    context = click.Context(command)
    for child in command.list_commands(context):
        below = command.get_command(context, child)
        assert below is not None
        yield from all_commands(below, f"{name} {child}".strip())


def links(text: str) -> list[str]:
    """Return where the links of a page lead."""
    return re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(text))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
