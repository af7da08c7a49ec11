"""The configuration file stands in for options that are not given, and says what is wrong in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint

from facecli.cli import COMMANDS, cli
from facecli.cli.configuration import EVERYWHERE, configuration_file, options_below, options_of
from facecli.cli.output import note, progress, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.stores.address import Location

pytestmark = pytest.mark.base

Write = Callable[[str], Path]
Seen = list[tuple[float | None, Location | None]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes the configuration file."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("FACECLI_CONFIG", str(path))
    monkeypatch.delenv("FACECLI_DB", raising=False)

    def write(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return write


def run(*arguments: object) -> Result:
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    return CliRunner().invoke(cli, [*map(str, arguments)], obj=settings)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Put a command in place of `evaluate lfw` that tells the threshold and database in force."""
    told: Seen = []

    @pass_settings
    def probe(settings: Settings, /, **_: object) -> None:
        told.append((settings.threshold, settings.db))

    from facecli.cli.evaluate.lfw import lfw

    monkeypatch.setattr(lfw, "callback", probe)
    return told


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("", [], None),
        ("threshold = 1.0", [], 1.0),
        ("threshold = 1", [], 1.0),
        ("threshold = 1.0", ["--threshold", "0"], 0.0),
        ("threshold = 1.0\n[evaluate]\nthreshold = 0.9", [], 0.9),
        ("[evaluate]\nthreshold = 0.9\n[evaluate.lfw]\nthreshold = 0.8", [], 0.8),
        ("[evaluate.lfw]\nthreshold = 0.8", ["--threshold", "1.2"], 1.2),
        ("[evaluate.folders]\nthreshold = 0.8", [], None),
        ("[identify]\nk = 3\nthreshold = 0.8", [], None),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_the_command_line_wins_over_the_file_and_the_nearest_table_counts(
    write: Write,
    seen: Seen,
    text: str,
    arguments: list[str],
    expected: float | None,
    before: bool,
) -> None:
    write(text)
    command = ["evaluate", "lfw", "."]
    result = run(*arguments, *command) if before else run(*command, *arguments)
    assert result.exit_code == 0, result.output
    assert seen == [(expected, None)]


def test_the_environment_wins_over_the_file(
    write: Write, seen: Seen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write('db = "~/file.db"')
    run("evaluate", "lfw", ".")
    assert seen.pop()[1] == Path("~/file.db").expanduser()
    monkeypatch.setenv("FACECLI_DB", str(tmp_path / "environment.db"))
    run("evaluate", "lfw", ".")
    assert seen.pop()[1] is None  # then the variable counts
    run("evaluate", "lfw", ".", "--db", "line.db")
    assert seen.pop()[1] == Path("line.db")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bogus = 1", "bogus: there is no such option"),
        ("treshold = 1", "treshold: there is no such option; did you mean threshold?"),
        ("[people.list]\nkk = 1", "[people.list] kk: there is no such option"),
        ("[peple]\nyes = 1", "peple: there is no such command; did you mean people?"),
        ("people = 1", "people: is a command and takes a table"),
        ("[people.list.x]\ny = 1", "[people.list] x: there is no such command"),
        ("threshold = 9", "threshold: 9.0 is not in the range"),
        ("threshold = [1]", "threshold: takes one value"),
        ('device = "abacus"', "device: 'abacus' is not one of"),
        ("quiet = 3", "quiet: takes true or false"),
        ("threshold = true", "threshold: takes a value, not true or false"),
        ("[people.list]\nyes = true", "[people.list] yes: counts on the command line only"),
        ("x = [", "not a TOML file: "),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(write: Write, text: str, reason: str) -> None:
    path = write(text)
    for command in (("people", "list"), ("config", "show")):
        result = run(*command)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"facecli: {path}: {reason}")


def test_help_needs_no_file(write: Write) -> None:
    write("bogus = 1")
    assert run("--help").exit_code == 0


@pytest.mark.parametrize("text", ["[calibrate]\nforce = true", "[people.forget]\nyes = true"])
def test_no_file_confirms_anything(write: Write, text: str) -> None:
    write(text)
    assert "counts on the command line only" in run("config", "show").stderr


