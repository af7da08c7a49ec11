"""The structure of a package, read from its source: rooms, modules, imports and functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SQL = re.compile(
    r"""^\s*(
        select\s.*\bfrom\b | delete\s+from\b | replace\s+into\b
      | insert\s+(or\s+\w+\s+)?into\b | update\s+(or\s+\w+\s+)?\S+\s+set\b
      | (create|drop|alter)\s+(temp\w*\s+|unique\s+|virtual\s+)*(table|index|trigger|view)\b
      | with\s+(recursive\s+)?\w+.*\bas\s*\( | pragma\s+\w
      | (begin|commit|rollback|savepoint|release|vacuum|attach|analyze)\b[\w\s]*;?\s*$
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL | re.MULTILINE,
)
"""A line that starts like a statement of SQL. No message of the program looks like one."""

EXECUTES = {"execute", "executemany", "executescript"}
DATABASES = {"sqlite3", "sqlite_utils"}


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name without the package, and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first folder, or the file itself where it lies at the top."""
        return self.name.split(".")[0]

    def imported(self) -> Iterator[str]:
        """Yield the dotted names it imports, also inside functions, absolute as written."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path} imports relatively"
                assert node.module is not None
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def packages(self) -> set[str]:
        """Return the top-level packages it imports."""
        return {name.split(".")[0] for name in self.imported()}

    def attributes_of(self, name: str) -> Iterator[str]:
        """Yield `name.attribute` for every attribute of a name that it uses."""
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == name
            ):
                yield f"{name}.{node.attr}"

    def sql(self) -> list[str]:
        """Return the strings that look like SQL, calls of execute, and imports of databases."""
        found = [f"import {name}" for name in sorted(self.packages() & DATABASES)]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and node.attr in EXECUTES:
                found.append(f".{node.attr} in line {node.lineno}")
            elif (text := _text(node)) and SQL.search(text) and not self._is_docstring(node):
                found.append(text.strip())
        return found

    def _is_docstring(self, text: ast.AST) -> bool:
        return any(
            isinstance(node, ast.Expr) and node.value is text for node in ast.walk(self.tree)
        )

    def functions(self) -> Iterator[tuple[str, int]]:
        """Yield every function with its number of lines, from `def` to its end."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield node.name, node.end_lineno - node.lineno + 1


class Package:
    """All modules below a folder."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.modules = {
            one.name: one
            for one in (_module(folder, path) for path in sorted(folder.rglob("*.py")))
        }

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """The modules of this package that each module imports.

        `from package import name` means the module package.name if there is one, otherwise the
        package's own __init__. Names such as __version__, which the outermost __init__ holds
        itself, are no import of what else it offers.
        """
        return {name: set(self._targets(one)) - {name} for name, one in self.modules.items()}

    def _targets(self, module: Module) -> Iterator[str]:
        for dotted in (*module.imported(), *module.attributes_of(self.name)):
            parts = dotted.split(".")
            if parts[0] != self.name or len(parts) == 1:
                continue
            inner = ".".join(parts[1:])
            outer = ".".join(parts[1:-1]) or "__init__"
            if inner in self.modules:
                yield inner
            elif outer in self.modules and (outer != "__init__" or not _is_special(inner)):
                yield outer

    def rooms(self) -> dict[str, set[str]]:
        """Return the rooms that each room imports from."""
        return self.inside("")

    def folders(self) -> list[str]:
        """Return the packages inside the package: all that have modules below them."""
        return sorted({name.rpartition(".")[0] for name in self.modules if "." in name})

    def inside(self, package: str) -> dict[str, set[str]]:
        """Return the imports among the parts of a package: the modules and packages in it.

        Its own __init__ is a part by that name. "" is the whole package.
        """
        found: dict[str, set[str]] = {}
        for name, targets in self.imports.items():
            if part := _part(name, package):
                others = {_part(target, package) for target in targets} - {None, part}
                found.setdefault(part, set()).update(one for one in others if one)
        return found

    def side_by_side(self) -> list[tuple[str, str]]:
        """Return the imports from a package to another one right beside it, inside a room."""
        packages = set(self.folders())
        return [
            (f"{outer}.{one}", f"{outer}.{other}")
            for outer in self.folders()
            for one, others in self.inside(outer).items()
            for other in sorted(others)
            if {f"{outer}.{one}", f"{outer}.{other}"} <= packages
        ]


def _part(name: str, package: str) -> str | None:
    """Return the part of a package that a module is or lies in; None if it lies elsewhere."""
    if not package:
        return name.split(".")[0]
    if name == package:
        return "__init__"
    return (
        name.removeprefix(f"{package}.").split(".")[0] if name.startswith(f"{package}.") else None
    )


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _text(node: ast.AST) -> str | None:
    """Return the text of a string, with an x for each value that is formatted into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "x" for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of nodes that reach each other (Tarjan, 1972: strong components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            start = stack.index(node)
            group, stack[start:] = set(stack[start:]), []
            if len(group) > 1:
                found.append(group)

    for node in graph:
        if node not in order:
            visit(node)
    return found


def against_floors(
    rooms: dict[str, set[str]], floors: Iterable[frozenset[str]]
) -> list[tuple[str, str]]:
    """Return the imports that do not point to a lower floor: up, or to a room beside."""
    height = {room: floor for floor, found in enumerate(floors) for room in found}
    return sorted(
        (room, target)
        for room, targets in rooms.items()
        for target in targets
        if height[target] >= height[room]
    )


def _module(folder: Path, path: Path) -> Module:
    parts = path.relative_to(folder).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
