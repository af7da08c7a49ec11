"""JSON, XMP, rows and log entries from elsewhere: one line, exit 2, and the others are done."""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, fake_card, new_template, paint
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.errors import FacecliError, ModelError
from facecli.models import checkpoints, detector_weights
from facecli.stores.decisions import DecisionLog
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.text import DEEPEST_JSON, read_json, read_json_object

DEEP = "[" * 100_000
HUGE = "1" + "0" * 400
OUT_OF_BOUNDS = {
    "deep lists": DEEP,
    "closed deep lists": "[" * 5000 + "]" * 5000,
    "deep objects": '{"a":' * 5000,
    "Infinity": '{"size": Infinity}',
    "-Infinity": '{"size": -Infinity}',
    "NaN": '{"size": NaN}',
    "a float that overflows": '{"bias": 1e400}',
    "10 to the power of 400": f'{{"bias": {HUGE}}}',
    "beyond 64 bits": '{"clusters": [99999999999999999999999]}',
    "5,000 digits": "1" * 5000,
    "a name twice": '{"a": 1, "a": 2}',
    "not UTF-8": b'"\xff"',
    "nothing": "",
}


def run(*words: object) -> Result:
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    return CliRunner().invoke(cli, [str(word) for word in words], obj=settings)


def refused(result: Result, *named: str) -> None:
    """One line that names the input, exit code 2, and no word of a bug."""
    (line,) = result.stderr.strip().splitlines()
    assert all(one in line for one in named), line
    assert result.exit_code == 2
    assert "bug" not in line


# JSON


@pytest.mark.parametrize("text", OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS)
def test_json_out_of_bounds_is_a_value_error_of_one_line(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        read_json(text)
    assert len(str(raised.value)) < 200
    assert "\n" not in str(raised.value)


def test_the_bounds_are_where_they_are_said_to_be() -> None:
    limit = "[" * DEEPEST_JSON + "]" * DEEPEST_JSON
    assert read_json(limit)
    with pytest.raises(ValueError, match="64 levels"):
        read_json(f"[{limit}]")
    assert read_json(json.dumps("[" * 1000)) == "[" * 1000, "brackets in a text do not count"
    assert read_json(json.dumps('"' + "{" * 1000)) == '"' + "{" * 1000
    assert read_json(str(2**63 - 1)) == 2**63 - 1
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        read_json('"' + "a" * 10 + '"', most=10)
    with pytest.raises(ValueError, match="object"):
        read_json_object("[1]")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e300, 1e300)
    # half a surrogate pair too: paths that are no UTF-8 are written so
    | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
)


@given(JSON, st.sampled_from([None, 1]))
def test_all_other_json_is_read_as_python_reads_it(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert read_json(text) == json.loads(text)
    assert read_json(text.encode()) == json.loads(text)


@given(st.text(alphabet='[]{}",:\\ -01e.aNItrue', max_size=60))
def test_nothing_but_a_value_error_is_ever_raised(text: str) -> None:
    try:
        read_json(text)
    except ValueError:
        return


def test_all_json_is_read_in_one_place() -> None:
    package = Path(checkpoints.__file__).parents[1]
    readers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"json\.loads?\((?!json\.dumps)", path.read_text("utf-8"))
    }
    assert readers == {"text.py"}


def card_file(path: Path, text: str) -> Path:
    save_file({"a": np.ones(3, np.float16)}, path, metadata={"card": text, "detector": text})
    return path


CARD = json.loads(json.dumps(dataclasses.asdict(fake_card())))