def test_config_show_tells_where_each_value_comes_from(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write("threshold = 1.0\nquiet = true\n[identify]\nk = 5\n")
    monkeypatch.setenv("FACECLI_DB", str(tmp_path / "g.db"))
    result = run("--device", "cpu", "config", "show", "--json")
    assert result.exit_code == 0, result.output
    file, *settings = (json.loads(line) for line in result.stdout.splitlines())
    assert (file["path"], file["exists"]) == (str(path), True)
    found = {(one["command"], one["key"]): (one["value"], one["origin"]) for one in settings}
    assert found[None, "threshold"] == ("1.0", "file")
    assert found[None, "quiet"] == ("true", "file")
    assert found[None, "db"] == (str(tmp_path / "g.db"), "environment FACECLI_DB")
    assert found[None, "device"] == ("cpu", "flag")
    assert found[None, "verbose"] == ("false", "default")
    assert found[None, "log"][1] == "default"
    assert found["identify", "k"] == ("5", "file")
    text = run("config", "show").stdout
    assert text.startswith(f"{path}\n")


def test_without_a_file_config_show_says_where_it_would_be(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "(there is no such file)" in run("config", "show").stdout
    monkeypatch.delenv("FACECLI_CONFIG")
    assert configuration_file().name == "config.toml"
    assert configuration_file().parent.name == "facecli"


def test_keys_at_the_top_are_options_of_some_command() -> None:
    below = options_below(cli, click.Context(cli))
    assert set(EVERYWHERE) <= below - set(options_of(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_reads_the_file(name: str, write: Write) -> None:
    path = write("bogus = 1")
    words = {"people": ["list"], "config": ["show"], "cluster": ["undo"], "library": ["info"]}
    words |= {"log": ["show"], "evaluate": ["lfw"], "models": ["list"]}
    result = run(name, *words.get(name, []))
    assert result.stderr == f"facecli: {path}: bogus: there is no such option\n"


def test_what_the_file_says_for_a_gate_does_not_hinder_photos(write: Write, tmp_path: Path) -> None:
    write("[identify]\ncooldown = 3\n")
    photo = paint(tmp_path / "ada.png", PaintedFace(0))
    gallery = tmp_path / "g.db"
    assert run("enroll", "Ada", photo, "--db", gallery).exit_code == 0
    assert run("identify", photo, "--db", gallery).exit_code == 0


# --quiet and --no-progress


@pytest.fixture
def talking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command in place of `people list` that notes, warns and takes its time."""
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(
        "facecli.cli.output.time.monotonic",
        lambda: float(next(clock)),
    )

    def talk(**_: object) -> None:
        note("a note")
        warn("a warning")
        assert list(progress(range(3), 3, "Working")) == [0, 1, 2]

    from facecli.cli.people import list_people

    monkeypatch.setattr(list_people, "callback", talk)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], {"a note", "a warning", "Working"}),
        (["--quiet"], {"a warning"}),
        (["--no-progress"], {"a note", "a warning"}),
        (["--no-progress", "--quiet"], {"a warning"}),
    ],
)
def test_quiet_keeps_warnings_only_and_no_progress_drops_progress(
    talking: None, options: list[str], said: set[str]
) -> None:
    for arguments in (["people", "list", *options], [*options, "people", "list"]):
        text = run(*arguments).stderr
        assert {one for one in ("a note", "a warning", "Working") if one in text} == said


def test_the_file_may_ask_for_quiet(talking: None, write: Write) -> None:
    write("no-progress = true\n")
    text = run("people", "list").stderr
    assert "a note" in text
    assert "Working" not in text
    write("quiet = true\n")
    assert run("people", "list").stderr == "warning: a warning\n"


def test_sorting_quietly_says_nothing_on_stderr(tmp_path: Path) -> None:
    photo = paint(tmp_path / "photos" / "ada.png", PaintedFace(0))
    (photo.parent / "notes.txt").write_text("passed over")
    library = ["--library", tmp_path / "l.db"]
    assert "passed over" in run("cluster", photo.parent, *library).stderr
    result = run("cluster", photo.parent, "--quiet", "--library", tmp_path / "other.db")
    assert (result.exit_code, result.stderr) == (0, "")
