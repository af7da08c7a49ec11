"""The house keeps its rules: imports point down, nothing goes round, heavy things stay in place."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tomllib
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
    "models.bare_trunks",
    "models.block_networks",
    "models.detector_import",
    "models.encoders",
    "models.mtcnn",
    "models.networks",
    "models.torch_encoder",
    "models.torch_threads",
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


def circles_inside(package: Package) -> dict[str, list[set[str]]]:
    """Return the circles among the modules and packages that lie side by side in one package."""
    found = {name: circles(package.inside(name)) for name in package.folders()}
    return {name: groups for name, groups in found.items() if groups}


def too_long(package: Package) -> list[str]:
    """Return the functions and modules that are too long."""
    functions = [
        f"{module.name}.{name}: {length} lines"
        for module in package.modules.values()
        for name, length in module.functions()
        if length > LONGEST_FUNCTION
    ]
    lengths = {
        name: len(one.path.read_text("utf-8").splitlines()) for name, one in package.modules.items()
    }
    return functions + [
        f"{name}: {length} lines" for name, length in lengths.items() if length > LONGEST_MODULE
    ]


def without_floor(package: Package) -> set[str]:
    """Return the rooms that have no floor."""
    rooms = {module.room for module in package.modules.values()}
    return set(rooms - frozenset().union(*FLOORS))


def sql_outside(package: Package) -> dict[str, list[str]]:
    """Return the SQL of modules outside the stores."""
    found = {name: one.sql() for name, one in package.modules.items() if one.room != "stores"}
    return {name: texts for name, texts in found.items() if texts}


def test_every_room_has_its_floor(package: Package) -> None:
    assert without_floor(package) == set()
    rooms = {module.room for module in package.modules.values()}
    assert rooms == frozenset().union(*FLOORS), "a floor has a room that does not exist"
    assert len(rooms - {"__init__"}) <= MOST_ROOMS


def test_imports_point_down(package: Package) -> None:
    assert against_floors(package.rooms(), FLOORS) == []


def test_no_module_imports_itself_through_others(package: Package) -> None:
    assert circles(package.imports) == []


def test_nothing_inside_a_room_imports_itself_through_others(package: Package) -> None:
    """Packages count as one: cli.cluster and the modules beside it form no circle."""
    assert circles_inside(package) == {}


def test_packages_side_by_side_in_a_room_stay_apart(package: Package) -> None:
    assert package.side_by_side() == []


def test_only_stores_speak_sql(package: Package) -> None:
    assert sql_outside(package) == {}


def test_torch_stays_in_its_rooms(package: Package) -> None:
    assert torch_outside(package) == set()


OTHER_NAMES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
"""The packages that are imported under another name than they are installed by."""

BROUGHT = {
    "markupsafe",
    "pydantic",
    "starlette",
    "threadpoolctl",
    "torchvision",
    "typing-extensions",
}
"""Parts of the interface of jinja2, fastapi and scikit-learn; torchvision is only stood in for."""


def test_every_package_imported_is_declared(package: Package) -> None:
    """In the dependencies or an extra, or it is part of what a declared one hands over."""
    text = (PACKAGE.parent / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    declared = {re.split(r"[<>=\[]", line)[0].replace("_", "-") for line in lines}
    used = set().union(*(module.packages() for module in package.modules.values()))
    names = {OTHER_NAMES.get(one, one).replace("_", "-") for one in used - sys.stdlib_module_names}
    assert names - declared - BROUGHT - {"facecli"} == set()
    base = {re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]}
    assert "scipy" in base
    assert "scikit-learn" not in base


def test_functions_and_modules_are_short(package: Package) -> None:
    """A function counts from its `def` line to its last line, with its docstring."""
    functions = [one for module in package.modules.values() for one in module.functions()]
    assert statistics.median(length for _, length in functions) <= MEDIAN_FUNCTION
    assert too_long(package) == []


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

    def test_a_use_of_the_public_names_from_within(self, copy: Path) -> None:
        (copy / "metrics" / "bad.py").write_text("from facecli import Recognizer, __version__\n")
        (copy / "server" / "bad.py").write_text("import facecli\n\nx = facecli.open\n")
        (copy / "server" / "good.py").write_text("import facecli\n\nx = facecli.__version__\n")
        assert against_floors(Package(copy).rooms(), FLOORS) == [
            ("metrics", "__init__"),
            ("server", "__init__"),
        ]

    def test_a_circle_through_a_package(self, copy: Path) -> None:
        """No two modules import each other, but the package and the module beside it do."""
        (copy / "albums" / "one.py").write_text("from facecli.albums.sidecars import two\n")
        (copy / "albums" / "sidecars" / "two.py").write_text("")
        (copy / "albums" / "sidecars" / "three.py").write_text("from facecli.albums import four\n")
        (copy / "albums" / "four.py").write_text("import facecli.albums.one\n")
        assert circles(Package(copy).imports) == []
        assert circles_inside(Package(copy)) == {"albums": [{"sidecars", "one", "four"}]}

    def test_a_package_that_imports_from_one_beside_it(self, copy: Path) -> None:
        (copy / "cli" / "cluster" / "bad.py").write_text(
            "def f():\n    from facecli.cli import doctor\n"
        )
        assert Package(copy).side_by_side() == [("cli.cluster", "cli.doctor")]

    def test_a_function_and_a_module_that_are_too_long(self, copy: Path) -> None:
        (copy / "metrics" / "bad.py").write_text("def f():\n" + "    x = 1\n" * 60)
        (copy / "metrics" / "long.py").write_text("x = 1\n" * 311)
        assert too_long(Package(copy)) == ["metrics.bad.f: 61 lines", "metrics.long: 311 lines"]

    def test_a_circle_of_modules(self, copy: Path) -> None:
        (copy / "metrics" / "one.py").write_text("from facecli.metrics import two\n")
        (copy / "metrics" / "two.py").write_text(
            "def f():\n    from facecli.metrics.one import x\n"
        )
        assert circles(Package(copy).imports) == [{"metrics.one", "metrics.two"}]

    def test_sql_outside_the_stores(self, copy: Path) -> None:
        (copy / "albums" / "bad.py").write_text('QUERY = """\n    SELECT p.id FROM person p\n"""\n')
        (copy / "gate" / "bad.py").write_text("def f(db):\n    db.execute(g())\n")
        (copy / "server" / "bad.py").write_text('def f(t):\n    return f"delete from {t}"\n')
        (copy / "cli" / "bad.py").write_text("def f():\n    import sqlite3\n")
        (copy / "cli" / "good.py").write_text('"""Select a photo from many."""\n')
        bad = {"albums.bad", "gate.bad", "server.bad", "cli.bad"}
        assert set(sql_outside(Package(copy))) == bad

    def test_torch_outside_its_rooms(self, copy: Path) -> None:
        (copy / "albums" / "bad.py").write_text("def f():\n    import torch.nn\n")
        (copy / "models" / "bad.py").write_text("from facenet_pytorch import MTCNN\n")
        assert torch_outside(Package(copy)) == {"albums.bad", "models.bad"}

    def test_a_room_without_a_floor(self, copy: Path) -> None:
        (copy / "utils.py").write_text("")
        assert without_floor(Package(copy)) == {"utils"}


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
