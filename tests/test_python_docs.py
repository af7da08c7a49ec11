"""Every example of docs/python.md runs, in the order of the page, on the demo's portraits."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from facecli.demo import set_the_stage

pytestmark = pytest.mark.network

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
TEN_LINES = EXAMPLES[1]
OPTIONAL = {"cv2", "pandas", "fastapi"}


def imports(example: str) -> set[str]:
    """Return the packages an example imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with the demo's portraits and takes."""
    monkeypatch.chdir(set_the_stage(tmp_path / "demo").folder)
    monkeypatch.setenv("FACECLI_DB", str(tmp_path / "own" / "gallery.db"))
    return tmp_path


def test_the_page_has_an_example_for_each_task() -> None:
    assert len(EXAMPLES) >= 9
    assert set().union(*map(imports, EXAMPLES)) >= {"facecli", *OPTIONAL}


def test_ten_lines_enroll_identify_embed_and_sort(
    stage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imports(TEN_LINES) == {"facecli"}
    assert len([line for line in TEN_LINES.splitlines() if line.strip()]) <= 10
    exec(compile(TEN_LINES, "docs/python.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("match Grace Hopper 0.0")
    assert lines[1:] == ["portraits/eileen.png (1, 128)", "2 people"]


def test_the_examples_run_in_order(stage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        missing = {one for one in imports(example) & OPTIONAL if not _installed(one)}
        if not missing:
            exec(compile(example, "docs/python.md", "exec"), names)
    out = capsys.readouterr().out
    assert "[('Eileen Collins', 'E-2'), ('Grace Hopper', 'E-1')]" in out
    assert "False 1.7" in out
    assert "Eileen Collins: squared L2 0.1" in out
    assert "Grace Hopper 5 photos" in out
    if _installed("cv2"):
        assert out.count("match Grace Hopper\n") == 1
    if _installed("pandas"):
        assert "(2, 130)" in out
    if _installed("fastapi"):
        photo = Path("takes/grace-jpeg20.jpg").read_bytes()
        assert posted(names["app"], "/who", photo) == [
            {"status": "match", "person": "Grace Hopper"}
        ]
        assert posted(names["app"], "/who", b"no photo")[0]["status"] == "error"


def posted(app: Any, path: str, body: bytes) -> Any:
    """Post a body to an ASGI application and return its JSON answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    with ThreadPoolExecutor(1) as thread:  # a browser of other tests may run in this one
        thread.submit(asyncio.run, app(scope, receive, send)).result()
    return json.loads(b"".join(message.get("body", b"") for message in sent))


def _installed(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True
