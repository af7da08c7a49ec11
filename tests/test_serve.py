"""The service over HTTP: its answers are the command line's, and its limits hold."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from fake_service import ADMIN, TOKEN, running
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint
from record_check import problems
from waiting import PATIENT

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.stores.decisions import DecisionLog

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


@pytest.mark.slow
def test_a_gate_decides_once_and_the_decision_is_in_the_log(port: int, folder: Path) -> None:
    path = f"/gate?session={os.urandom(16).hex()}"
    events: list[dict[str, Any]] = []
    after = 0
    deadline = time.monotonic() + PATIENT
    while after < 5:  # frames after the decision bring no second one
        status, said, _ = ask(port, path, folder / "ada.png")
        assert status == 200
        events += said["events"]
        after += bool(events)
        assert time.monotonic() < deadline
        time.sleep(0.21)  # a look is due
    (event,) = events
    assert (event["kind"], event["status"], event["person"]) == ("gate_event", "match", "Ada")
    assert [(one["state"], one["person"]) for one in said["faces"]] == [("match", "Ada")]
    assert said["size"] == [400, 240]
    with DecisionLog(folder / "log.db") as log:
        log.verify()


def test_the_description_has_the_schemas_of_all_answers(port: int) -> None:
    """Each field with its type and what it means, from the records' definitions."""
    described = ask(port, "/openapi.json")[1]
    schemas = described["components"]["schemas"]
    answer = described["paths"]["/verify"]["post"]["responses"]["200"]["content"]
    assert answer["application/json"]["schema"]["$ref"].endswith("/VerificationRecord")
    fields = schemas["VerificationRecord"]["properties"]
    assert fields["squared_l2"]["type"] == "number"
    assert "squared L2" in fields["squared_l2"]["description"]
    for name in ("IdentificationRecord", "EnrollmentRecord", "SightingRecord", "ErrorRecord"):
        assert schemas[name]["properties"]["schema"]["type"] == "integer"
