"""Addresses of streams: no password is told, and what is wrong with the network is."""

from __future__ import annotations

import socket

import pytest

from facecli.errors import GateError
from facecli.gate.addresses import checked, why_unreachable


def test_a_password_is_told_neither_as_a_name_nor_in_an_error() -> None:
    address = "rtsp://user:secret@camera.example:554/stream?token=secret"
    assert checked(address) == "rtsp://camera.example:554/stream"
    with pytest.raises(GateError) as caught:
        checked("rtspp://user:secret@camera.example/stream")
    assert "secret" not in str(caught.value)


def test_a_host_is_unknown_refuses_or_gives_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is enough; only the name that nobody knows is made up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam"
        assert "path and password" in why_unreachable(address)
    assert "cannot be reached" in why_unreachable(address)

    def unknown(*_: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "not known" in why_unreachable("rtsp://camera.example/cam")
    assert "cannot be reached" in why_unreachable("rtsp://camera.example:99999/cam")
