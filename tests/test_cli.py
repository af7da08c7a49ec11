"""The frame of the command line: options, exit codes, errors, and what is safe to show."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from facecli.cli import COMMANDS, cli
from facecli.cli.configuration import options_of
from facecli.cli.lazy import LazyGroup
from facecli.cli.options import command_options
from facecli.cli.output import confirmed, emit, progress, shown, table, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import PictureError
from facecli.records.embedding import failure

Install = Callable[[Callable[[], None]], None]


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a command called `probe` in place of the real ones."""

    def put(function: Callable[[], None]) -> None:
        command = click.command("probe")(command_options(function))
        monkeypatch.setattr(LazyGroup, "get_command", lambda *_: command)

    return put


def raising(error: BaseException) -> Callable[[], None]:
    def probe() -> None:
        raise error

    return probe


def test_every_table_of_commands_says_what_each_command_says_of_itself() -> None:
    def check(group: LazyGroup) -> None:
        context = click.Context(group)
        for name, line in group.table.items():
            command = group.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert command.help is not None
            assert command.help.splitlines()[0] == line
            if isinstance(command, LazyGroup):
                check(command)

    assert isinstance(cli, LazyGroup)
    check(cli)


def leaves(command: click.Command, name: str) -> list[str]:
    """Return the full names of the commands at and below one."""
    if not isinstance(command, click.Group):
        return [name]
    context = click.Context(command)
    below = {child: command.get_command(context, child) for child in command.list_commands(context)}
    return [leaf for child, one in below.items() if one for leaf in leaves(one, f"{name} {child}")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_options_about_its_output(name: str, runner: CliRunner) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for leaf in leaves(command, name):
        helped = runner.invoke(cli, [*leaf.split(), "--help"])
        assert helped.exit_code == 0
        for option in ("--db", "--json", "-v", "--quiet", "--no-progress"):
            assert option in helped.output, leaf


DECIDING = {"model", "threshold", "device", "detector", "precision"}
"""The shared options of a command that looks at photos and decides about people."""

TAKEN: dict[str, set[str]] = {
    "people": set(),
    "people export": {"model"},
    "people import": {"model", "threshold"},
    "backup": set(),
    "restore": set(),
    "people-folder": set(),
    "library": set(),
    "log": set(),
    "embed": DECIDING - {"threshold"},
    "train-verifier": DECIDING - {"threshold"},
    "train": {"model", "device", "detector"},  # --model is refused there, and says what to give
    "calibrate": DECIDING - {"threshold"},
    "doctor gallery": {"model", "threshold"},
    "models": set(),
    "models info": {"model"},
    "models export": {"model"},
    "cluster": set(),
    "cluster photos": DECIDING,
    "cluster review": DECIDING,
}
"""The shared options that commands, or the commands of a group, obey. The others obey all."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_the_shared_options_that_it_obeys_and_no_other(
    name: str, runner: CliRunner
) -> None:
    """An option that is accepted and ignored looks obeyed: `people list --threshold` was."""
    typed = {"model": "x", "threshold": "1", "device": "cpu", "detector": "yunet-onet"}
    typed["precision"] = "float32"
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for leaf in leaves(command, name):
        wanted = TAKEN.get(leaf, TAKEN.get(name, DECIDING))
        found: click.Command | None = cli
        for word in leaf.split():
            assert isinstance(found, click.Group)
            found = found.get_command(click.Context(found), word)
        assert found is not None
        assert set(options_of(found)) & DECIDING == wanted, leaf
        for option in sorted(DECIDING - wanted):
            refused = runner.invoke(cli, [f"--{option}", typed[option], *leaf.split()])
            assert refused.exit_code == 2
            assert f"--{option} has no effect with" in refused.stderr, leaf


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--threshold", "1.5", "probe"], 1.5),
        (["probe", "--threshold", "1.5"], 1.5),
        (["--threshold", "3", "probe", "--threshold", "0"], 0.0),
        (["probe"], None),
    ],
    ids=["before", "after", "the later wins, and 0 counts", "absent"],
)
def test_shared_options_count_before_and_after_the_command(
    arguments: list[str], expected: float | None, runner: CliRunner, install: Install
) -> None:
    seen: list[float | None] = []

    @pass_settings
    def probe(settings: Settings) -> None:
        seen.append(settings.threshold)

    install(probe)
    assert runner.invoke(cli, arguments).exit_code == 0
    assert seen == [expected]


def test_settings_do_not_leak_into_the_next_run(runner: CliRunner, install: Install) -> None:
    seen: list[bool] = []

    @pass_settings
    def probe(settings: Settings) -> None:
        seen.append(settings.json)

    install(probe)
    runner.invoke(cli, ["--json", "probe"])
    runner.invoke(cli, ["probe"])
    assert seen == [True, False]


@pytest.mark.parametrize("value", ["-0.1", "4.01", "nan", "inf", "near"])
def test_a_threshold_outside_0_to_4_is_a_usage_error(
    value: str, runner: CliRunner, install: Install
) -> None:
    install(lambda: None)
    outcome = runner.invoke(cli, ["probe", "--threshold", value])
    assert outcome.exit_code == 2
    assert "--threshold" in outcome.stderr


def test_no_option_between_two_ends_takes_nan() -> None:
    """A gap of NaN would have made every ambiguous face a match."""
    context = click.Context(cli)
    tried = 0
    groups: list[click.Group] = [cli]
    while groups:
        group = groups.pop()
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            groups += [command] if isinstance(command, click.Group) else []
            for option in command.params:
                if isinstance(option.type, click.FloatRange):
                    tried += 1
                    with pytest.raises(click.BadParameter):
                        option.type(float("nan"), option, context)
    assert tried > 3


def test_the_database_is_the_options_then_the_variables_then_the_platforms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings()
    monkeypatch.delenv("FACECLI_DB", raising=False)
    assert str(settings.database).endswith("facecli/gallery.db")
    monkeypatch.setenv("FACECLI_DB", str(tmp_path / "env.db"))
    assert settings.database == tmp_path / "env.db"
    settings.db = tmp_path / "option.db"
    assert settings.database == tmp_path / "option.db"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PictureError("a.jpg: no face\x1b[2J found"), 2, "facecli: a.jpg: no face\\x1b[2J found\n"),
        (KeyboardInterrupt(), 130, "facecli: interrupted\n"),
        (MemoryError(), 2, "facecli: out of memory: try fewer or smaller pictures at a time\n"),
        (OSError(errno.ENOSPC, "x", "g.db"), 2, "facecli: g.db: no space left on the disk\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "a"),
            2,
            "facecli: a: Permission denied\n",
        ),
        (click.Abort(), 2, "facecli: stopped\n"),
        (click.UsageError("no"), 2, "Error: no\n"),
        (click.exceptions.Exit(1), 1, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_way_to_fail_has_its_code_and_one_line(
    error: BaseException, code: int, message: str, runner: CliRunner, install: Install
) -> None:
    install(raising(error))
    outcome = runner.invoke(cli, ["probe"])
    assert outcome.exit_code == code
    assert outcome.stderr.endswith(message)
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr


def test_a_bug_is_named_as_one_and_never_exits_with_1(runner: CliRunner, install: Install) -> None:
    """1 means "different" or "unknown", so a crash must not look like it."""
    install(raising(KeyError("oops")))
    outcome = runner.invoke(cli, ["probe"])
    assert outcome.exit_code == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert "KeyError" in outcome.stderr
    assert "-v" in outcome.stderr
    traced = runner.invoke(cli, ["probe", "-v"])
    assert traced.exit_code == 2
    assert "Traceback" in traced.stderr


def test_an_unknown_command_is_a_usage_error(runner: CliRunner) -> None:
    outcome = runner.invoke(cli, ["enrol"])
    assert outcome.exit_code == 2
    assert "No such command 'enrol'. Did you mean 'enroll'?" in outcome.stderr
    assert "Did you mean" not in runner.invoke(cli, ["xyz"]).stderr


@pytest.mark.parametrize(("answer", "expected"), [("y\n", 0), ("n\n", 7), ("\n", 7), ("", 2)])
def test_only_yes_confirms_and_no_answer_is_no(
    answer: str, expected: int, runner: CliRunner, install: Install
) -> None:
    @click.pass_context
    def probe(ctx: click.Context) -> None:
        ctx.exit(0 if confirmed("Sure?") else 7)

    install(probe)
    outcome = runner.invoke(cli, ["probe"], input=answer)
    assert outcome.exit_code == expected
    assert outcome.stdout == ""
    if not answer:
        said = "Sure? [y/N]\nfacecli: there is no terminal to answer on: use --yes\n"
        assert outcome.stderr == said


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
    ids=str,
)
def test_colour_is_only_for_those_who_want_it(
    variables: dict[str, str],
    coloured: bool,
    runner: CliRunner,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def probe() -> None:
        emit(failure("a", "b"), table(("name",), [("Ada",)]))
        warn("careful")

    install(probe)
    outcome = runner.invoke(cli, ["probe"], color=True)
    assert ("\x1b[" in outcome.stdout, "\x1b[" in outcome.stderr) == (coloured, coloured)
    assert "warning: careful" in click.unstyle(outcome.stderr)


def test_a_result_is_one_json_line_or_the_human_line(runner: CliRunner, install: Install) -> None:
    install(lambda: emit(failure("a\nb", "Zoë \udcff"), "for people"))
    assert runner.invoke(cli, ["probe"]).stdout == "for people\n"
    line = runner.invoke(cli, ["--json", "probe"]).stdout
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "schema": 1,
        "kind": "failure",
        "path": "a\nb",
        "reason": "Zoë \udcff",
    }


def test_results_are_heard_with_and_without_json(runner: CliRunner, install: Install) -> None:
    heard: list[Mapping[str, object]] = []
    install(lambda: emit(failure("a", "b"), "text"))
    runner.invoke(cli, ["probe"], obj=Settings(hear=heard.append))
    runner.invoke(cli, ["--json", "probe"], obj=Settings(hear=heard.append))
    assert heard == [failure("a", "b")] * 2


@given(st.text(st.characters()))
def test_shown_text_cannot_steer_a_terminal(text: str) -> None:
    """No control, reordering or unwritable character is left, whatever comes in."""
    safe = shown(text)
    safe.encode("utf-8")
    left = {character for character in safe if not character.isprintable()} - set("\u200c\u200d")
    assert {unicodedata.category(character) for character in left} <= {"Zs", "Co", "Cn"}
    assert not left & set("\x1b\n\r\x9b\u202e\u2066\u2028\udcff")


def test_ordinary_names_are_shown_as_they_are() -> None:
    for name in ("Zoë <b>O'Neil</b>", "李小龍", "محمد", "می\u200cخواهم", 'a "b"', "👩\u200d🚀"):
        assert shown(name) == name


def test_a_table_lines_up_wide_characters_and_puts_numbers_right() -> None:
    lines = click.unstyle(table(("name", "n"), [("李小龍", 5), ("Ada", 12), ("a\nb", 1)])).split(
        "\n"
    )
    assert lines == ["name     n", "李小龍   5", "Ada     12", "a\\nb     1"]


def test_progress_is_silent_off_a_terminal(runner: CliRunner, install: Install) -> None:
    def probe() -> None:
        assert list(progress(iter("abc"), 3, "Working")) == ["a", "b", "c"]

    install(probe)
    outcome = runner.invoke(cli, ["probe"])
    assert outcome.exit_code == 0
    assert outcome.output == ""


def test_long_work_says_where_it_is(
    runner: CliRunner, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr("facecli.cli.output.time.monotonic", lambda: float(next(clock)))

    def probe() -> None:
        assert list(progress(range(3), 3, "Working")) == [0, 1, 2]

    install(probe)
    outcome = runner.invoke(cli, ["probe"])
    assert "Working: 2/3" in outcome.stderr
    assert outcome.stdout == ""


def test_a_reader_that_leaves_early_ends_it_quietly() -> None:
    """As under `| head`: no traceback, and not 1, which would mean "different"."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from facecli.cli import main; main()", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 141


def test_a_terminal_without_unicode_still_gets_an_answer() -> None:
    script = (
        "import click\nfrom facecli.cli import cli\nfrom facecli.cli.lazy import LazyGroup\n"
        "from facecli.cli.output import emit\n"
        "probe = click.command('probe')(lambda: emit({'kind': 'x'}, 'squared L² ≤ 1'))\n"
        "LazyGroup.get_command = lambda *_: probe\ncli.main(['probe'])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"squared L\xb2 \\u2264 1\n"


def test_version_is_printed(runner: CliRunner) -> None:
    from facecli import __version__

    assert runner.invoke(cli, ["--version"]).output == f"facecli, version {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"), [("facecli en", "enroll"), ("facecli people fo", "forget")]
)
def test_the_shell_completes_commands(typed: str, offered: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    environment = {**os.environ, **words, "_FACECLI_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", "from facecli.cli import main; main()"],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.decode() == f"plain,{offered}\n"
