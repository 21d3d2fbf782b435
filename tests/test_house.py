"""Imports point downwards, inside of kernels and of suite; kernels never imports suite."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_ALLOWED = {"numpy", "numba", "llvmlite", "platformdirs", "kernels"}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", sorted((_ROOT / "kernels").rglob("*.py")), ids=lambda p: p.name)
def test_kernels_import_only_what_is_installed_with_them(path: Path) -> None:

    tops = {name.split(".")[0] for name in _imports(path)}
    assert tops <= _ALLOWED | set(sys.stdlib_module_names)


def test_the_oracle_imports_only_the_problem_and_numpy() -> None:
    assert _imports(_ROOT / "kernels" / "reference.py") == {"__future__", "math", "numpy", "kernels.problem"}


@pytest.mark.parametrize("path", sorted((_ROOT / "suite").rglob("*.py")), ids=lambda p: p.name)
def test_suite_imports_kernels_only_through_its_public_face(path: Path) -> None:
    behind = {name for name in _imports(path) if name.startswith("kernels.")}
    # The one exception, which its header explains: limits are probed with the kernels' own tile.
    assert not behind or _module(path) == "suite.machine.probes"


#: Floors of the kernels from the top down; a module is on the floor of its longest name here.
_KERNEL_FLOORS = (
    ("kernels.blocks",),
    ("kernels.transposed_layer",),
    ("kernels.layers",),
    ("kernels.backward",),
    ("kernels.functional", "kernels.gradients", "kernels.transposed"),
    ("kernels.one_call",),
    ("kernels.memory", "kernels.phases"),
    ("kernels.plan",),
    ("kernels.select",),
    ("kernels.costs.model", "kernels.costs.errors"),
    ("kernels.tuning",),
    ("kernels.algorithms",),
    ("kernels.registry",),
    ("kernels.backward_data",),
    ("kernels.contract",),
    ("kernels.costs",),
    ("kernels.parameters",),
    ("kernels.recent",),
    ("kernels.machine",),
    ("kernels.geometry", "kernels.border"),
    ("kernels.arguments",),
    ("kernels.epilogue", "kernels.problem", "kernels.reference"),
    ("kernels.errors",),
)


def _floor(module: str, floors: tuple[tuple[str, ...], ...]) -> int:
    rooms = ((room, i) for i, floor in enumerate(floors) for room in floor)
    return max((len(room), i) for room, i in rooms if module == room or module.startswith(f"{room}."))[1]


#: But for the public face, which imports from every floor.
_KERNELS = [path for path in sorted((_ROOT / "kernels").rglob("*.py")) if path != _ROOT / "kernels" / "__init__.py"]


@pytest.mark.parametrize("path", _KERNELS, ids=lambda p: _module(p))
def test_imports_of_kernels_point_downwards(path: Path) -> None:
    modules = {_module(each) for each in _KERNELS}
    own = _floor(_module(path), _KERNEL_FLOORS)
    above = {name for name in _imports(path) & modules if _floor(name, _KERNEL_FLOORS) < own}
    assert above == set()


def test_no_two_modules_of_the_kernels_need_each_other() -> None:
    assert _rings("kernels", skip={"kernels"}) == []


def test_one_region_is_parallel() -> None:
    said = [
        _module(path)
        for path in _KERNELS
        if "numba_parallel_for" in path.read_text() or "import prange" in path.read_text()
    ]
    assert said == ["kernels.machine.parallel"]


#: Floors of the suite from the top down; a module is on the floor of its longest name here.
_SUITE_FLOORS = (
    ("suite", "suite.__main__", "suite.cli", "suite.fleet.child"),
    ("suite.commands", "suite.asv_bench", "suite.pytest_bench"),
    ("suite.actions",),
    ("suite.fleet",),
    ("suite.report", "suite.history"),
    ("suite.gate", "suite.verification"),
    ("suite.progress",),
    ("suite.results",),
    ("suite.measure",),
    ("suite.bench_params", "suite.inputs", "suite.verify"),
    ("suite.selection",),
    ("suite.contenders",),
    ("suite.oracles", "suite.workload", "suite.catalogue"),
    ("suite.blocks",),
    ("suite.check",),
    ("suite.machine",),
    ("suite.gate.findings", "suite.gate.revisions", "suite.measure.screen"),
    ("suite.results.rows", "suite.results.jsonl", "suite.results.files"),
    ("suite.console", "suite.digests", "suite.format", "suite.git", "suite.hints", "suite.options", "suite.records"),
)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__")


_SUITE = [path for path in sorted((_ROOT / "suite").rglob("*.py")) if path.name != "__main__.py"]


@pytest.mark.parametrize("path", _SUITE, ids=lambda p: _module(p))
def test_imports_of_the_suite_point_downwards(path: Path) -> None:
    own = _floor(_module(path), _SUITE_FLOORS)
    modules = {_module(each) for each in _SUITE}
    above = {name for name in _imports(path) & modules if _floor(name, _SUITE_FLOORS) < own}
    # That of a package without content is no import of the package above it.
    assert above - {"suite"} == set()


def test_every_module_of_the_suite_is_named_by_a_room() -> None:
    rooms = {room for floor in _SUITE_FLOORS for room in floor} - {"suite"}
    homeless = [m for m in map(_module, _SUITE) if not any(m == r or m.startswith(f"{r}.") for r in rooms)]
    assert homeless == ["suite"]


def _rings(package: str, skip: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """Modules that need each other."""
    paths = {_module(path): path for path in (_ROOT / package).rglob("*.py")}
    needs = {module: _imports(path) & paths.keys() - {module} for module, path in paths.items() if module not in skip}
    # Those that need nothing that is left are taken away, until none is left or those in a ring are.
    while free := {module for module, needed in needs.items() if not needed & needs.keys()}:
        needs = {module: needed for module, needed in needs.items() if module not in free}
    return sorted(needs)


def test_no_two_modules_of_the_suite_need_each_other() -> None:
    assert _rings("suite") == []


#: Of the suite, what commands may import before they are carried out: their help is read far more often.
_LIGHT = {"suite", "suite.gate.findings", "suite.gate.revisions", "suite.measure.screen", "suite.options"}


@pytest.mark.parametrize("path", sorted((_ROOT / "suite" / "commands").glob("*.py")), ids=lambda p: p.stem)
def test_commands_import_nothing_that_is_slow(path: Path) -> None:
    top = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert top <= _LIGHT | set(sys.stdlib_module_names) | {"typer", "typer.core", "typer.main"}
