"""The register tile: right at every vector width, and really in registers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import kernels
from kernels.algorithms import direct, im2col
from kernels.machine import jit
from kernels.machine.cpu import vector_bytes

_ROOT = Path(kernels.__file__).parent.parent

_VERIFY = """
import numpy as np, kernels
from kernels.machine.cpu import vector_bytes
rng = np.random.default_rng(1)
for text in ("ic5ih9iw19oc37kh3ph1b1", "g2ic6ih7oc20kh2sh2dh2ph1f64", "ic4ih6iw3oc9kh1"):
    p = kernels.Conv2dProblem.parse(text)
    src, wei, bia = (rng.integers(-4, 5, s).astype(p.dtype) for s in (p.input_shape, p.weight_shape, (p.oc,)))
    for name in ("direct_tiled", "im2col_gemm"):
        dst = kernels.plan(p, wei, bia if p.bias else None, algorithm=name, threads=1)(src)
        assert (dst == kernels.conv2d_reference(p, src, wei, bia if p.bias else None)).all(), (name, text)
print(vector_bytes())
"""


@pytest.mark.parametrize("width", [16, 32, 64])
def test_every_vector_width_is_exact(width: int) -> None:
    if width > vector_bytes():
        pytest.skip(f"this CPU has vectors of {vector_bytes()} bytes, {width} were asked for")
    environment = {**os.environ, "CONVMARK_VECTOR_BYTES": str(width)}
    done = subprocess.run(
        [sys.executable, "-c", _VERIFY], env=environment, cwd=_ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == width


def test_a_wrong_width_is_refused() -> None:
    environment = {**os.environ, "CONVMARK_VECTOR_BYTES": "48"}
    done = subprocess.run([sys.executable, "-c", _VERIFY], env=environment, cwd=_ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "CONVMARK_VECTOR_BYTES is '48', expected 16, 32 or 64" in done.stderr


#: A layer of each kind of loop, and the multiply-adds of its whole tile: full width, both edges
#: of a row, a tile of three vectors, pixels as vectors.
_HOT_LOOPS = (
    ("direct_tiled", direct, "_strips_serial", "ic8ih56oc64kh1", 14 * 2),
    ("direct_tiled", direct, "_strips_serial", "ic8ih14oc64kh3ph1", 14 * 2),
    ("direct_tiled", direct, "_strips_serial", "ic8ih15oc64kh3sh2ph1", 8 * 3),
    ("im2col_gemm", im2col, "_panels_serial", "ic8ih16oc64kh3ph1", 8 * 3),
)


@pytest.mark.skipif(vector_bytes() != 64, reason="reads the assembly of 64-byte vectors")
@pytest.mark.parametrize(("name", "module", "serial", "text", "products"), _HOT_LOOPS)
def test_inner_loops_are_multiply_adds_on_the_widest_registers_without_spills(
    monkeypatch: pytest.MonkeyPatch, name: str, module: ModuleType, serial: str, text: str, products: int
) -> None:
    p = kernels.Conv2dProblem.parse(text)
    # Compiled here and now: code that came from the disk cache keeps no assembly.
    body = jit.kernel(getattr(module, serial).py_func)
    body._cache.disable()
    monkeypatch.setattr(module, serial, body)
    kernels.plan(p, np.ones(p.weight_shape, "f4"), algorithm=name, threads=1)(np.ones(p.input_shape, "f4"))
    assembly = next(iter(body.inspect_asm().values()))
    loops = _loops_of_products(assembly)
    counts = [len(_PRODUCT.findall(loop)) for loop in loops]
    # The compiler may unroll: then it is a multiple.
    assert any(count % products == 0 for count in counts), f"loops have {counts} multiply-adds, expected {products}"
    for loop in loops:
        lines = [line.strip() for line in loop.splitlines()]
        narrow = [line for line in lines if re.match(r"vfn?m\w+\s.*%[xy]mm", line)]
        assert not narrow, narrow
        spills = [line for line in lines if "mm" in line and re.search(r"\(%rsp\)", line)]
        assert not spills, spills
        # Nothing is moved from register to register either.
        moves = [line for line in lines if re.match(r"vmov\w+\s+%zmm\d+, %zmm\d+", line)]
        assert not moves, moves


_PRODUCT = re.compile(r"\bvfmadd\d+ps\b.*%zmm")


def _loops_of_products(assembly: str) -> list[str]:
    """Blocks that end in a jump to their own beginning and multiply: the innermost loops."""
    found = []
    for block in re.split(r"^(?=\.LBB\w+:)", assembly, flags=re.MULTILINE):
        label = block.partition(":")[0]
        if re.search(rf"^\s+j\w+\s+{re.escape(label)}$", block, flags=re.MULTILINE) and "vfmadd" in block:
            found.append(block)
    return found
