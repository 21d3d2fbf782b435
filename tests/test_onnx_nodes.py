"""The node tests of the onnx package: its own arrays and results of Conv, on every algorithm that takes them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from kernels import Conv2dProblem, algorithms, plan

onnx = pytest.importorskip("onnx")


def _problem(node: Any, src: np.ndarray, wei: np.ndarray, has_bias: bool) -> Conv2dProblem:
    """The problem that a Conv node of two dimensions describes."""
    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    (mb, ic, ih, iw), (oc, _, kh, kw) = src.shape, wei.shape
    (sh, sw), (dh, dw) = given.get("strides", (1, 1)), given.get("dilations", (1, 1))
    pads = given.get("pads", (0, 0, 0, 0))
    mode = given.get("auto_pad", b"NOTSET").decode()
    if mode.startswith("SAME"):
        sides = []
        for extent, k, s, d in ((ih, kh, sh, dh), (iw, kw, sw, dw)):
            total = max(0, (-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent)
            less = total // 2
            sides.append((less, total - less) if mode == "SAME_UPPER" else (total - less, less))
        pads = sides[0][0], sides[1][0], sides[0][1], sides[1][1]
    return Conv2dProblem(
        mb=mb, ic=ic, ih=ih, iw=iw, oc=oc, kh=kh, kw=kw, g=given.get("group", 1), sh=sh, sw=sw, dh=dh, dw=dw,
        ph=pads[0], pw=pads[1], pb=pads[2], pr=pads[3], bias=has_bias,
    )  # fmt: skip


def test_conv_nodes_are_computed_by_every_algorithm_that_takes_them() -> None:
    # Importing it makes its cases; `collect_testcases` would make those of all nodes, which takes ten seconds.
    importlib.import_module("onnx.backend.test.case.node.conv")
    from onnx.backend.test.case.node import _NodeTestCases

    computed: dict[str, int] = {}
    for case in _NodeTestCases:
        node = case.model.graph.node[0]
        for (src, wei, *bias), (expected,) in case.data_sets:
            assert node.op_type == "Conv" and src.ndim == 4
            p = _problem(node, src, wei, bool(bias))
            assert p.output_shape == expected.shape, case.name
            for each in algorithms():
                if each.unsupported(p) is None:
                    result = plan(p, wei, *bias, algorithm=each.name, threads=1)(src)
                    said = f"{case.name} {each.name}"
                    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-3, err_msg=said)
                    computed[case.name] = computed.get(case.name, 0) + 1
    assert len(computed) >= 6 and min(computed.values()) >= 4, computed
