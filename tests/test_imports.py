"""The layers of the design hold: imports point down, and heavy ones stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "facecli"

LAYERS = (
    {"types", "errors", "text", "files", "warm"},
    {"faces", "vectors", "portraits"},
    {"stores", "metrics", "clustering", "models", "datasets", "demo"},
    {"calibration", "doctor"},
    {"recognition"},
    {"albums", "gate"},
    {"training", "evaluation"},
    {"records", "report"},
    {"server"},
    {"cli"},
    {"__main__"},
)
"""Lowest first; a module may import its own layer and those before it."""

TORCH_PARTS = {"models", "training"}
FACENET_PARTS = {"models"}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def owner(path: Path) -> str:
    """Name the part of the package that a file belongs to: its first folder or its own stem."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names a file imports, however deep in a function, absolute as written."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_parts(path: Path) -> set[str]:
    """Return the parts of facecli that a file imports."""
    names = {name.split(".")[1] for name in imported(path) if name.startswith("facecli.")}
    return names - {"__version__", owner(path)}


def layer(part: str) -> int:
    for height, parts in enumerate(LAYERS):
        if part in parts:
            return height
    pytest.fail(f"facecli.{part} has no place in LAYERS: give it one")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    if owner(path) == "__init__":
        assert not own_parts(path)
        return
    upward = {part for part in own_parts(path) if layer(part) > layer(owner(path))}
    assert not upward


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_modules(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    if owner(path) not in TORCH_PARTS:
        assert not roots & {"torch", "torchvision"}
    if owner(path) not in FACENET_PARTS:
        assert "facenet_pytorch" not in roots


def test_the_rule_sees_an_import_that_points_up(tmp_path: Path) -> None:
    """The parser finds imports inside functions, as a name and as a module."""
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from facecli import cli\n    import torch.nn\n")
    assert set(imported(bad)) == {"facecli", "facecli.cli", "torch.nn"}


def modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the top-level modules it loaded."""
    script = f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["people", "--help"],
        ["verify", "--help"],
        ["evaluate", "lfw", "--help"],
        ["nonsense"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    loaded = modules_after(
        f"from facecli.cli import cli\ncli.main({arguments!r}, standalone_mode=False)"
    )
    assert "click" in loaded
    assert not loaded & {"torch", "numpy", "PIL", "sqlite_utils", "sklearn", "scipy"}


def test_importing_all_that_needs_no_network_loads_no_torch() -> None:
    """Use-cases other than training get their networks passed in, also indirectly."""
    lines = [
        "import " + ".".join(["facecli", *path.relative_to(PACKAGE).with_suffix("").parts])
        for path in files()
        if owner(path) not in TORCH_PARTS and path.name != "__init__.py"
    ]
    assert "import facecli.recognition.identify" in lines
    assert "torch" not in modules_after("\n".join(lines))


def test_reading_a_model_card_imports_no_torch() -> None:
    loaded = modules_after(
        "from facecli.models.encoders import read_card, DEFAULT_MODEL\nread_card(DEFAULT_MODEL)"
    )
    assert "torch" not in loaded
