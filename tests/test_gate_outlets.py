"""Commands and webhooks hear of decisions; none of them can hold the gate up or take it over."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENT

from facecli.errors import GateError
from facecli.gate import outlets as module
from facecli.gate.outlets import Outlet, command, webhook

HOSTILE = '$(touch owned) "; rm -rf x\n\0`id`'
EVENT: dict[str, Any] = {
    "kind": "gate_event",
    "status": "match",
    "person": HOSTILE,
    "squared_l2": 0.25,
    "threshold": 1.1,
    "time": "2026-01-01T00:00:00.000+00:00",
    "source": "door",
    "track": 7,
    "model": "fake-128",
}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine end a delivery, unless a test says when."""
    for limit in ("COMMAND_SECONDS", "WEBHOOK_SECONDS", "CLOSING_SECONDS"):
        monkeypatch.setattr(module, limit, PATIENT)


def script(tmp_path: Path, code: str) -> str:
    """Return a command that runs some Python."""
    path = tmp_path / "a script.py"
    path.write_text(f"import json, os, sys, time\n{code}\n")
    return f"{sys.executable} '{path}' 'two words'"


def test_a_command_finds_the_event_in_its_environment_and_no_shell_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "json.dump([sys.argv[1:], dict(os.environ)], open('seen.json', 'w'))"
    command(script(tmp_path, code))(EVENT)
    words, environment = json.loads((tmp_path / "seen.json").read_text())
    assert words == ["two words"]
    assert environment["FACECLI_PERSON"] == HOSTILE.replace("\0", "")
    assert environment["FACECLI_SQUARED_L2"] == "0.25"
    assert environment["FACECLI_STATUS"] == "match"
    assert json.loads(environment["FACECLI_EVENT"]) == EVENT
    assert not (tmp_path / "owned").exists()


def test_nobodys_name_is_empty() -> None:
    assert module.variables({**EVENT, "person": None})["FACECLI_PERSON"] == ""


@pytest.mark.parametrize("text", ["", "no-such-command-here", "'unclosed"])
def test_a_command_that_cannot_be_run_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(GateError):
        command(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("true | mail me", "|"),
        ("true|true", "true|true"),
        ("true && true", "&&"),
        ("true; true", "true;"),
        ("true &", "&"),
        ("true >> out.txt", ">>"),
        ("true 2>&1", "2>&1"),
        ("true $FACECLI_PERSON", "$FACECLI_PERSON"),
        ("true `date`", "`date`"),
        ("true ~/log", "~/log"),
    ],
)
def test_what_only_a_shell_understands_is_refused(text: str, word: str) -> None:
    """Without a shell it would reach the command as a word, and nobody would know."""
    with pytest.raises(GateError) as refusal:
        command(text)
    assert f"{word} works in a shell only, and none is used: write sh -c" in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "sh -c 'true | true; echo $FACECLI_PERSON > out'",
        'sh -c "true && true"',
        "true http://localhost/?a=1&b=2",
        "true a\\|b 'a | b' --text='> x'",
        "true {} !",
    ],
)
def test_what_is_quoted_or_means_nothing_to_a_shell_is_taken(text: str) -> None:
    command(text)


@pytest.mark.slow
def test_a_command_that_fails_or_hangs_is_said_and_the_next_event_is_delivered(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second hangs; only it is given less time than a busy machine may take."""
    code = "name = os.environ['FACECLI_PERSON']\n"
    code += f"time.sleep({10 * PATIENT}) if name == 'b' else None\n"
    code += f"open({str(tmp_path / 'ran')!r}, 'a').write(name)\n"
    code += "sys.exit(3 if name == 'a' else 0)"
    run = command(script(tmp_path, code))

    def deliver(event: module.Record) -> None:
        monkeypatch.setattr(module, "COMMAND_SECONDS", 1.0 if event["person"] == "b" else PATIENT)
        run(event)

    outlet = Outlet("--on-match", deliver, warn=said.append)
    for name in "abc":
        outlet.offer({**EVENT, "person": name})
    outlet.close()
    assert (tmp_path / "ran").read_text() == "ac"
    assert said == [
        "--on-match: exit code 3 (1 failed so far)",
        "--on-match: killed after 1 s (2 failed so far)",
    ]


def test_a_slow_outlet_never_holds_the_gate_up(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is dropped and said; the end waits for a while only."""
    monkeypatch.setattr(module, "WAITING", 3)
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.2)
    free = threading.Event()
    delivered: list[object] = []

    def deliver(event: object) -> None:
        free.wait(PATIENT)
        delivered.append(event)

    outlet = Outlet("--webhook", deliver, warn=said.append)
    for _ in range(10):
        outlet.offer(EVENT)
    outlet.close()
    assert not delivered, "it was waited for"
    assert outlet.failures >= 6
    assert "too slow" in said[0]
    assert "not finished at the end" in said[-1]
    free.set()


class Web(BaseHTTPRequestHandler):
    """Remembers what was posted; /away redirects, /down fails."""

    seen: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, json.loads(body)))
        self.send_response({"/away": 302, "/down": 500}.get(self.path, 204))
        self.send_header("Location", "/stolen")
        self.end_headers()

    def do_GET(self) -> None:
        self.seen.append((self.path, None))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    Web.seen = []
    server = HTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_webhook_is_posted_the_event(web: str) -> None:
    webhook(f"{web}/here")(EVENT)
    assert Web.seen == [("/here", EVENT)]


def test_a_redirection_is_not_followed_and_failures_are_counted(web: str, said: list[str]) -> None:
    for path, code in (("away", 302), ("down", 500)):
        outlet = Outlet("--webhook", webhook(f"{web}/{path}"), warn=said.append)
        outlet.offer(EVENT)
        outlet.close()
        assert said[-1] == f"--webhook: answered {code} (1 failed so far)"
    assert [path for path, _ in Web.seen] == ["/away", "/down"]


def test_an_answer_that_is_not_http_does_not_end_the_outlet(said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(b"no status line\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        outlet = Outlet("--webhook", webhook(f"http://127.0.0.1:{port}/x"), warn=said.append)
        outlet.offer(EVENT)
        outlet.offer(EVENT)
        outlet.close()
        thread.join(PATIENT)
    assert said == [
        "--webhook: the answer is not HTTP (1 failed so far)",
        "--webhook: the answer is not HTTP (2 failed so far)",
    ]


def test_a_webhook_nobody_answers_is_said(said: list[str]) -> None:
    with socket.socket() as taken:  # a port that is bound and does not listen refuses
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        outlet = Outlet("--webhook", webhook(address), warn=said.append)
        outlet.offer(EVENT)
        outlet.close()
    assert len(said) == 1
    assert "refused" in said[0].lower()


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://host/x", "http:///x", "//host/x", "http://a:b@host/"),
        *("http://[", "http://host/a b", "http://host/é"),
    ],
)
def test_only_plain_web_addresses_are_taken(url: str) -> None:
    with pytest.raises(GateError):
        webhook(url)
