"""The structure of a package, read from its source: rooms, modules, imports and functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SQL = re.compile(
    r"^\s*(SELECT|INSERT|UPDATE|DELETE|CREATE (TABLE|INDEX|TRIGGER)|ALTER TABLE|DROP|PRAGMA|BEGIN|"
    r"VACUUM)\b[^.]*$",
    re.MULTILINE,
)


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

    def sql(self) -> list[str]:
        """Return the strings that look like SQL, and calls of execute."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if SQL.search(node.value) and not self._is_docstring(node):
                    found.append(node.value.strip())
            elif isinstance(node, ast.Attribute) and node.attr in {"execute", "executemany"}:
                found.append(f".{node.attr} in line {node.lineno}")
        return found

    def _is_docstring(self, constant: ast.Constant) -> bool:
        return any(
            isinstance(node, ast.Expr) and node.value is constant for node in ast.walk(self.tree)
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
        package's own __init__.
        """
        return {name: set(self._targets(one)) - {name} for name, one in self.modules.items()}

    def _targets(self, module: Module) -> Iterator[str]:
        for dotted in module.imported():
            parts = dotted.split(".")
            if parts[0] != self.name:
                continue
            inner = ".".join(parts[1:])
            outer = ".".join(parts[1:-1])
            if inner in self.modules:
                yield inner
            elif outer in self.modules:
                yield outer

    def rooms(self) -> dict[str, set[str]]:
        """Return the rooms that each room imports from."""
        found: dict[str, set[str]] = {}
        for name, targets in self.imports.items():
            room = self.modules[name].room
            found.setdefault(room, set()).update(self.modules[one].room for one in targets)
            found[room].discard(room)
        return found


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
