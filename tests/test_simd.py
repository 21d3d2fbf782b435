"""The register tile: right at every vector width, and really in registers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kernels
from kernels.algorithms.direct.microkernel import RowSpec, tile_row
from kernels.algorithms.im2col.microkernel import PanelSpec, columns_panel
from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.machine.cpu import vector_bytes, vector_registers
from kernels.machine.microkernel import Microkernel
from kernels.machine.tile_shape import TileShape

_ROOT = Path(kernels.__file__).parent.parent

_VERIFY = """
import numpy as np, kernels
from kernels.machine.cpu import vector_bytes
rng = np.random.default_rng(1)
for text in (
    "ic5ih9iw19oc37kh3ph1b1", "ic3ih15oc20kh7sh2ph3", "ic3ih13oc9kh3sh3ph1",
    "g2ic6ih7oc20kh2sh2dh2ph1f64", "ic4ih6iw3oc9kh1",
):
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


_SLOPE = Epilogue(True, True, 1.0)


def _row(MR: int, NV: int, **changes: Any) -> RowSpec:
    lanes = vector_bytes() // 4
    spec = RowSpec("float32", TileShape(MR, NV, lanes), NV * lanes, 0, 1, False, NO_EPILOGUE)
    return spec._replace(**changes)


def _panel(MR: int, NV: int, **changes: Any) -> PanelSpec:
    return PanelSpec("float32", TileShape(MR, NV, vector_bytes() // 4), False, NO_EPILOGUE)._replace(**changes)


def _hot_loops() -> list[Any]:
    """Microkernels, and the multiply-adds of their whole tile: both edges of a row, strides, pixels as vectors."""
    wide = vector_registers() == 32
    most, other, panel = ((14, 2), (8, 3), (8, 3)) if wide else ((6, 2), (4, 3), (6, 2))
    return [
        pytest.param(kernel, spec, shape[0] * shape[1], id=f"{kernel.__name__}-{name}")
        for kernel, name, spec, shape in (
            (tile_row, "plane", _row(*most), most),
            (tile_row, "edges", _row(*most, reach=1), most),
            (tile_row, "reach-stride", _row(*other, reach=3, pitch=2), other),
            (tile_row, "partial-leaky", _row(*most, partial=True, epilogue=_SLOPE), most),
            (columns_panel, "panel", _panel(*panel), panel),
            (columns_panel, "partial-leaky", _panel(*panel, partial=True, epilogue=_SLOPE), panel),
        )
    ]


@pytest.mark.skipif(vector_bytes() == 16, reason="without fused multiply-adds to look for")
@pytest.mark.parametrize(("kernel", "spec", "products"), _hot_loops())
def test_inner_loops_are_multiply_adds_on_the_widest_registers_without_spills(
    kernel: Microkernel, spec: Any, products: int
) -> None:
    widest = {64: "zmm", 32: "ymm"}[vector_bytes()]
    loops = _loops_of_products(kernel.assembly(spec))
    counts = [len(re.findall(rf"\bvfmadd\d+ps\b.*%{widest}", loop)) for loop in loops]
    # The compiler may unroll: then it is a multiple.
    assert any(count and count % products == 0 for count in counts), f"{counts} multiply-adds, expected {products}"
    for loop in loops:
        lines = [line.strip() for line in loop.splitlines()]
        narrow = [line for line in lines if re.match(r"vfn?m\w+\s", line) and f"%{widest}" not in line]
        assert not narrow, narrow
        spills = [line for line in lines if "mm" in line and re.search(r"\(%rsp\)", line)]
        assert not spills, spills
        # Nothing is moved from register to register either.
        moves = [line for line in lines if re.match(rf"vmov\w+\s+%{widest}\d+, %{widest}\d+", line)]
        assert not moves, moves


@pytest.mark.skipif(vector_bytes() == 64, reason="masked stores are free with 64-byte vectors")
@pytest.mark.parametrize("spec", [_row(6, 2), _row(5, 2, reach=1), _row(4, 3, partial=True)], ids=str)
def test_parts_of_narrow_vectors_are_stored_without_masks(spec: RowSpec) -> None:
    """Some CPUs run a masked store of AVX2 as microcode."""
    assert "vmaskmov" not in tile_row.assembly(spec)


def _loops_of_products(assembly: str) -> list[str]:
    """Blocks that end in a jump to their own beginning and multiply: the innermost loops."""
    found = []
    for block in re.split(r"^(?=\.LBB\w+:)", assembly, flags=re.MULTILINE):
        label = block.partition(":")[0]
        if re.search(rf"^\s+j\w+\s+{re.escape(label)}$", block, flags=re.MULTILINE) and "vfmadd" in block:
            found.append(block)
    return found
