"""The README and the pages under docs/ tell the truth: commands, links and generated parts."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from cogapp import Cog

from facecli.cli import cli
from facecli.cli.cluster import DEFAULT

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))][1:]
GENERATED = ["docs/commands.md", "docs/models.md"]
SET_UP = ["pip install '.[demo]' && facecli demo", "pip install '.[test]' && pytest"]
MOST_BYTES = 10_000


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def shell_blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", GENERATED)
def test_generated_parts_are_up_to_date(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If this fails: cog -r docs/commands.md docs/models.md."""
    monkeypatch.setenv("XDG_DATA_HOME", "/nonexistent")  # a user's own models do not count
    assert Cog().main(["cog", "--check", str(ROOT / page)]) == 0, capsys.readouterr().out


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= MOST_BYTES


def test_the_first_commands_are_the_two_that_ci_runs() -> None:
    assert [block.strip() for block in shell_blocks(README)[:2]] == SET_UP
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet ", "")
    for command in SET_UP:
        assert command in ci


def commands_shown() -> Iterator[tuple[str, list[str]]]:
    """Yield the words after `facecli` of every command in a shell block, with its page."""
    for page in PAGES:
        for line in "\n".join(shell_blocks(page)).replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\|?|;", line):
                words = shlex.split(part.strip("() "), comments=True)
                if words and words[0] == "facecli":
                    yield page.name, words[1:]


@pytest.mark.parametrize(("page", "words"), list(commands_shown()))
def test_every_command_shown_exists_with_its_options(page: str, words: list[str]) -> None:
    command: click.Command = cli
    known = options_of(cli)
    given = iter(words)
    for word in given:
        if word.startswith("-") and word not in ("-", "--help"):
            assert word in known
            if known[word]:
                next(given)
        elif isinstance(command, click.Group):
            below = command.get_command(click.Context(command), word)
            if below is None and command.name == "cluster":
                below = command.get_command(click.Context(command), DEFAULT)
            assert below is not None, word
            command = below
            known |= options_of(command)


def options_of(command: click.Command) -> dict[str, bool]:
    """Return the options of a command, and whether each takes a value."""
    return {
        name: isinstance(param, click.Option) and not param.is_flag
        for param in command.params
        for name in param.opts
        if name.startswith("-")
    }


def test_every_command_has_its_help_in_the_reference() -> None:
    reference = text_of(ROOT / "docs" / "commands.md")

    def names(command: click.Command, name: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            for child in command.list_commands(click.Context(command)):
                below = command.get_command(click.Context(command), child)
                assert below is not None
                yield from names(below, f"{name} {child}")
        else:
            yield name

    missing = [name for name in names(cli, "facecli") if f"`{name}`\n" not in reference]
    assert missing == []


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|<!--.*?-->", "", text_of(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text_of(there), re.MULTILINE)
            assert anchor in map(slug, headings), target


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'<(?:link|script|img)[^>]+(?:src|href)="https?://(?!localhost)', html)


def test_the_container_runs_as_an_ordinary_user_with_a_health_check() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split()[0] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert re.fullmatch(r"FROM python:\d+\.\d+\.\d+-\S+", next(x for x in lines if x[:4] == "FROM"))
    assert steps.index("USER") < steps.index("ENTRYPOINT")
    assert "USER root" not in lines[lines.index("USER facecli") :]
    assert {"VOLUME", "HEALTHCHECK", "EXPOSE"} <= set(steps)
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    for source in (name for names in copied for name in names):
        assert (ROOT / source).exists(), source


def test_the_version_is_in_the_changelog() -> None:
    from facecli import __version__

    changes = text_of(ROOT / "CHANGELOG.md")
    assert "## [Unreleased]" in changes or f"## [{__version__}]" in changes


def test_no_page_names_what_only_one_machine_has() -> None:
    for page in PAGES:
        assert not re.search(r"/work/|/root/|/home/\w", text_of(page)), page