@pytest.mark.parametrize(
    "text",
    [
        *[one for one in OUT_OF_BOUNDS.values() if isinstance(one, str)],
        "null",
        "[]",
        json.dumps({**CARD, "name": ["a"]}),
        json.dumps({**CARD, "fingerprint": 5}),
        json.dumps({**CARD, "architecture": [1]}),
        json.dumps({**CARD, "thresholds": {"x": 1}}),
        json.dumps({**CARD, "thresholds": {"1e-3": "far"}}),
        json.dumps({**CARD, "thresholds": [1]}),
        json.dumps({**CARD, "impostors": None}),
        json.dumps({**CARD, "history": ["a"]}),
        json.dumps({**CARD, "data": 5}),
        json.dumps({**CARD, "dimension": "many"}),
        json.dumps({**CARD, "dimension": -5}),
        json.dumps({**CARD, "dimension": 10**6}),
        json.dumps({**CARD, "threshold": None}),
        json.dumps({**CARD, "geometry": 5}),
        json.dumps({**CARD, "geometry": {**CARD["geometry"], "size": 0}}),
        json.dumps({**CARD, "unheard_of": 5}),
    ],
)
def test_a_card_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = card_file(tmp_path / "m.safetensors", text)
    with pytest.raises(ModelError, match="holds no readable model card"):
        checkpoints.read_card(path)
    with pytest.raises(ModelError, match=r"no readable card|not the weights"):
        detector_weights.load(path)
    refused(run("models", "info", path), "m.safetensors")


def test_weights_that_are_nan_with_a_fitting_fingerprint_are_refused(tmp_path: Path) -> None:
    """B3, mended before."""
    weights = {"a": np.array([np.nan], np.float16)}
    card = fake_card()
    right = checkpoints.fingerprint(weights, card.architecture, card.geometry)
    fields = {**CARD, "fingerprint": right}
    path = tmp_path / "nan.safetensors"
    save_file(weights, path, metadata={"card": json.dumps(fields)})
    with pytest.raises(ModelError, match="weights a are not finite"):
        checkpoints.load(path)


VERIFIER = {
    "fingerprint": fake_card().fingerprint,
    "model": "fake-128",
    "form": "squared-l2",
    "weights": [1.0],
    "bias": 0.5,
    "needed": 0.5,
    "far": 0.001,
    "verdict": "",
    "source": "",
    "created": "",
}


@pytest.mark.parametrize(
    "text",
    [
        *OUT_OF_BOUNDS.values(),
        json.dumps(VERIFIER).replace("0.5", HUGE, 1),
        json.dumps({**VERIFIER, "fingerprint": 5}),
        json.dumps({**VERIFIER, "bias": "much"}),
        json.dumps({**VERIFIER, "weights": 5}),
        json.dumps({**VERIFIER, "form": ["a"]}),
    ],
)
def test_a_verifier_that_is_none_is_refused(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "v.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    photo = paint(tmp_path / "a.png", PaintedFace())
    refused(run("verify", photo, photo, "--verifier", path), "v.json", "not a verifier")


# Databases


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "gallery.db"
    monkeypatch.setenv("FACECLI_DB", str(place))
    with SqliteGallery(place) as opened:
        rows = np.eye(2, 128, dtype=np.float32)
        people = [new_template("Ada", rows[0]), new_template("Bob", rows[1])]
        opened.add(people, FakeEncoder().card)
    return place


def loosen(place: Path, table: str) -> sqlite3.Connection:
    """Give a table columns that take anything, with the rows it has."""
    other = sqlite3.connect(place)
    columns = [row[1] for row in other.execute(f"PRAGMA table_info({table})")]
    other.executescript(
        "PRAGMA legacy_alter_table = ON; PRAGMA foreign_keys = OFF; "
        f"CREATE TABLE loose ({', '.join(columns)}); "
        f"INSERT INTO loose SELECT * FROM {table}; DROP TABLE {table}; "
        f"ALTER TABLE loose RENAME TO {table}"
    )
    return other


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("person", "name = NULL"),
        ("person", "id = 'one'"),
        ("person", "id = NULL"),
        ("person", "name = x'ff'"),
        ("person", "created = 5"),
        ("person", "external_id = 5"),
        ("template", "person_id = 'one'"),
        ("template", "person_id = 77"),
        ("template", "embedding = 'text'"),
        ("template", "embedding = NULL"),
        ("template", "id = 'x'"),
        ("model", "name = NULL"),
        ("model", "dimension = 'many'"),
        ("meta", "generation = 'x'"),
    ],
)
def test_a_gallery_with_rows_of_another_kind_is_one_line(
    gallery: Path, tmp_path: Path, table: str, change: str
) -> None:
    with loosen(gallery, table) as other:
        other.execute(f"UPDATE {table} SET {change}")
    other.close()
    photo = paint(tmp_path / "a.png", PaintedFace())
    refusals = 0
    for words in (["people", "list"], ["identify", photo], ["models", "list"], ["doctor"]):
        result = run(*words)
        assert "bug" not in result.output, words
        assert "Traceback" not in result.output
        if words[0] != "doctor" and result.exit_code == 2:
            refused(result, "gallery.db")
            refusals += 1
    assert refusals or table == "model"  # only doctor lists the models of a gallery
    assert result.exit_code


