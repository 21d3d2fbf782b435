"""Kernels for few channels a group: right at every vector width, sums in registers, filters that are convolutions."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import integers
from test_simd import loops_of_products

import kernels
from kernels.algorithms.stencil.microkernel import planes_of_tiles
from kernels.algorithms.stencil.tile import pick_stencil
from kernels.algorithms.winograd1d import loops as winograd1d
from kernels.algorithms.winograd1d.filter import row_filter
from kernels.algorithms.winograd1d.microkernel import filter_tiles
from kernels.machine.cpu import vector_bytes, vector_registers

_ROOT = Path(kernels.__file__).parent.parent

#: A half vector at the end of a row, strides, dilation, channels in uneven blocks, padding on all sides.
_VERIFY = """
import numpy as np, kernels
rng = np.random.default_rng(1)
for name, text in (
    ("depthwise_stencil", "g3mb2ic3ih17iw23oc3kh3ph1b1"),
    ("depthwise_stencil", "g2ic2ih9iw14oc6kh5kw3sh2ph2pr3f64"),
    ("grouped_stencil", "g2ic6ih10iw40oc18kh3sh2sw1dh2ph2pb1b1"),
    ("grouped_winograd", "g2ic6ih11iw22oc18kh3ph1b1"),
    ("grouped_winograd", "g2ic6ih11iw41oc10kh3sh2ph1pr2"),
    # Wider by its padding than what a strip of a vector has.
    ("grouped_winograd", "ic1ih15iw1oc1kh3ph0pw3"),
):
    p = kernels.Conv2dProblem.parse(text)
    src, wei, bia = (rng.integers(-4, 5, s).astype(p.dtype) for s in (p.input_shape, p.weight_shape, (p.oc,)))
    dst = kernels.plan(p, wei, bia if p.bias else None, algorithm=name, threads=1)(
        src, np.full(p.output_shape, np.nan, p.dtype)
    )
    expected = kernels.conv2d_reference(p, src, wei, bia if p.bias else None)
    assert np.abs(dst - expected).max() <= (1e-3 if name == "grouped_winograd" else 0), (name, text)
