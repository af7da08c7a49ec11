"""The service over HTTP: its answers are the command line's, and its limits hold."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from fake_service import ADMIN, TOKEN, running
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint
from record_check import problems
from waiting import PATIENT, until

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.server.limits import MOST_REQUESTS
from facecli.stores.decisions import DecisionLog
from facecli.stores.gallery.sqlite.store import SqliteGallery

pytestmark = pytest.mark.slow

Answer = tuple[int, Any, dict[str, str]]
HOSTILE = 'Zoë <b>O\'Neil</b>; "--" ../..'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    paint(folder / "ada.png", PaintedFace(0, 3))
    paint(folder / "bob.png", PaintedFace(1, 5))
    paint(folder / "both.png", PaintedFace(0, 6), PaintedFace(1, 6, left=220, side=100))
    paint(folder / "landscape.png")
    paint(folder / "stranger.png", PaintedFace(7))
    paint(folder / "dark.png", PaintedFace(9, dark=True))
    return folder


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json"])
@pytest.mark.parametrize("path", ["/identify", "/enroll?name=Eve"])
def test_a_form_or_json_is_told_the_line_that_works(
    port: int, folder: Path, kind: str, path: str
) -> None:
    photo = folder / "ada.png"
    status, found, _ = ask(port, path, photo, token=ADMIN, **{"Content-Type": kind})
    assert status == 415
    address = f"http://127.0.0.1:{port}{path}"
    assert found["reason"].endswith(f"curl --data-binary @photo.jpg '{address}'")
    form = "application/x-www-form-urlencoded"  # what curl --data-binary calls every body
    assert ask(port, "/identify", photo, **{"Content-Type": form})[0] == 200


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Run a service that knows Ada and Bob."""
    with running(folder / "gallery.db") as (_, port):
        for name, face in (("Ada", PaintedFace(0)), ("Bob", PaintedFace(1))):
            photo = paint(folder / "people" / f"{name}.png", face)
            assert ask(port, f"/enroll?name={name}", photo, token=ADMIN)[0] == 200
        yield port


def ask(
    port: int,
    path: str,
    body: Path | bytes | dict[str, Any] | None = None,
    *,
    token: str | None = TOKEN,
    method: str | None = None,
    **headers: str,
) -> Answer:
    """Ask the service; return status, JSON or text, and headers."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if isinstance(body, dict):
        body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    data = body.read_bytes() if isinstance(body, Path) else body
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENT)
    try:
        connection.request(method or ("GET" if data is None else "POST"), path, data, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    kind = answer.headers.get_content_type()
    said = json.loads(content) if kind == "application/json" else content.decode()
    for one in said if isinstance(said, list) else [said]:
        if isinstance(one, dict) and "kind" in one:
            assert problems(one) == []
    return answer.status, said, dict(answer.headers)


def side(photo: Path) -> dict[str, str]:
    return {"photo": base64.b64encode(photo.read_bytes()).decode()}


def said_by_command(folder: Path, *arguments: object) -> list[dict[str, Any]]:
    """Return the records of a command on the service's gallery."""
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    words = [*map(str, arguments), "--json", "--db", str(folder / "gallery.db")]
    result = CliRunner().invoke(cli, words, obj=settings)
    return [json.loads(line) for line in result.stdout.splitlines()]


