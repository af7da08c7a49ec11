"""The loopback server: who knows the address is served, and nobody else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from waiting import PATIENT

from facecli.errors import FacecliError
from facecli.server.loopback import MOST_BYTES, Server


class FakePage:
    """Remember what was said, and in which thread everything happened."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.threads: set[int] = set()

    def page(self) -> str:
        self.threads.add(threading.get_ident())
        return "<!doctype html>Zoë"

    def picture(self, name: str) -> bytes | None:
        self.threads.add(threading.get_ident())
        if name == "broken.jpg":
            raise FacecliError("the library is gone")
        return b"jpeg" if name == "face/1.jpg" else None

    def correct(self, said: Any) -> None:
        self.threads.add(threading.get_ident())
        if said == "nonsense":
            raise FacecliError("this is not a correction")
        self.said.append(said)


@pytest.fixture(scope="module")
def started() -> Iterator[Server]:
    made = Server(FakePage())
    threading.Thread(target=made.serve, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def page_source() -> FakePage:
    return FakePage()


@pytest.fixture
def server(started: Server, page_source: FakePage) -> Server:
    started.page_source = page_source
    return started


def ask(
    server: Server, path: str, method: str = "GET", body: str = "", **headers: str
) -> HTTPResponse:
    """Send one request; headers are those of the page itself unless given, empty ones left out."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENT)
    own = {"Host": server.host}
    if method == "POST":
        own |= {"Origin": f"http://{server.host}", "Content-Type": "application/json"}
    for name, value in headers.items():
        own[name.replace("_", "-")] = value
    connection.request(method, path, body, {name: one for name, one in own.items() if one})
    return connection.getresponse()


def test_the_page_its_pictures_and_its_corrections_are_served_in_one_thread(
    server: Server, page_source: FakePage
) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    page = ask(server, f"/{server.token}/")
    assert page.status == 200
    assert page.read().decode() == "<!doctype html>Zoë"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert page.headers["Cache-Control"] == "no-store"
    picture = ask(server, f"/{server.token}/face/1.jpg")
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/jpeg")
    assert picture.read() == b"jpeg"
    said = {"what": "name", "clusters": [1], "name": "Zoë"}
    assert ask(server, f"/{server.token}/correct", "POST", json.dumps(said)).status == 200
    assert page_source.said == [said]
    assert len(page_source.threads) == 1


@pytest.mark.parametrize("path", ["/", "/{}", "/x{}/", "/{}x/", "/favicon.ico", "/{}/../"])
def test_who_does_not_know_the_address_sees_nothing(
    server: Server, page_source: FakePage, path: str
) -> None:
    assert ask(server, path.format(server.token)).status == 404


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", "0.0.0.0:80"])
def test_a_foreign_name_for_this_machine_is_refused(
    server: Server, page_source: FakePage, host: str
) -> None:
    """As when a web site's name is made to mean 127.0.0.1 (DNS rebinding)."""
    assert ask(server, f"/{server.token}/", Host=host).status == 421
    assert not page_source.threads


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": ""}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Length": str(MOST_BYTES + 1)}, 413),
        ({"Content_Length": "-1"}, 413),
    ],
)
def test_only_the_page_itself_may_correct(
    server: Server, page_source: FakePage, headers: dict[str, str], status: int
) -> None:
    path = f"/{server.token}/correct"
    assert ask(server, path, "POST", "{}", **headers).status == status
    assert page_source.said == []


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("{", 400, "this is not JSON"),
        ("[" * 9999, 400, "this is not JSON"),
        ('"nonsense"', 200, "this is not a correction"),
    ],
)
def test_what_is_wrong_is_said(server: Server, body: str, status: int, error: str) -> None:
    answer = ask(server, f"/{server.token}/correct", "POST", body)
    assert answer.status == status
    assert json.loads(answer.read()) == {"error": error}


def test_other_requests_are_refused(server: Server) -> None:
    assert ask(server, f"/{server.token}/correct").status == 404
    assert ask(server, f"/{server.token}/", "POST", "{}").status == 404
    assert ask(server, f"/{server.token}/face/2.jpg").status == 404
    assert ask(server, f"/{server.token}/", "DELETE").status == 501
    assert json.loads(ask(server, f"/{server.token}/broken.jpg").read()) == {
        "error": "the library is gone"
    }


def test_two_servers_have_different_addresses_and_a_taken_port_is_named(server: Server) -> None:
    other = Server(FakePage())
    assert other.token != server.token
    other.server_close()
    with pytest.raises(FacecliError, match=f"port {server.server_port}"):
        Server(FakePage(), port=server.server_port)
