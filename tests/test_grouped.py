"""Kernels for few channels a group: right at every vector width, sums in registers, filters that are convolutions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernels
from kernels.algorithms import grouped, grouped_winograd
from kernels.machine import jit
from kernels.machine.cpu import vector_bytes

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
):
    p = kernels.Conv2dProblem.parse(text)
    src, wei, bia = (rng.integers(-4, 5, s).astype(p.dtype) for s in (p.input_shape, p.weight_shape, (p.oc,)))
    dst = kernels.plan(p, wei, bia if p.bias else None, algorithm=name, threads=1)(src)
    expected = kernels.conv2d_reference(p, src, wei, bia if p.bias else None)
    assert np.abs(dst - expected).max() <= (1e-3 if name == "grouped_winograd" else 0), (name, text)
"""


@pytest.mark.parametrize("width", [16, 32, 64])
def test_every_vector_width_is_right(width: int) -> None:
    if width > vector_bytes():
        pytest.skip(f"this CPU has vectors of {vector_bytes()} bytes, {width} were asked for")
    environment = {**os.environ, "CONVMARK_VECTOR_BYTES": str(width)}
    subprocess.run([sys.executable, "-c", _VERIFY], env=environment, cwd=_ROOT, check=True)


#: A multiply-add of the widest vectors.
_PRODUCT = re.compile(r"vfmadd.*zmm")


@pytest.mark.skipif(vector_bytes() != 64, reason="reads the assembly of 64-byte vectors")
@pytest.mark.parametrize(
    ("module", "kernel", "name", "text"),
    [
        (grouped, "_tiles", "depthwise_stencil", "g3ic3ih14oc3kh3ph1"),
        (grouped, "_tiles", "grouped_stencil", "g3ic12ih28oc12kh3ph1"),
        (grouped_winograd, "_strips", "grouped_winograd", "g3ic24ih28oc24kh3ph1"),
    ],
)
def test_sums_stay_in_registers(
    monkeypatch: pytest.MonkeyPatch, module: object, kernel: str, name: str, text: str
) -> None:
    p = kernels.Conv2dProblem.parse(text)
    # Compiled here and now: code that came from the disk cache keeps no assembly.
    body = jit.kernel(getattr(module, kernel).py_func)
    body._cache.disable()
    monkeypatch.setattr(module, kernel, body)
    kernels.plan(p, np.ones(p.weight_shape, "f4"), algorithm=name, threads=1)(np.ones(p.input_shape, "f4"))
    assembly = next(iter(body.inspect_asm().values()))
    assert len(_PRODUCT.findall(assembly)) >= 72
    # Straight-line code between two labels: where most of the products are, sums stay where they are.
    hot = max(re.split(r"^(?=\.LBB\w+:)", assembly, flags=re.MULTILINE), key=lambda block: len(_PRODUCT.findall(block)))
    spills = [line for line in hot.split("\n") if "zmm" in line and "(%rsp)" in line]
    assert len(_PRODUCT.findall(hot)) >= 24 and len(spills) <= 4, spills


@pytest.mark.parametrize("stride", [1, 2])
def test_filters_over_rows_are_convolutions(stride: int) -> None:
    rng = np.random.default_rng(5)
    rows = grouped_winograd._rows(stride)
    m = rows.at.shape[0]
    taps, pixels = rng.standard_normal(3), rng.standard_normal(max(rows.rows) + 1)
    expected = [pixels[i * stride : i * stride + 3] @ taps for i in range(m)]
    found = rows.at @ ((rows.g @ taps) * (rows.bt @ pixels[list(rows.rows)]))
    np.testing.assert_allclose(found, expected, atol=1e-12)