def as_photo(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """Put what the service calls photos in the place of the names that files have."""
    record = json.loads(json.dumps(record))
    if "path" in record:
        record["path"] = "photo"
    for one, name in zip(record.get("sides", ()), names, strict=False):
        one["source"] = name
    return record


# answers


@pytest.mark.parametrize("name", ["ada", "both", "landscape", "stranger"])
def test_identify_answers_with_the_records_of_the_command(
    port: int, folder: Path, name: str
) -> None:
    photo = folder / f"{name}.png"
    status, said, _ = ask(port, "/identify", photo)
    assert status == 200
    assert said == [as_photo(one) for one in said_by_command(folder, "identify", photo)]


def test_verify_answers_with_the_record_of_the_command(port: int, folder: Path) -> None:
    ada, bob = folder / "ada.png", folder / "bob.png"
    for right, spelled, called in (
        (side(bob), bob, "b"),
        ({"person": "Ada"}, "person:Ada", "Ada"),
    ):
        status, said, _ = ask(port, "/verify", {"a": side(ada), "b": right})
        (expected,) = said_by_command(folder, "verify", ada, spelled)
        del expected["verifier"]
        assert (status, said) == (200, as_photo(expected, "a", called))


def test_people_come_and_go_and_a_forgotten_one_never_matches_again(
    port: int, folder: Path
) -> None:
    photo = paint(folder / "zoe.png", PaintedFace(5))
    name = quote(HOSTILE)
    assert ask(port, f"/enroll?name={name}&dry_run=1", photo, token=ADMIN)[1]["dry_run"]
    status, said, _ = ask(port, f"/enroll?name={name}&external_id=7", photo, token=ADMIN)
    assert (status, said["outcome"], said["person"], said["external_id"]) == (
        200,
        "accepted",
        HOSTILE,
        "7",
    )
    assert HOSTILE in [one["name"] for one in ask(port, "/people")[1]]
    assert ask(port, "/identify", photo)[1][0]["person"] == HOSTILE
    status, said, _ = ask(port, "/forget", {"names": [HOSTILE]}, token=ADMIN)
    assert (status, said["people"], said["templates"]) == (200, [HOSTILE], 1)
    assert ask(port, "/identify", photo)[1][0]["status"] == "unknown"


def test_what_another_program_changes_counts_at_once(port: int, folder: Path) -> None:
    photo = paint(folder / "kim.png", PaintedFace(6))
    assert said_by_command(folder, "enroll", "Kim", photo)
    assert ask(port, "/identify", photo)[1][0]["person"] == "Kim"
    assert said_by_command(folder, "people", "forget", "Kim", "--yes")
    assert ask(port, "/identify", photo)[1][0]["status"] == "unknown"


def test_a_gallery_that_fails_is_not_the_clients_mistake(port: int, folder: Path) -> None:
    """503: the same question may be answered later, once somebody has seen to the file."""
    database = folder / "gallery.db"
    whole = database.read_bytes()
    database.write_bytes(b"Dear diary" * 1000)
    try:
        status, said, _ = ask(port, "/people")
    finally:
        database.write_bytes(whole)
    assert (status, said["kind"]) == (503, "error")
    assert "not a SQLite database" in said["reason"]
    assert ask(port, "/people")[0] == 200


def test_a_photo_is_refused_with_the_reason(port: int, folder: Path) -> None:
    status, said, _ = ask(port, "/enroll?name=Eve", folder / "dark.png", token=ADMIN)
    assert (status, said["kind"], said["refused"]) == (422, "enrollment", True)
    assert "dark" in " ".join(said["reasons"])
    status, said, _ = ask(port, "/enroll?name=Eve", folder / "ada.png", token=ADMIN)
    assert (status, said["look_alike"]["person"]) == (422, "Ada")


def test_a_gate_decides_once_and_the_decision_is_in_the_log(port: int, folder: Path) -> None:
    path = f"/gate?session={os.urandom(16).hex()}"
    events = []
    for _ in range(10):
        status, said, _ = ask(port, path, folder / "ada.png")
        assert status == 200
        events += said["events"]
    (event,) = events
    assert (event["kind"], event["status"], event["person"]) == ("gate_event", "match", "Ada")
    assert [(one["state"], one["person"]) for one in said["faces"]] == [("match", "Ada")]
    assert said["size"] == [400, 240]
    with DecisionLog(folder / "log.db") as log:
        log.verify()


def test_the_description_has_the_schema_of_every_answer(port: int) -> None:
    """Each field with its type, its range and its meaning, from the records' definitions."""
    described = ask(port, "/openapi.json")[1]
    paths, schemas = described["paths"], described["components"]["schemas"]
    answers = {path: _answered(paths[path]) for path in paths}
    assert answers == {
        "/verify": "VerificationRecord",
        "/identify": "list of IdentificationRecord",
        "/enroll": "EnrollmentRecord",
        "/forget": "ForgottenRecord",
        "/rename": "RenamedRecord",
        "/merge": "MergedRecord",
        "/embed": "list of EmbeddingRecord",
        "/people": "list of PersonRecord",
        "/health": "HealthRecord",
        "/gate": "SightingRecord",
        "/metrics": "text/plain",
    }
    fields = schemas["VerificationRecord"]["properties"]
    assert list(fields)[:3] == ["schema", "kind", "same"]
    assert fields["squared_l2"] == {
        "title": "Squared L2",
        "type": "number",
        "minimum": 0,
        "maximum": 4,
        "description": "between the two sides; for a person, the nearest template; squared L2",
    }
    status = schemas["IdentificationRecord"]["properties"]["status"]
    assert status["enum"] == ["match", "unknown", "ambiguous", "no face", "error"]
    event = schemas["SightingRecord"]["properties"]["events"]["items"]["$ref"]
    assert "schema" not in schemas[event.rpartition("/")[2]]["properties"]


def _answered(path: dict[str, Any]) -> str:
    """Name what an address answers if all is well."""
    (method,) = path.values()
    ((kind, content),) = method["responses"]["200"]["content"].items()
    if kind != "application/json":
        return str(kind)
    schema = content["schema"]
    if schema.get("type") == "array":
        return "list of " + str(schema["items"]["$ref"].rpartition("/")[2])
    return str(schema["$ref"].rpartition("/")[2])


def test_metrics_count_requests_and_decisions_and_name_nobody(port: int, folder: Path) -> None:
    ask(port, "/identify", folder / "stranger.png")
    ask(port, f"/{HOSTILE[0]}{quote(HOSTILE)}")
    _, text, headers = ask(port, "/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert int(values['facecli_requests_total{path="/identify",status="200"}']) >= 1
    assert int(values['facecli_faces_total{status="unknown"}']) >= 1
    assert values["facecli_people"] == "2"
    count = values['facecli_request_seconds_count{path="/identify"}']
    assert values['facecli_request_seconds_bucket{path="/identify",le="+Inf"}'] == count
    assert 'path="other",status="404"' in text
    assert "Ada" not in text
    assert "Zo" not in text


# limits


@pytest.mark.parametrize("path", ["/people", "/metrics", "/openapi.json", "/nowhere"])
def test_without_a_token_nothing_is_said(port: int, path: str) -> None:
    for token in (None, "wrong", TOKEN[:-1], f"{TOKEN}t", "é"):
        status, said, headers = ask(port, path, token=token)
        assert (status, said["kind"], headers["www-authenticate"]) == (401, "error", "Bearer")


def test_health_and_the_page_need_no_token(port: int) -> None:
    assert ask(port, "/health", token=None)[0] == 200
    assert ask(port, "/", token=None)[0] == 200


@pytest.mark.parametrize("path", ["/enroll?name=Eve", "/forget", "/rename", "/merge", "/embed"])
def test_changes_need_the_administrators_token(port: int, path: str) -> None:
    for token in (None, TOKEN):
        assert ask(port, path, b"{}", token=token)[0] == 401


def test_other_names_of_this_machine_and_other_sites_are_refused(port: int) -> None:
    assert ask(port, "/people", Host="evil.example")[0] == 421
    assert ask(port, "/people", Host=f"localhost:{port}")[0] == 200
    assert ask(port, "/people", Host=f"[::1]:{port}")[0] == 200
    assert ask(port, "/people", Origin="https://evil.example")[0] == 403
    assert ask(port, "/people", Origin=f"http://127.0.0.1:{port}")[0] == 200


def test_answers_are_not_kept_framed_or_shared(port: int) -> None:
    headers = {name.lower(): value for name, value in ask(port, "/")[2].items()}
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_body_too_long_is_refused_announced_or_not(port: int) -> None:
    assert ask(port, "/identify", b"x", **{"Content-Length": str(10**12)})[0] == 413
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENT)
    connection.putrequest("POST", "/identify")
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    with suppress(OSError):  # the service may have hung up by then, which is as good
        for _ in range(40):
            connection.send(chunk)
        connection.send(b"0\r\n\r\n")
    with suppress(OSError):
        assert connection.getresponse().status == 413
    connection.close()
    assert ask(port, "/health")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/identify", b"not a picture", "photo: not a picture in a known format"),
        ("/identify", b"", "photo: empty file"),
        ("/identify?k=0", b"", "k: "),
        ("/identify?faces=some", b"", "faces: "),
        ("/gate?session=../x", b"", "session: "),
        ("/verify", {"a": {}, "b": {"person": "Ada"}}, "a: "),
        ("/verify", {"a": {"person": "Nobody"}, "b": {"person": "Ada"}}, "no person 'Nobody'"),
        ("/enroll", b"", "name: "),
        ("/forget", {"names": []}, "names: "),
        ("/forget", {"names": ["Nobody"]}, "no person 'Nobody'"),
    ],
)
def test_mistakes_are_explained_in_one_line(port: int, path: str, body: Any, reason: str) -> None:
    status, said, _ = ask(port, path, body, token=ADMIN)
    assert (status, said["kind"]) == (422, "error")
    assert said["reason"].startswith(reason)
    assert "\n" not in said["reason"]


