"""The register tile: right at every vector width, and really in registers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernels
from kernels.algorithms import direct
from kernels.machine import jit
from kernels.machine.blocking import vector_bytes

_ROOT = Path(kernels.__file__).parent.parent

_VERIFY = """
import numpy as np, kernels
from kernels.machine.blocking import vector_bytes
rng = np.random.default_rng(1)
for text in ("ic5ih9iw19oc37kh3ph1b1", "g2ic6ih7oc20kh2sh2dh2ph1f64", "ic4ih6iw3oc9kh1"):
    p = kernels.Conv2dProblem.parse(text)
    src, wei, bia = (rng.integers(-4, 5, s).astype(p.dtype) for s in (p.input_shape, p.weight_shape, (p.oc,)))
    dst = kernels.plan(p, wei, bia if p.bias else None, algorithm="direct_tiled", threads=1)(src)
    assert (dst == kernels.conv2d_reference(p, src, wei, bia if p.bias else None)).all(), text
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


@pytest.mark.skipif(vector_bytes() != 64, reason="reads the assembly of 64-byte vectors")
def test_inner_loop_is_multiply_adds_on_the_widest_registers_without_spills(monkeypatch: pytest.MonkeyPatch) -> None:
    p = kernels.Conv2dProblem.parse("ic8ih16iw14oc32kh3kw3ph1")
    _, shape = direct._tiled_sizes(p)
    assert (shape.MR, shape.NV, shape.lanes) == (14, 2, 16)
    # Compiled here and now: code that came from the disk cache keeps no assembly.
    body = jit.kernel(direct._tiled_strips.py_func)
    body._cache.disable()
    monkeypatch.setattr(direct, "_tiled_strips", body)
    kernels.plan(p, np.ones(p.weight_shape, "f4"), algorithm="direct_tiled", threads=1)(np.ones(p.input_shape, "f4"))
    assembly = next(iter(body.inspect_asm().values()))
    blocks = re.split(r"^\.LBB\w+:", assembly, flags=re.MULTILINE)
    counts = [len(re.findall(r"\bvfmadd\d+ps\b.*%?zmm", block)) for block in blocks]
    inner = [block for block, count in zip(blocks, counts, strict=True) if count >= shape.MR * shape.NV]
    assert inner, f"no block with {shape.MR * shape.NV} multiply-adds on zmm, most are {max(counts)}"
    for block in inner:
        loop = block.split("\n")
        spills = [line for line in loop if "zmm" in line and "rsp" in line]
        assert len(spills) == 0, spills