@pytest.mark.parametrize(
    "text", [*OUT_OF_BOUNDS.values(), "[]", '{"pairs": [[1]]}', '{"pairs": "x"}', "5", "null"]
)
def test_a_calibration_out_of_bounds_is_one_line(gallery: Path, text: str | bytes) -> None:
    card = FakeEncoder().card
    with sqlite3.connect(gallery) as other:
        row = (card.fingerprint, card.name, 0.5, *[0.0] * 3, *[1] * 3, None, "s", "c", text)
        if isinstance(text, bytes):
            row = (*row[:-1], text.decode("latin-1"))
        other.execute(f"INSERT INTO calibration VALUES ({', '.join('?' * 13)})", row)
    other.close()
    photo = paint(gallery.parent / "a.png", PaintedFace())
    refused(run("identify", photo))


@pytest.mark.parametrize("body", [*OUT_OF_BOUNDS.values(), "[]", "{}", '{"time": 5}'])
def test_a_damaged_decision_costs_no_other(tmp_path: Path, body: str | bytes) -> None:
    place = tmp_path / "log.db"
    with DecisionLog(place) as log:
        log.append([{"time": f"2026-01-0{day}T00:00:00.000+00:00"} for day in (1, 2, 3)])
    with sqlite3.connect(place) as other:
        other.execute("DROP TRIGGER decision_stays")
        text = body.decode("latin-1") if isinstance(body, bytes) else body
        other.execute("UPDATE decision SET body = ? WHERE number = 2", (text,))
    other.close()
    for words in (["log", "show", "--json"], ["log", "export"]):
        result = run(*words, "--log", place)
        numbers = [json.loads(line)["number"] for line in result.stdout.splitlines()]
        assert numbers == [1, 3]
        refused(result, "decision 2 is damaged")
    assert run("log", "verify", "--log", place).exit_code == 1
    refused(run("log", "prune", "--older-than", 1, "-y", "--log", place), "decision 2")


@pytest.mark.parametrize(
    "words",
    [
        ["cluster", "name", 10**23, "Ada"],
        ["cluster", "merge", 1, 10**30],
        ["log", "show", "--last", 10**23],
        ["log", "prune", "--yes", "--older-than", 10**9],
        ["identify", "a.png", "-k", 10**23],
        ["cluster", "a.png", "--k", 10**23],
        ["cluster", "a.png", "--workers", 10**23],
    ],
)
def test_a_number_beyond_all_counts_is_no_bug(tmp_path: Path, words: list[object]) -> None:
    with DecisionLog(tmp_path / "log.db"):
        pass
    more = ["--log", tmp_path / "log.db"] if words[0] == "log" else []
    result = run(*words, *more)
    assert "bug" not in result.output
    assert result.exit_code == (0 if words[:2] == ["log", "prune"] else 2)