def test_more_than_can_be_worked_on_are_asked_to_come_back(tmp_path: Path) -> None:
    """And those taken on are all answered rightly."""
    photo = paint(tmp_path / "a.png", PaintedFace(0))
    with running(tmp_path / "g.db", how="held") as (_, port), ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(ask, port, "/identify", photo) for _ in range(40)]
        until(lambda: sum(one.done() for one in asked) == 40 - MOST_REQUESTS)
        (tmp_path / "go").touch()
        answers = [one.result() for one in asked]
    statuses = Counter(status for status, _, _ in answers)
    assert statuses == {200: MOST_REQUESTS, 429: 40 - MOST_REQUESTS}
    for status, said, headers in answers:
        if status == 429:
            assert (headers["retry-after"], said["kind"]) == ("1", "error")
        else:
            assert said[0]["status"] == "unknown"


def test_concurrent_answers_are_those_given_one_by_one(port: int, folder: Path) -> None:
    photos = [
        paint(folder / "crowd" / f"{number}.png", PaintedFace(number % 3, number))
        for number in range(24)
    ]
    alone = [ask(port, "/identify", photo)[1] for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda photo: ask(port, "/identify", photo)[1], photos))
    assert together == alone
    assert {one[0]["status"] for one in alone} == {"match", "unknown"}


