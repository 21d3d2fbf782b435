"""Microkernels of Winograd and FFT: their inner loops are full-width multiply-adds, and nothing spills."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from kernels.algorithms.cook_toom import transform_matrices
from kernels.algorithms.transform.phases import LinesSpec, lines
from kernels.algorithms.transform.product_tile import pick_product_tile
from kernels.algorithms.transform.products import ProductSpec, products
from kernels.machine.cpu import lanes_of, vector_bytes, vector_registers
from kernels.machine.matrix_codelet import MatrixCodelet
from kernels.machine.tile_shape import TileShape

_REGISTER = {32: "ymm", 64: "zmm"}.get(vector_bytes())
pytestmark = pytest.mark.skipif(_REGISTER is None, reason="reads the assembly of AVX2 and AVX-512")

_SHAPES = {16: ((6, 2), (5, 2), (4, 2), (3, 3)), 32: ((14, 2), (12, 2), (8, 3), (6, 4), (25, 1))}[vector_registers()]


def _inner_loops(text: str) -> list[str]:
    """Blocks that end in a jump to their own beginning and multiply."""
    found = []
    for block in re.split(r"^(?=\.LBB\w+:)", text, flags=re.MULTILINE):
        label = block.partition(":")[0]
        if "vfmadd" in block and re.search(rf"^\s+j\w+\s+{re.escape(label)}$", block, flags=re.MULTILINE):
            found.append(block)
    return found


def _check(text: str, multiply_adds: int, dtype: str) -> None:
    loops = _inner_loops(text)
    kind = "ps" if dtype == "float32" else "pd"
    counts = [len(re.findall(rf"vfn?m(?:add|sub)\d+{kind}\b.*%{_REGISTER}", loop)) for loop in loops]
    # The compiler may unroll: then it is a multiple.
    assert counts and all(count and count % multiply_adds == 0 for count in counts), counts
    for loop in loops:
        lines_ = [line.strip() for line in loop.splitlines()]
        assert not [line for line in lines_ if re.match(rf"vfn?m\w+\s(?!.*%{_REGISTER})", line)]
        assert not [line for line in lines_ if "mm" in line and "(%rsp)" in line]
        assert not [line for line in lines_ if re.match(rf"vmov[au]\w+\s+%{_REGISTER}\d+, %{_REGISTER}\d+", line)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("single", [0, 1])
@pytest.mark.parametrize("tile", _SHAPES)
def test_products_are_multiply_adds_of_full_width(tile: tuple[int, int], single: int, dtype: str) -> None:
    shape = TileShape(*tile, lanes_of(dtype))
    spec = ProductSpec(dtype, shape, lanes_of(dtype), 1, single)
    _check(products.assembly(spec), shape.MR * shape.NV, dtype)


def test_complex_products_are_four_multiply_adds() -> None:
    lanes = lanes_of("float32")
    shape = pick_product_tile([100], 4 * lanes, lanes, 2**20, complex_numbers=True)
    _check(products.assembly(ProductSpec("float32", shape, lanes, 2, 1)), 2 * shape.MR * shape.NV, "float32")


@pytest.mark.parametrize("m", [2, 4])
def test_codelets_of_small_tiles_stay_in_registers(m: int) -> None:
    points = (Fraction(0), *(sign * point for point in (Fraction(2, 3), Fraction(3, 2)) for sign in (1, -1)))
    at, _, bt = transform_matrices(m, 3, points[: m + 1])
    for matrix in (at, bt):
        codelet = MatrixCodelet(tuple(tuple(map(float, row)) for row in matrix))
        loops = _inner_loops(lines.assembly(LinesSpec("float32", lanes_of("float32"), codelet)))
        assert loops and not [line for loop in loops for line in loop.splitlines() if "mm" in line and "(%rsp)" in line]
