"""The node tests of the onnx package: its own arrays and results of Conv and ConvTranspose, on every algorithm."""

from __future__ import annotations

import importlib
from collections.abc import Callable
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


def _transposed(node: Any, src: np.ndarray, wei: np.ndarray, has_bias: bool) -> Conv2dProblem:
    """The problem that a ConvTranspose node of two dimensions describes."""
    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    g, strides, dilations = given.get("group", 1), given.get("strides", (1, 1)), given.get("dilations", (1, 1))
    pads, more = given.get("pads", (0, 0, 0, 0)), given.get("output_padding", (0, 0))
    mode = given.get("auto_pad", b"NOTSET").decode()
    sides = []
    for i in range(2):
        whole = (src.shape[2 + i] - 1) * strides[i] + (wei.shape[2 + i] - 1) * dilations[i] + 1
        if mode.startswith("SAME") or "output_shape" in given:
            extent = given["output_shape"][i] if "output_shape" in given else src.shape[2 + i] * strides[i]
            # What is beyond all windows is more output padding.
            total = max(0, whole + more[i] - extent)
            less = total // 2
            sides.append((extent, *((less, total - less) if mode == "SAME_UPPER" else (total - less, less))))
        else:
            sides.append((whole + more[i] - pads[i] - pads[2 + i], pads[i], pads[2 + i]))
    (ih, ph, pb), (iw, pw, pr) = sides
    return Conv2dProblem(
        mb=src.shape[0], ic=wei.shape[1] * g, ih=ih, iw=iw, oc=wei.shape[0], kh=wei.shape[2], kw=wei.shape[3], g=g,
        sh=strides[0], sw=strides[1], dh=dilations[0], dw=dilations[1], ph=ph, pb=pb, pw=pw, pr=pr,
        bias=has_bias, direction="bwd_d",
    )  # fmt: skip


def test_conv_transpose_nodes_are_computed_by_every_algorithm_that_takes_them() -> None:
    computed, left_out = _computed("ConvTranspose", _transposed)
    assert len(computed) >= 9 and min(computed.values()) >= 4, computed
    # Arrays of one and of three dimensions are none of this package's.
    assert left_out == {"test_convtranspose_1d", "test_convtranspose_3d"}


def test_conv_nodes_are_computed_by_every_algorithm_that_takes_them() -> None:
    computed, left_out = _computed("Conv", _problem)
    assert len(computed) >= 6 and min(computed.values()) >= 4, computed
    assert not left_out


def _computed(
    operator: str, described: Callable[[Any, np.ndarray, np.ndarray, bool], Conv2dProblem]
) -> tuple[dict[str, int], set[str]]:
    """How many algorithms computed each case of an operator rightly, and cases of other than two dimensions."""
    # Importing it makes its cases; `collect_testcases` would make those of all nodes, which takes ten seconds.
    importlib.import_module(f"onnx.backend.test.case.node.{operator.lower()}")
    from onnx.backend.test.case.node import _NodeTestCases

    computed: dict[str, int] = {}
    left_out = set()
    for case in _NodeTestCases:
        node = case.model.graph.node[0]
        if node.op_type != operator:
            continue
        for (src, wei, *bias), (expected,) in case.data_sets:
            if src.ndim != 4:
                left_out.add(case.name)
                continue
            p = described(node, src, wei, bool(bias))
            assert p.operand_shapes[0] == src.shape and p.result_shape == expected.shape, case.name
            for each in algorithms(p.direction):
                if each.unsupported(p) is None:
                    result = plan(p, wei, *bias, algorithm=each.name, threads=1)(src)
                    said = f"{case.name} {each.name}"
                    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-3, err_msg=said)
                    computed[case.name] = computed.get(case.name, 0) + 1
    return computed, left_out