LONG = "x" * 32


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines: give --token-file"),
        (["--host", "::"], ":: can be reached from other machines: give --token-file"),
        (["--token-file", "short"], "short: a token is one word of 32 ASCII characters or more"),
        (["--token-file", "words"], "words: a token is one word"),
        (["--token-file", "open"], "open: others may read it: chmod 600 it"),
        (["--token-file", "none"], "none: No such file or directory"),
        (["--token-file", "long", "--admin-token-file", "same"], "the two tokens are the same"),
        ([], "gallery 'gallery.db': there is none"),
    ],
)
def test_the_service_refuses_to_start_unsafely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = {"short": "x" * 31, "words": f"{LONG} x", "open": LONG, "long": LONG, "same": LONG}
    for name, content in contents.items():
        Path(name).write_text(f"{content}\n")
        Path(name).chmod(0o640 if name == "open" else 0o600)
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    result = CliRunner().invoke(cli, ["serve", "--db", "gallery.db", *words], obj=settings)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"facecli: {reason}")


def test_without_its_packages_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(cli, ["serve"])
    assert (result.exit_code, "pip install 'facecli[serve]'" in result.stderr) == (2, True)


# life and death


def test_nothing_acknowledged_is_lost_when_the_service_is_killed(tmp_path: Path) -> None:
    """It is killed while four clients enroll, started again, and knows all it said it did."""
    photos = [
        paint(tmp_path / f"{number}.png", PaintedFace(number % 16, 20 * (number // 16)))
        for number in range(32)
    ]
    acknowledged: list[str] = []
    counting = threading.Lock()

    def enroll(process: Popen[bytes], port: int, number: int) -> None:
        with suppress(OSError, http.client.HTTPException):
            status, _, _ = ask(port, f"/enroll?name=p{number}", photos[number], token=ADMIN)
            with counting:  # meanwhile the other clients end at most one request each
                assert status == 200
                acknowledged.append(f"p{number}")
                if len(acknowledged) == 5:
                    process.kill()

    gallery = tmp_path / "g.db"
    with running(gallery) as (process, port), ThreadPoolExecutor(4) as pool:
        done = [pool.submit(enroll, process, port, number) for number in range(32)]
        assert not [one for one in done if one.exception()]
    assert 5 <= len(acknowledged) <= 8
    with running(gallery) as (_, port):
        known = {one["name"] for one in ask(port, "/people")[1]}
    assert set(acknowledged) <= known
    with SqliteGallery(gallery) as reopened:
        assert reopened.integrity_check() == []


def test_it_stops_when_asked_having_answered(tmp_path: Path) -> None:
    photo = paint(tmp_path / "a.png", PaintedFace(0))
    with running(tmp_path / "g.db", how="held") as (process, port), ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, port, "/identify", photo)
        until((tmp_path / "begun").exists)
        process.send_signal(signal.SIGTERM)
        until(lambda: is_closed(port))
        (tmp_path / "go").touch()
        assert asking.result()[0] == 200
        assert process.wait(PATIENT) == 0


def is_closed(port: int) -> bool:
    """Tell whether nobody listens at a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0
