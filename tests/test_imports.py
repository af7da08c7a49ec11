"""The house keeps its rules: imports point down, nothing goes round, heavy things stay in place."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from structure import Package, against_floors, circles

PACKAGE = Path(__file__).resolve().parents[1] / "facecli"

FLOORS = (
    frozenset({"types", "errors", "text", "files"}),
    frozenset({"faces", "vectors", "portraits", "warm"}),
    frozenset({"stores", "metrics", "clustering", "models", "datasets", "demo"}),
    frozenset({"calibration", "doctor"}),
    frozenset({"recognition"}),
    frozenset({"albums", "gate"}),
    frozenset({"training", "evaluation"}),
    frozenset({"records", "report"}),
    frozenset({"server"}),
    frozenset({"cli"}),
    frozenset({"__main__", "__init__"}),
)
"""Lowest first. A room imports from lower floors only, never from a room beside it."""

TORCH_MODULES = {
    "models.detectors",
    "models.dlib_import",
    "models.encoders",
    "models.networks",
    "models.torchvision_standin",
}
"""The part of models that may import torch, beside all of training."""

LONGEST_FUNCTION, MEDIAN_FUNCTION, LONGEST_MODULE, MOST_ROOMS = 60, 10, 310, 26


@pytest.fixture(scope="module")
def package() -> Package:
    return Package(PACKAGE)


def torch_outside(package: Package) -> set[str]:
    """Return the modules that import torch though they may not."""
    return {
        name
        for name, module in package.modules.items()
        if module.packages() & {"torch", "torchvision", "facenet_pytorch"}
        and module.room != "training"
        and name not in TORCH_MODULES
    }


def sql_outside(package: Package) -> dict[str, list[str]]:
    """Return the SQL of modules outside the stores."""
    found = {name: one.sql() for name, one in package.modules.items() if one.room != "stores"}
    return {name: texts for name, texts in found.items() if texts}


def test_every_room_has_its_floor(package: Package) -> None:
    rooms = {module.room for module in package.modules.values()}
    assert rooms == frozenset().union(*FLOORS)
    assert len(rooms - {"__init__"}) <= MOST_ROOMS


def test_imports_point_down(package: Package) -> None:
    assert against_floors(package.rooms(), FLOORS) == []


def test_no_module_imports_itself_through_others(package: Package) -> None:
    assert circles(package.imports) == []


def test_only_stores_speak_sql(package: Package) -> None:
    assert sql_outside(package) == {}


def test_torch_stays_in_its_rooms(package: Package) -> None:
    assert torch_outside(package) == set()


def test_functions_and_modules_are_short(package: Package) -> None:
    lines = [
        (length, f"{module.name}.{name}")
        for module in package.modules.values()
        for name, length in module.functions()
    ]
    assert statistics.median(length for length, _ in lines) <= MEDIAN_FUNCTION
    assert [one for one in lines if one[0] > LONGEST_FUNCTION] == []
    lengths = {
        name: len(module.path.read_text("utf-8").splitlines())
        for name, module in package.modules.items()
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


@pytest.mark.slow
class TestTheRulesSee:
    """Each rule fails when what it forbids is put into a copy of the package."""

    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        folder = tmp_path / "facecli"
        shutil.copytree(
            PACKAGE,
            folder,
            ignore=lambda _, names: [one for one in names if not _is_source(one)],
        )
        return folder

    def test_an_import_that_points_up(self, copy: Path) -> None:
        (copy / "metrics" / "bad.py").write_text("def f():\n    import facecli.cli.options\n")
        assert ("metrics", "cli") in against_floors(Package(copy).rooms(), FLOORS)

    def test_an_import_from_a_room_beside(self, copy: Path) -> None:
        (copy / "metrics" / "bad.py").write_text("from facecli.clustering import kmeans\n")
        assert against_floors(Package(copy).rooms(), FLOORS) == [("metrics", "clustering")]

    def test_a_circle_of_modules(self, copy: Path) -> None:
        (copy / "metrics" / "one.py").write_text("from facecli.metrics import two\n")
        (copy / "metrics" / "two.py").write_text(
            "def f():\n    from facecli.metrics.one import x\n"
        )
        assert circles(Package(copy).imports) == [{"metrics.one", "metrics.two"}]

    def test_sql_outside_the_stores(self, copy: Path) -> None:
        (copy / "albums" / "bad.py").write_text('QUERY = """\n    SELECT id FROM person\n"""\n')
        (copy / "gate" / "bad.py").write_text("def f(db):\n    db.execute(g())\n")
        assert set(sql_outside(Package(copy))) == {"albums.bad", "gate.bad"}

    def test_torch_outside_its_rooms(self, copy: Path) -> None:
        (copy / "albums" / "bad.py").write_text("def f():\n    import torch.nn\n")
        (copy / "models" / "bad.py").write_text("from facenet_pytorch import MTCNN\n")
        assert torch_outside(Package(copy)) == {"albums.bad", "models.bad"}

    def test_a_room_without_a_floor(self, copy: Path) -> None:
        (copy / "utils.py").write_text("")
        rooms = {module.room for module in Package(copy).modules.values()}
        assert rooms - frozenset().union(*FLOORS) == {"utils"}


def _is_source(name: str) -> bool:
    return name.endswith(".py") or "." not in name


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


def test_importing_all_that_needs_no_network_loads_no_torch(package: Package) -> None:
    """Use-cases other than training get their networks passed in, also indirectly."""
    lines = [
        f"import facecli.{name}"
        for name, module in package.modules.items()
        if module.room not in {"models", "training", "__main__", "__init__"}
    ]
    assert "import facecli.recognition.identify" in lines
    assert "torch" not in modules_after("\n".join(lines))


def test_reading_a_model_card_imports_no_torch() -> None:
    loaded = modules_after(
        "from facecli.models.encoders import read_card, DEFAULT_MODEL\nread_card(DEFAULT_MODEL)"
    )
    assert "torch" not in loaded