# The review page


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"what": "name", "clusters": [99999999999999999999999], "name": "Ada"}', 400),
        (DEEP.encode(), 400),
        (b'{"what": "name", "clusters": [1e400], "name": "Ada"}', 400),
        (b'{"what": "name", "clusters": [9223372036854775807], "name": "Ada"}', 200),
        (b'{"what": "name", "clusters": [1], "name": "\\ud800"}', 200),
        (b"[]", 200),
    ],
)
def test_a_request_out_of_bounds_is_refused(tmp_path: Path, body: bytes, status: int) -> None:
    """200 is how the page gets the reason why a correction cannot be."""
    import threading
    from http.client import HTTPConnection

    from facecli.albums.corrections import Corrections
    from facecli.server.loopback import Server
    from facecli.server.review import _apply
    from facecli.stores.library import Library
    from facecli.stores.library.clusters import AlbumStore

    class Reviewed:
        def page(self) -> str:
            return ""

        def picture(self, name: str) -> bytes | None:
            return None

        def correct(self, request: Any) -> None:
            with Library.memory() as library:
                _apply(Corrections(AlbumStore(library)), request)

    server = Server(Reviewed())
    threading.Thread(target=server.serve, daemon=True).start()
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    headers = {"Origin": f"http://{server.host}", "Content-Type": "application/json"}
    connection.request("POST", f"/{server.token}/correct", body, headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    server.shutdown()
    assert answer.status == status
    assert "\n" not in found["error"]


# Sidecars


def nested(levels: int) -> bytes:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    inside = "<a>" * levels + "</a>" * levels
    return f'<rdf:RDF xmlns:rdf="{rdf}">{inside}</rdf:RDF>'.encode()


def many(parts: int) -> bytes:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    return f'<rdf:RDF xmlns:rdf="{rdf}">{"<a/>" * parts}</rdf:RDF>'.encode()


@pytest.mark.parametrize("xmp", [nested(2000), nested(100_000), many(1_000_000)])
@pytest.mark.parametrize("inside", [True, False])
def test_a_hostile_sidecar_costs_no_other(
    tmp_path: Path, xmp: bytes, inside: bool, gallery: Path
) -> None:
    """Inside a JPEG or beside it; one segment of a JPEG holds 64 kB, so the largest is left out."""
    from PIL import Image

    if inside and len(xmp) > 60_000:
        pytest.skip("too large for a JPEG's segment")
    folder = tmp_path / "photos"
    for name in ("bad", "good"):
        paint(folder / f"{name}.png", PaintedFace())
    if inside:
        with Image.open(folder / "bad.png") as picture:
            picture.save(folder / "bad.jpg", quality=100, subsampling=0, xmp=xmp)
        (folder / "bad.png").unlink()
    else:
        (folder / "bad.png.xmp").write_bytes(xmp)
    result = run("cluster", folder, "--xmp", "--json")
    assert (folder / "good.png.xmp").exists()
    if not inside:
        assert result.exit_code == 2
        assert (folder / "bad.png.xmp").read_bytes() == xmp
        assert len([one for one in result.stderr.splitlines() if "bad.png.xmp" in one]) == 1
    result = run("cluster", folder, "--from-xmp", "--json")
    assert "bug" not in result.stderr


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), OverflowError("x")])
def test_a_sidecar_costs_no_other_whatever_it_raises(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, gallery: Path
) -> None:
    from facecli.albums import xmp

    merged: Callable[..., bytes | None] = vars(xmp)["merged"]

    def failing(before: bytes | None, *rest: Any) -> bytes | None:
        if before == b"bad":
            raise error
        return merged(before, *rest)

    monkeypatch.setattr(xmp, "merged", failing)
    for name in ("bad", "good"):
        paint(tmp_path / "photos" / f"{name}.png", PaintedFace())
    (tmp_path / "photos" / "bad.png.xmp").write_bytes(b"bad")
    result = run("cluster", tmp_path / "photos", "--xmp")
    assert (tmp_path / "photos" / "good.png.xmp").exists()
    assert result.exit_code == 2
    assert "bad.png.xmp" in result.stderr


def test_a_config_that_nests_deeply_is_one_line(tmp_path: Path) -> None:
    from facecli.training.config import read_toml

    path = tmp_path / "c.toml"
    path.write_text("a = " + "[" * 50_000)
    before = sys.getrecursionlimit()
    with pytest.raises(FacecliError, match=r"c\.toml"):
        read_toml(path)
    assert sys.getrecursionlimit() == before