"""


@pytest.mark.parametrize("width", [16, 32, 64])
def test_every_vector_width_is_right(width: int) -> None:
    if width > vector_bytes():
        pytest.skip(f"this CPU has vectors of {vector_bytes()} bytes, {width} were asked for")
    environment = {**os.environ, "CONVMARK_VECTOR_BYTES": str(width)}
    subprocess.run([sys.executable, "-c", _VERIFY], env=environment, cwd=_ROOT, check=True)


#: A multiply-add of vectors.
_PRODUCT = re.compile(r"vfmadd.*[xyz]mm")


@pytest.mark.skipif(vector_bytes() == 16, reason="reads the assembly of vectors with multiply-adds")
@pytest.mark.parametrize("text", ["g3ic3ih14oc3kh3ph1", "g3ic12ih28oc12kh3ph1", "g3ic3ih56oc3kh3ph1sh2"])
def test_sums_of_stencils_stay_in_registers(text: str) -> None:
    spec, _, _ = pick_stencil(kernels.Conv2dProblem.parse(text))
    _check_products(planes_of_tiles.assembly(spec), spec.work)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kernel_and_stride_has_a_tile_that_fits_the_registers(dtype: str) -> None:
    for kw, sw, dw, iw in itertools.product((1, 2, 3, 5, 7, 9, 13, 49), (1, 2, 3, 4), (1, 2, 3, 4), (17, 60)):
        p = kernels.Conv2dProblem(
            mb=1, g=2, ic=2, oc=2, ih=9, iw=max(iw, (kw - 1) * dw + 1), kh=1, kw=kw, sh=sw, sw=sw, dw=dw, dtype=dtype
        )
        whole, rest, _ = pick_stencil(p)
        assert max(whole.registers, rest.registers) <= vector_registers(), p


@pytest.mark.parametrize("dtype", ["", "f64"])
@pytest.mark.parametrize(
    "text",
    ["ic3ih40oc4kh7ph3sh4", "g3ic3ih2iw75oc3kh1kw13sw2", "g3ic3ih5iw90oc3kh3ph1sh2dw4", "ic2ih5iw83oc2kh3kw9sh3"],
)
def test_wide_kernels_at_a_stride(text: str, dtype: str) -> None:
    p = kernels.Conv2dProblem.parse(text + dtype)
    src, wei, _ = integers(p)
    found = kernels.plan(p, wei, algorithm="grouped_stencil", threads=1)(src)
    np.testing.assert_array_equal(found, kernels.conv2d_reference(p, src, wei))


@pytest.mark.skipif(vector_bytes() != 64, reason="columns are picked in registers by AVX-512")
@pytest.mark.parametrize("text", ["g3ic3ih28oc3kh3ph1sh2", "g3ic3ih14oc3kh3ph1sh2", "g3ic3ih112oc3kh3ph1dh2dw3sh2"])
def test_the_numbers_of_shuffles_stay_in_registers(text: str) -> None:
    spec, _, _ = pick_stencil(kernels.Conv2dProblem.parse(text))
    blocks = re.split(r"^\.LBB\w+:", planes_of_tiles.assembly(spec), flags=re.MULTILINE)
    rows = [block for block in blocks if "vpermt2ps" in block or "vpermi2ps" in block]
    assert len(rows) == spec.source_rows
    for row in rows:
        # What is loaded is pixels, under a mask; weights are held, or broadcast.
        loads = re.findall(r"^\s+vmov\w+\s+[^%]*\(.*", row, flags=re.MULTILINE)
        assert len(loads) == len(spec.loads) and all("{z}" in load for load in loads), loads


@pytest.mark.skipif(vector_bytes() != 64, reason="two halves of these vectors are computed for a whole")
@pytest.mark.parametrize("text", ["g3ic3ih7oc3kh3ph1", "g3ic3ih14oc3kh3ph1sh2", "g3ic3ih4oc3kh3ph1f64"])
def test_maps_of_half_a_vector_take_half_vectors(text: str) -> None:
    spec, _, _ = pick_stencil(kernels.Conv2dProblem.parse(text))
    products = [line for line in planes_of_tiles.assembly(spec).split("\n") if _PRODUCT.search(line)]
    assert products and not any("zmm" in line for line in products)


@pytest.mark.skipif(vector_bytes() == 16, reason="reads the assembly of vectors with multiply-adds")
@pytest.mark.parametrize(("text", "spills"), [("g3ic24ih28oc24kh3ph1", 0), ("g3ic24ih28oc24kh3ph1sh2", 2)])
def test_sums_of_row_filters_stay_in_registers(text: str, spills: int) -> None:
    spec = winograd1d._tiling(kernels.Conv2dProblem.parse(text)).whole
    # Of the loop over input channels; the inverse transform, once a tile, may put a few values by. At stride 2 sums,
    # pixels and a tap take all 16 registers, and LLVM moves one sum to the stack and back.
    loops = loops_of_products(filter_tiles.assembly(spec))
    assert loops
    for loop in loops:
        _check_products(loop, spec.n * spec.KW * spec.OCB, spills)


def _check_products(assembly: str, work: int, spills: int = 4) -> None:
    widest = {32: "ymm", 64: "zmm"}[vector_bytes()]
    products = [line for line in assembly.split("\n") if _PRODUCT.search(line)]
    assert len(products) >= work and all(widest in line for line in products)
    # Sums are neither stored to the stack nor read from there.
    found = [line for line in assembly.split("\n") if widest in line and "(%rsp)" in line]
    assert len(found) <= spills, found


@pytest.mark.parametrize("name", ["depthwise_stencil", "grouped_stencil", "grouped_winograd"])
def test_maps_of_all_sizes_share_few_pieces(name: str) -> None:
    groups = 4 if name == "depthwise_stencil" else 2
    specs = set()
    for size in range(3, 203):
        p = kernels.Conv2dProblem.parse(f"g{groups}ic4ih{size}oc8kh3ph1")
        specs |= set(winograd1d._tiling(p)[:3]) if name == "grouped_winograd" else set(pick_stencil(p)[:2])
    # More registers allow for more shapes of a tile, and maps of half a vector have some of their own.
    assert len(specs) <= vector_registers() + 4


@pytest.mark.parametrize("stride", [1, 2])
def test_filters_over_rows_are_convolutions(stride: int) -> None:
    rng = np.random.default_rng(5)
    rows = row_filter(stride)
    m = rows.at.shape[0]
    taps, pixels = rng.standard_normal(3), rng.standard_normal(max(rows.rows) + 1)
    expected = [pixels[i * stride : i * stride + 3] @ taps for i in range(m)]
    found = rows.at @ ((rows.g @ taps) * (rows.bt @ pixels[list(rows.rows)]))
    np.testing.assert_allclose(found, expected, atol=1e-12)
