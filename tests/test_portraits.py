"""The two portraits are found without running the packages they come in."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from facecli import portraits
from facecli.errors import MissingExtra

BOTH = [("matplotlib", portraits.grace_hopper), ("skimage", portraits.eileen_collins)]


@pytest.mark.parametrize(("package", "find"), BOTH)
def test_portrait_is_a_picture(package: str, find: object) -> None:
    pytest.importorskip(package)
    assert callable(find)
    with Image.open(find()) as picture:
        assert min(picture.size) >= 512


@pytest.mark.parametrize(("package", "find"), BOTH)
def test_absent_package_says_what_to_install(
    package: str, find: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(find)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"{package}.*pip install 'facecli\[demo\]'"):
        find()


def test_package_without_its_portrait_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux distributions strip sample data from their packages."""
    stripped = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: stripped)
    with pytest.raises(MissingExtra, match="facecli\\[demo\\]"):
        portraits.grace_hopper()


def test_finding_them_imports_neither_package() -> None:
    code = (
        "import sys; from facecli import portraits\n"
        "for find in (portraits.grace_hopper, portraits.eileen_collins):\n"
        "    try: find()\n"
        "    except Exception: pass\n"
        "print([name for name in ('matplotlib', 'skimage', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
