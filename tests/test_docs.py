"""The pages tell the truth: commands exist, links lead somewhere, generated parts are current."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cogapp import Cog
from pages import DOCS, PAGES, ROOT, all_commands, anchors, blocks, commands_shown, links
from pages import unknown_words as unknown
from test_imports import FLOORS

from facecli import __version__
from facecli.server.access import Access

TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
GENERATED = [name for name, text in TEXTS.items() if "[[[cog" in text]
SHOWN = [
    pytest.param(words, id=f"{name}: {' '.join(words)}")
    for name, text in TEXTS.items()
    for words in commands_shown(text)
]
ATTRIBUTE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"?([^\s\">]+)")


@pytest.mark.parametrize("name", GENERATED)
def test_generated_parts_are_current(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If this fails: cog -r docs/commands.md docs/models.md."""
    monkeypatch.setenv("XDG_DATA_HOME", "/nonexistent")  # a user's own models do not count
    assert Cog().main(["cog", "--check", str(ROOT / name)]) == 0, capsys.readouterr().out


def test_every_command_is_in_the_reference() -> None:
    headings = re.findall(r"^### `facecli (.+)`$", TEXTS["docs/commands.md"], re.MULTILINE)
    assert sorted(headings) == sorted(all_commands())


@pytest.mark.parametrize("words", SHOWN)
def test_every_command_shown_exists_with_its_options(words: list[str]) -> None:
    assert unknown(words) == []


def test_the_check_of_commands_sees_what_does_not_exist() -> None:
    page = "\n".join(
        [
            "```sh",
            "sudo -u facecli /opt/bin/facecli people erase Ada || facecli verify \\",
            "    a.jpg --loudly",
            "```",
            "```ini",
            "ExecStart=/opt/bin/facecli identify --sauce 0",
            "```",
            "Then `facecli enrol --yes` it.",
        ]
    )
    found = [unknown(words) for words in commands_shown(page)]
    assert found == [["erase"], ["--loudly"], ["--sauce"], ["enrol"]]


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_to_a_page_and_heading(name: str) -> None:
    here = ROOT / name
    for link in links(TEXTS[name]):
        if link.startswith("https://"):
            continue
        page, _, heading = link.partition("#")
        target = here.parent / page if page else here
        assert target.is_file(), link
        if heading:
            assert heading in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", TEXTS)
def test_every_extra_that_is_installed_exists(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"'?(?:facecli|\.)\[([\w,]+)\]'?", TEXTS[name])
    known = set(project["optional-dependencies"])
    assert {one for listed in extras for one in listed.split(",")} <= known


def test_the_architecture_shows_every_room_on_its_floor() -> None:
    table = re.findall(r"^\| (\d+) \| `(\w+)` \|", TEXTS["docs/architecture.md"], re.MULTILINE)
    rooms = [{room for floor, room in table if int(floor) == number + 1} for number in range(99)]
    assert [frozenset(one) for one in rooms if one] == list(FLOORS)


def test_a_service_behind_the_proxy_answers() -> None:
    """The headers that nginx is told to set pass; those of a browser would not."""
    (server,) = blocks(TEXTS["docs/gate-and-service.md"], "nginx")
    lines = [shlex.split(line.rstrip(";")) for line in server.splitlines()]
    headers = {line[1].lower().encode(): line[2].encode() for line in lines if "Host" in line}
    assert ["proxy_set_header", "Origin", ""] in [line[:3] for line in lines]
    access = Access(token=b"secret", admin=None, loopback=True)
    sent = {b"authorization": b"Bearer secret"}
    assert access.refusal("/identify", headers | sent) is None
    browser = {b"host": b"faces.example.org", b"origin": b"https://faces.example.org"}
    assert access.refusal("/identify", browser | sent) is not None
    assert access.refusal("/identify", browser | headers | sent) is not None


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with the rest of its line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, " ".join(rest.split())) for name, rest in parts]


class TestDockerfile:
    """What would be checked by eye: a pinned base, no root, a volume, a check of health."""

    def test_the_base_is_one_version(self, instructions: list[tuple[str, str]]) -> None:
        (base,) = [rest for name, rest in instructions if name == "FROM"]
        assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)

    def test_it_runs_as_nobody_special(self, instructions: list[tuple[str, str]]) -> None:
        names = [name for name, _ in instructions]
        (user,) = [rest for name, rest in instructions if name == "USER"]
        made = [rest for name, rest in instructions if name == "RUN" and "useradd" in rest]
        assert user != "root"
        assert made[0].split("&&")[0].split()[-1] == user
        assert names.index("USER") < names.index("ENTRYPOINT") < names.index("CMD")
        assert "RUN" not in names[names.index("USER") :]

    def test_data_lie_in_the_volume(self, instructions: list[tuple[str, str]]) -> None:
        (volume,) = [rest for name, rest in instructions if name == "VOLUME"]
        (variables,) = [rest for name, rest in instructions if name == "ENV"]
        places = dict(one.split("=") for one in variables.split())
        for name in ("FACECLI_DB", "FACECLI_LIBRARY", "FACECLI_LOG"):
            assert Path(places[name]).parent == Path(volume)

    def test_its_health_is_checked(self, instructions: list[tuple[str, str]]) -> None:
        (check,) = [rest for name, rest in instructions if name == "HEALTHCHECK"]
        assert "CMD" in check
        assert "http://127.0.0.1:8765/health" in check

    def test_what_it_starts_exists(self, instructions: list[tuple[str, str]]) -> None:
        told = dict(instructions)
        words = re.findall(r'"([^"]+)"', told["ENTRYPOINT"] + told["CMD"])
        assert words[0] == "facecli"
        assert unknown(words[1:]) == []

    def test_what_it_copies_is_sent_to_docker(self, instructions: list[tuple[str, str]]) -> None:
        ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        kept = {line[1:] for line in ignored if line.startswith("!")}
        copied = [rest.split()[:-1] for name, rest in instructions if name == "COPY"]
        assert {source for sources in copied for source in sources} == kept
        assert all((ROOT / source).exists() for source in kept)


def test_the_version_is_in_the_changelog() -> None:
    changes = TEXTS["CHANGELOG.md"]
    assert f"## [{__version__}]" in changes or f"This becomes {__version__}." in changes


@pytest.mark.parametrize("name", TEXTS)
def test_no_page_names_what_only_one_machine_has(name: str) -> None:
    assert re.findall(r"/work/|/root/|/home/\w+", TEXTS[name]) == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="needs the extra docs")
def test_the_site_builds_without_warnings_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    built = {path.relative_to(tmp_path).parent for path in tmp_path.glob("**/index.html")}
    wanted = {Path(path.stem if path.stem != "index" else ".") for path in DOCS.glob("*.md")}
    assert built == wanted
    for page in tmp_path.glob("**/*.html"):
        fetched = ATTRIBUTE.findall(page.read_text(encoding="utf-8"))
        assert fetched
        assert [one for one in fetched if one.startswith(("http", "//"))] == []
