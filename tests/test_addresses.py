"""Where a gallery is, as users write it: no URL becomes a file, and no password is shown."""

from __future__ import annotations

import builtins
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from facecli.cli import cli
from facecli.errors import GalleryError
from facecli.stores.address import PostgresAddress, located, safe_to_show
from facecli.stores.opening import gallery_at

pytestmark = pytest.mark.base

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://ada:{SECRET}@host:5433/db", "postgresql://ada@host:5433/db"),
        (f"postgres://ada:{SECRET}@host/db", "postgresql://ada@host/db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql:///db", "postgresql:///db"),
        (
            f"postgresql://[::1]/db?password={SECRET}&host=/run/pg",
            "postgresql://[::1]/db?host=/run/pg",
        ),
        (f"postgresql://a@h1,h2:5/db?sslpassword={SECRET}", "postgresql://a@h1,h2:5/db"),
        (f"postgresql://ada:{SECRET}%40%2F@host/db", "postgresql://ada@host/db"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    address = located(url)
    assert isinstance(address, PostgresAddress)
    assert (str(address), address.url) == (shown, url)
    assert SECRET not in repr(address) + f"{address}"
    assert pickle.loads(pickle.dumps(address)) == address


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ada:{SECRET}@@host/db",
        f"postgresql://ada:x/{SECRET}@host/db",
        f"postgresql://ada:x?{SECRET}@host/db",
        f"postgresql://ada:x@{SECRET}@host/db",
        f"postgresql://ada:x#{SECRET}/y@host/db",
        f"postgresql:/ada:{SECRET}@host/db",
        f"mysql://ada:{SECRET}@host/db",
        f"https://ada:{SECRET}@host/db",
        f"sqlite:///{SECRET}.db",
    ],
)
def test_another_url_is_refused_and_makes_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for option in (["--db", url], []):
        monkeypatch.setenv("FACECLI_DB", url)
        outcome = CliRunner().invoke(cli, ["people", "list", *option])
        assert outcome.exit_code == 2
        assert len(outcome.stderr.splitlines()) == 1
        assert SECRET not in outcome.output
    with pytest.raises(GalleryError):
        gallery_at(url)
    assert SECRET not in safe_to_show(url)
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_lost_a_slash_is_no_file_either() -> None:
    """A `Path` made of a URL has one slash less."""
    with pytest.raises(GalleryError, match="give it as text"):
        gallery_at(Path("postgresql://host/db"))


@pytest.mark.parametrize("path", ["gallery.db", "/a/b.db", "c:/x.db", "a:b.db", "./http:x"])
def test_anything_else_is_a_file(path: str) -> None:
    assert located(path) == Path(path)


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "facecli.errors.find_spec", lambda name: None if name == "psycopg" else find_spec(name)
    )
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(
        cli, ["people", "list", "--db", f"postgresql://ada:{SECRET}@host/db"]
    )
    assert outcome.exit_code == 2
    (line,) = outcome.stderr.splitlines()
    assert "postgresql://ada@host/db" in line
    assert "needs psycopg: pip install 'facecli[postgres]'" in line
    assert list(tmp_path.iterdir()) == []


def test_a_driver_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("psycopg")
    true_import = builtins.__import__

    def broken(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "psycopg":
            raise ImportError("no pq wrapper available")
        return true_import(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(GalleryError, match=r"lacks libpq: pip install 'facecli\[postgres\]'"):
        gallery_at("postgresql://host/db")


@pytest.mark.parametrize("where", ["top", "table"])
def test_the_configuration_shows_no_password(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    table = "[identify]\n" if where == "table" else ""
    file.write_text(f'{table}db = "postgresql://ada:{SECRET}@host/db"\n')
    monkeypatch.setenv("FACECLI_CONFIG", str(file))
    monkeypatch.delenv("FACECLI_DB", raising=False)
    for mode in ([], ["--json"]):
        outcome = CliRunner().invoke(cli, ["config", "show", *mode])
        assert outcome.exit_code == 0, outcome.output
        assert "postgresql://ada@host/db" in outcome.output
        assert SECRET not in outcome.output
