"""Every contender is right, or says why not, and who is not there says how to get it."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from conftest import EDGES

from kernels import Conv2dProblem, algorithms, conv2d_reference
from suite.check.checker import Oracle
from suite.check.inputs import make_inputs
from suite.contenders import (
    PEER_LIMIT,
    Peer,
    UnknownContender,
    absence,
    contenders,
    get_contender,
    select_contenders,
)
from suite.contenders.onnx_model import onnx_model
from suite.measure.worker import Worker

_PEERS = [each for each in contenders() if each.is_peer]

#: What a library is known to compute wrongly, in some version and not always: the checker's business, not ours.
_MAY_BE_WRONG = {("opencv", "ic2ih4oc3kh1ph3")}


def test_everybody_is_there_once() -> None:
    names = [each.name for each in contenders()]
    assert len(set(names)) == len(names)
    assert {each.name for each in algorithms()} | {"auto", "auto_window_only", "one_call"} == {
        e.name for e in contenders() if not e.is_peer
    }
    assert {
        "torch_nchw",
        "torch_channels_last",
        "torch_prepacked",
        "onnxruntime",
        "openvino",
        "ncnn",
        "litert",
        "mnn",
        "mnn_small_winograd",
        "opencv",
        "opencv_filter",
        "opencv_separate",
        "scipy",
        "scipy_fft",
        "scipy_oa",
    } <= {each.name for each in _PEERS}


def test_groups_and_names_select_without_repeating() -> None:
    assert select_contenders(["all"]) == tuple(each for each in contenders() if not each.apart)
    assert [each.name for each in contenders() if each.apart] == ["auto_window_only", "one_call", "torch_one_call"]
    assert [each.name for each in select_contenders(["ours", "one_call"])][-1] == "one_call"
    assert select_contenders(["scipy", "ours", "scipy"])[0].name == "scipy"
    assert select_contenders(["ours", "peers", "ncnn"]) == select_contenders(["all"])
    assert all(each.is_peer for each in select_contenders(["peers"]))


def test_an_unknown_name_is_one_sentence() -> None:
    with pytest.raises(UnknownContender, match="unknown contender 'open_vino', did you mean openvino"):
        get_contender("open_vino")


def test_who_is_not_installed_says_how() -> None:
    peer = Peer("made_up", "Made Up", ("no-such-distribution",))
    assert absence(peer) == "Made Up is not installed, expected it after: pip install no-such-distribution"
    assert absence(get_contender("auto")) is None


@pytest.mark.parametrize("peer", _PEERS, ids=lambda each: each.name)
def test_peers_refuse_an_empty_batch_and_elements_that_they_do_not_compute_in(peer: Peer) -> None:
    empty, double = (
        Conv2dProblem.parse(text).replace(direction=peer.directions[0])
        for text in ("mb0ic1ih5oc1kh3", "ic1ih5oc1kh3f64")
    )
    assert "batch is empty" in str(peer.unsupported(empty))
    reason = peer.unsupported(double)
    assert ("elements are float64" in str(reason)) == ("float64" not in peer.dtypes)


def test_scipy_takes_single_planes_only() -> None:
    scipy = get_contender("scipy")
    assert scipy.unsupported(Conv2dProblem.parse("mb2ic1ih9oc1kh3ph1b1")) is None
    for text, said in (("ic2ih9oc1kh3", "2 channels in"), ("ic1ih9oc1kh3sh2", "stride"), ("ic1ih9oc1kh3dh2", "dilat")):
        assert said in str(scipy.unsupported(Conv2dProblem.parse(text)))
    assert scipy.unsupported(Conv2dProblem.parse("ic1ih9oc1kh3"), 2) == "there are 2 threads, expected 1"


#: Beside the edges, of forward convolutions: one channel, and large kernels.
_FORWARD = ("mb2ic1ih9oc1kh3ph1b1", "ic1ih40iw30oc1kh9kw7ph2pw3pb4pr0", "ic1ih20oc1kh5ph2f64")

#: Beside the edges, of gradients: each line is there for what its comment says.
_GRADIENTS = (
    "mb2ic64ih28oc128kh2sh2",  # U-Net
    "ic32ih28oc64kh4sh2ph1",  # DCGAN
    "ic9ih20oc16kh3sh2ph1b1",  # output padding 1, where no more than the bias is added
    "ic3ih11iw12oc5kh2sh3sw4b1",  # output padding up to a stride less one, and rows between that no tap meets
    "ic16ih15oc16kh3sh4dh2ph2pb3pw0pr1b1",  # a stride and a dilation with a common divisor, unequal padding
    "g2ic32ih14oc32kh4sh2ph1b1",  # grouped
    "g8ic8ih13oc8kh3sh2ph1",  # depthwise
    "g4ic16ih17oc4kh3sh2ph1",  # several channels of the result per group, one of the gradient
)


@pytest.mark.parametrize("peer", _PEERS, ids=lambda each: each.name)
def test_an_installed_peer_is_right_on_every_edge_or_refuses(peer: Peer) -> None:
    if absence(peer):
        pytest.skip(str(absence(peer)))
    problems = [
        Conv2dProblem.parse(text).replace(direction=direction)
        for direction in peer.directions
        for text in (*EDGES, *(_FORWARD if direction == "fwd" else _GRADIENTS))
    ]
    checked = set()
    with Worker(peer.name, 1) as worker:
        worker.ask("load", contender=peer.name, threads=1)
        for problem in problems:
            if peer.unsupported(problem):
                continue
            worker.ask("prepare", contender=peer.name, problem=str(problem), fill="normal")
            result = worker.ask("result")
            assert result["touched"] == []
            check = Oracle(problem).compare(peer.tolerance(problem, ""), "normal", result["array"])
            assert check.status == "ok" or (peer.name, str(problem)) in _MAY_BE_WRONG, (str(problem), check.reason)
            checked.add(problem.direction)
    assert checked == set(peer.directions)


def test_transposed_convolutions_have_peers() -> None:
    problem = Conv2dProblem.parse("bwd_d:ic9ih20oc16kh3sh2ph1")
    able = {each.name for each in _PEERS if each.unsupported(problem) is None}
    assert able >= {"torch_transposed", "torch_transposed_channels_last", "onnxruntime", "openvino", "ncnn"}
    unequal = problem.replace(pb=0)
    assert "padding is 1, 1 before and 0, 1 after" in str(get_contender("torch_transposed").unsupported(unequal))
    assert {each.name for each in _PEERS if "bwd_w" in each.directions} == {"torch_nchw", "torch_channels_last"}
    assert get_contender("ncnn").unsupported(problem.replace(direction="bwd_w")) == (
        "direction is bwd_w, expected fwd or bwd_d"
    )


@pytest.mark.parametrize("bits", [10, 7])
def test_half_precision_is_wrong_and_float32_is_not(bits: int) -> None:
    problem = Conv2dProblem.parse("ic16ih10oc8kh3ph1")
    tolerance, oracle = get_contender("ncnn").tolerance(problem, ""), Oracle(problem)
    inputs = make_inputs(problem)

    def rounded(array: np.ndarray) -> np.ndarray:
        mantissa, exponent = np.frexp(array)
        return np.ldexp(np.rint(mantissa * 2.0 ** (bits + 1)) / 2.0 ** (bits + 1), exponent)

    exact = conv2d_reference(problem, inputs.first, inputs.second)
    half = conv2d_reference(problem, rounded(inputs.first), rounded(inputs.second))
    assert oracle.compare(tolerance, "normal", exact.astype(np.float32)).status == "ok"
    assert oracle.compare(tolerance, "normal", half).status == "wrong"


def test_a_float64_peer_is_held_to_float64() -> None:
    problem = Conv2dProblem.parse("ic4ih6oc4kh3f64")
    inputs = make_inputs(problem)
    single = conv2d_reference(problem, inputs.first, inputs.second, dtype="float32")
    tolerance = get_contender("torch_nchw").tolerance(problem, "")
    assert tolerance.rel_error == PEER_LIMIT["float64"]
    assert Oracle(problem).compare(tolerance, "normal", single).status == "wrong"


@pytest.mark.skipif(importlib.util.find_spec("onnx") is None, reason="onnx is not installed")
@pytest.mark.parametrize(
    "text",
    ["ic4ih8oc6kh3ph1pb0pr2", "g4ic8ih7oc12kh3ph1b1", "ic130ih3oc200kh1f64", "bwd_d:g2ic6ih9oc4kh3sh2ph1pb0b1"],
)
def test_the_model_is_what_onnx_itself_calls_valid(text: str) -> None:
    import onnx
    from onnx import numpy_helper

    problem = Conv2dProblem.parse(text)
    inputs = make_inputs(problem)
    model = onnx.load_from_string(onnx_model(problem, inputs))
    onnx.checker.check_model(model, full_check=True)
    assert np.array_equal(numpy_helper.to_array(model.graph.initializer[0]), inputs.second)
    [output] = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output
    assert tuple(each.dim_value for each in output.type.tensor_type.shape.dim) == problem.result_shape
