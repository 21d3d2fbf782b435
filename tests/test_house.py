"""Imports point downwards: kernels never knows suite, suite knows the public face of kernels."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_ALLOWED = {"numpy", "numba", "llvmlite", "kernels"}


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
def test_kernels_import_only_numpy_numba_and_the_standard_library(path: Path) -> None:
    import sys

    tops = {name.split(".")[0] for name in _imports(path)}
    assert tops <= _ALLOWED | set(sys.stdlib_module_names)


def test_the_oracle_imports_only_the_problem_and_numpy() -> None:
    assert _imports(_ROOT / "kernels" / "reference.py") == {"__future__", "numpy", "kernels.problem"}


@pytest.mark.parametrize("path", sorted((_ROOT / "suite").rglob("*.py")), ids=lambda p: p.name)
def test_suite_imports_kernels_only_through_its_public_face(path: Path) -> None:
    behind = {name for name in _imports(path) if name.startswith("kernels.")}
    # The one exception, which its header explains: limits are probed with the kernels' own tile.
    assert not behind or path.name == "probes.py"
