"""Blocks as workloads: one text and one graph each, of which everybody computes the same, or is not timed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_workers import FakeWorkers, quiet_guard

from kernels import ProblemError
from suite import cli
from suite.blocks.inputs import make_block_inputs
from suite.blocks.kinds import KINDS
from suite.blocks.oracle import BlockOracle, block_reference
from suite.blocks.problem import Block
from suite.catalogue import blocks, networks
from suite.contenders import (
    PEER_LIMIT,
    Contender,
    UnknownContender,
    absence,
    block_contenders,
    contenders,
    ours,
    select_block_contenders,
)
from suite.contenders.onnx_model import block_model
from suite.contenders.ours import block_tolerance
from suite.machine.environment import Limits
from suite.measure.measurements import Measurements
from suite.measure.result import ProcessResult
from suite.measure.runner import run_cases
from suite.measure.worker import Worker
from suite.report.blocks import block_dicts, block_tables
from suite.report.load import tidy, together
from suite.results.rows import COLUMNS, Row
from suite.selection import Request, select_blocks

run_module = importlib.import_module("suite.actions.run")

#: One of each kind, with every key that is not needed: a batch, maps that are not square, strides, three experts.
_SMALL = (
    "conv_block:mb2ic3ih11iw13oc8kh5",
    "resnet_stem:mb2ic3ih20iw17oc8",
    "darknet_residual:mb2ic8ih7iw9",
    "unet_down:mb2ic3ih10iw7oc6",
    "depthwise_separable:mb2ic8ih9iw7oc6sh2",
    "dynamic_conv:mb3ic6ih9iw8oc8kh5sh2e3",
)

_PEERS = [each for each in block_contenders() if each.is_peer]

_UNET = "unet_down:ic3ih8oc4"


# -- text ---------------------------------------------------------------------


def test_every_listed_block_is_its_own_text_and_every_kind_is_listed() -> None:
    listed = blocks()
    assert {each.problem.kind for each in listed} == {*KINDS}
    for text in (*(str(each.problem) for each in listed), *_SMALL):
        assert str(Block.parse(text)) == text
    assert "blocks" not in networks()


def test_defaults_may_be_written() -> None:
    written = Block.parse("dynamic_conv:e4mb1oc8ih9iw9ic6sh1kh3")
    assert written == Block.parse("dynamic_conv:ic6ih9oc8") and str(written) == "dynamic_conv:ic6ih9oc8"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ic3ih8oc4", "no known kind, expected one of conv_block, "),
        ("vgg:ic3ih8oc4", "no known kind"),
        ("conv_block:ic3ih8oc4sh2", "key 'sh' .* expected one of mb ic ih iw oc kh"),
        ("conv_block:ic3ih8oc4ic3", "key 'ic' .* none twice"),
        ("conv_block:ic3 ih8 oc4", "malformed block text"),
        ("unet_down:ic3ih8", "has no oc"),
        ("unet_down:mb0ic3ih8oc4", "mb is 0, expected at least 1"),
        ("unet_down:ic3ih1oc4", "map of 1x1 is max-pooled by 2x2"),
        ("darknet_residual:ic1ih8", "oc is 0"),
    ],
)
def test_a_text_that_is_no_block_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        Block.parse(text)


def test_blocks_are_chosen_by_name_kind_and_text() -> None:
    chosen = select_blocks(["darknet_64", "darknet_residual", _UNET])
    assert [each.name for each in chosen[:2]] == ["darknet_64", "darknet_128"]
    assert len(chosen) == 6 and chosen[-1].problem == Block.parse(_UNET)
    with pytest.raises(ProblemError, match="unknown block 'resnet_stm', did you mean resnet_stem"):
        select_blocks(["resnet_stm"])
    with pytest.raises(UnknownContender, match="unknown contender 'fused' on blocks, did you mean block_fused"):
        select_block_contenders(["fused"])
    request = _request(blocks=("unet_1", _UNET))
    assert Request.from_dict(json.loads(json.dumps(request.as_dict()))) == request


def test_no_contender_has_the_name_of_another() -> None:
    names = [each.name for each in (*contenders(), *block_contenders())]
    assert len(set(names)) == len(names)


# -- what a block is ----------------------------------------------------------


@pytest.mark.parametrize("text", _SMALL)
def test_ours_have_the_states_of_the_graph(text: str) -> None:
    block = Block.parse(text)
    assert {name: array.shape for name, array in ours.layers_of(block).state_dict().items()} == block.graph.states


def test_the_shapes_of_a_graph_are_those_of_what_is_computed() -> None:
    for text in _SMALL:
        graph, inputs = Block.parse(text).graph, make_block_inputs(Block.parse(text))
        found = block_reference(graph, inputs)
        assert [each.shape for each in found] == [graph.shapes[name] for name in graph.outputs]
        joined = graph.joined(found)
        assert joined.shape == graph.joined_shape
        assert all(np.array_equal(a, b) for a, b in zip(graph.split(joined), found, strict=True))


def test_a_value_is_let_go_where_none_reads_it_any_more() -> None:
    graph = Block.parse(_SMALL[2]).graph
    # What comes in is added at the end.
    assert graph.last_uses == ((), ("conv1",), ("bn1",), ("relu1",), ("conv2",), ("bn2",), ("input", "relu2"))


def test_work_is_that_of_the_convolutions() -> None:
    block = Block.parse("darknet_residual:mb2ic8ih6")
    assert block.macs_nominal == 2 * 36 * (8 * 4 + 4 * 8 * 9)
    assert block.macs_nominal > block.macs_useful > 2 * 36 * 8 * 4


# -- peers --------------------------------------------------------------------


@pytest.mark.parametrize("peer", _PEERS, ids=lambda each: each.name)
def test_an_installed_peer_computes_what_the_oracle_does(peer: Contender) -> None:
    if absence(peer):
        pytest.skip(str(absence(peer)))
    with Worker(peer.name, 1) as worker:
        worker.ask("load", contender=peer.name, threads=1)
        for text in (*_SMALL, "dynamic_conv:ic6ih9oc8"):
            block = Block.parse(text)
            worker.ask("prepare", contender=peer.name, problem=text, fill="normal")
            # Twice: what the first call overwrote would show in the second.
            for _ in range(2):
                result = worker.ask("result")
                assert result["touched"] == []
                # Far below what a peer is held to: a forgotten epsilon is seen.
                check = BlockOracle(block).compare(block_tolerance(block), "normal", result["array"])
                assert check.status == "ok", (text, check.reason)


@pytest.mark.skipif(importlib.util.find_spec("onnx") is None, reason="onnx is not installed")
@pytest.mark.parametrize("text", _SMALL)
def test_the_model_is_what_onnx_itself_calls_valid(text: str) -> None:
    import onnx

    block = Block.parse(text)
    model = onnx.load_from_string(block_model(block.graph, make_block_inputs(block)))
    onnx.checker.check_model(model, full_check=True)
    found = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output
    shapes = [tuple(each.dim_value for each in output.type.tensor_type.shape.dim) for output in found]
    assert shapes == [block.graph.shapes[name] for name in block.graph.outputs]


# -- the checker --------------------------------------------------------------


def _half(result: np.ndarray) -> np.ndarray:
    """Rounded to eleven bits, as float16 is."""
    mantissa, exponent = np.frexp(result)
    return np.ldexp(np.rint(mantissa * 2.0**11) / 2.0**11, exponent)


def _pooled(result: np.ndarray) -> np.ndarray:
    """The second output of `_UNET`, moved by an element."""
    skip = 4 * 8 * 8
    return np.concatenate((result[:skip], np.roll(result[skip:], 1)))


@pytest.mark.parametrize(
    "spoil",
    [np.zeros_like, _half, _pooled, lambda result: result[:-1], lambda result: np.where(result == 0, np.nan, result)],
)
def test_a_wrong_block_is_caught_and_never_timed(spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    workers = FakeWorkers(spoil={"block_unfused": spoil, "onnxruntime_graph": spoil})
    stored: list[dict[str, ProcessResult]] = []
    names = ("block_fused", "block_unfused", "onnxruntime_graph")
    cases = {case: [each for each in own if absence(each) is None] for case, own in _request().cases().items()}
    run_cases(
        cases, Measurements(), processes=2, start=workers.start, guard=quiet_guard,
        schedule=lambda case: run_module.Schedule(0.0, rounds=2, settle_s=0.0),
        store=lambda case, generation, found: stored.append(found),
    )  # fmt: skip
    [there] = [[each.name for each in own] for own in cases.values()]
    assert set(there) <= {*names} and stored[0].keys() == {*there}
    for found in stored:
        assert {name: result.status for name, result in found.items()} == {
            name: "ok" if name == "block_fused" else "wrong" for name in there
        }
    assert {*workers.timed} == {"block_fused"}
    # A batch norm leaves no number whole: none is asked for them.
    assert workers.log.count(("prepare", "block_fused")) == 2


def test_ours_are_held_to_the_sum_of_what_their_convolutions_promise() -> None:
    block = Block.parse(_UNET)
    oracle, tolerance = BlockOracle(block), block_tolerance(block)
    assert tolerance.error_factor is not None and tolerance.error_factor >= 16
    exact = block.graph.joined([each.exact for each in oracle.expected])
    noise = np.random.default_rng(1).standard_normal(exact.shape)
    limit = tolerance.error_factor * oracle.numpy_error
    for share, status in ((0.5, "ok"), (2.0, "wrong")):
        off = exact + share * limit * np.linalg.norm(exact) / np.linalg.norm(noise) * noise
        assert oracle.compare(tolerance, "normal", off).status == status
    assert limit < PEER_LIMIT["float32"]


def test_what_an_oracle_is_said_to_hold_is_what_it_holds() -> None:
    oracle = BlockOracle(Block.parse(_UNET))
    assert oracle.most_bytes == sum(each.exact.nbytes for each in oracle.expected)


def test_batch_norm_has_something_to_do() -> None:
    block = Block.parse(_SMALL[0])
    for name, array in make_block_inputs(block).state.items():
        assert array.shape == block.graph.states[name] and np.ptp(array) > 0.1
    with pytest.raises(ValueError, match="fill is 'integer', expected 'normal' for a block"):
        make_block_inputs(block, "integer")


# -- report and command -------------------------------------------------------


def _row(layer: str, algorithm: str, time_s: float | None, status: str = "ok", ratio: float | None = None) -> Row:
    given = {
        "run": "r", "machine": "m", "network": "blocks", "layer": layer, "occurs": 1,
        "problem": f"unet_down:ic4ih{ord(layer)}oc8", "algorithm": algorithm,
        "family": "block" if algorithm.startswith("block") else "peer", "library": "L",
        "version": "1", "threads": 1, "cache": "warm", "status": status, "reason": "", "time_s": time_s, "ratio": ratio,
        "reference": "block_fused" if ratio else None,
    }  # fmt: skip
    return {**dict.fromkeys(COLUMNS), **given}


def test_the_table_compares_fused_blocks_with_each_other_way() -> None:
    rows = [
        _row("a", "block_fused", 1.0),
        _row("a", "torch_eager_nchw", 9.0, ratio=4.0),
        _row("a", "torch_eager_channels_last", 2.0),
        _row("a", "onnxruntime_graph", 1.0, status="mistrusted"),
        _row("b", "block_fused", 2.0),
        _row("b", "torch_eager_nchw", 2.0),
        _row("b", "torch_eager_channels_last", 3.0),
        _row("c", "block_fused", None, status="failed"),
        _row("c", "torch_eager_nchw", 2.0),
    ]
    [table] = block_tables(_frame(rows))
    assert [line[0] for line in table.lines] == ["a", "b", "c"]
    [found] = block_dicts(_frame(rows))
    assert found["comparisons"]["vs PyTorch NCHW"] == {"blocks": 2, "geometric_mean": 2.0, "least": 1.0, "where": "b"}
    best = found["comparisons"]["vs best PyTorch"]
    assert (best["geometric_mean"], best["least"]) == (pytest.approx(2**0.5), 1.0)
    # Times that are mistrusted are compared with nothing.
    assert found["comparisons"]["vs ONNX Runtime"]["blocks"] == 0
    assert table.after == (
        "Geometric means over blocks: PyTorch NCHW 2.00x (worst 1.00x on b, 2 blocks), best PyTorch 1.41x "
        "(worst 1.00x on b, 2 blocks).",
    )
    assert block_tables(_frame(rows[1:4])) == []


def _frame(rows: list[Row]) -> pd.DataFrame:
    return together([tidy(rows)])


def _request(blocks: tuple[str, ...] = (_UNET,)) -> Request:
    return Request((), (), ("block_fused", "block_unfused", "onnxruntime_graph"), None, (1,), 0.0, 2, blocks=blocks)


def test_a_run_of_blocks_is_stored_resumed_and_reported_as_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    workers = FakeWorkers()
    limits = Limits({"float32": {1: 100.0}}, {1: 9.0})
    monkeypatch.setattr(run_module, "measure_limits", lambda threads, dtypes: limits)
    monkeypatch.setattr(run_module, "run_cases", functools.partial(run_cases, start=workers.start, guard=quiet_guard))

    def convmark(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        said = capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    asked = ("--block", _UNET, "--block", "conv_block:ic3ih8oc4", "-c", "ours", "--processes", "1")
    code, out, err = convmark("blocks", *asked)
    assert code == 0 and "vs unfused" in out and "Geometric means over blocks" in out, err
    [folder] = (tmp_path / "results" / "runs").iterdir()
    assert "### Fused blocks, 1 thread" in (folder / "report.md").read_text()
    measured = len(workers.log)
    assert convmark("run", "--resume", "latest")[0] == 0 and len(workers.log) == measured
    assert convmark("report", "--json")[0] == 0
    for bad, said in (
        (("--block", "unet"), "unknown block 'unet'"),
        (("--block", "unet_down:ic3"), "has no ih iw oc"),
        (("--contender", "scipy"), "unknown contender 'scipy' on blocks"),
        (("--processes", "0"), "--processes is 0"),
    ):
        code, out, err = convmark("blocks", *bad)
        assert (code, out) == (2, "") and said in err and len(err.splitlines()) == 1


def test_the_command_end_to_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "suite", "blocks", "--block", "conv_block:ic3ih8oc4", "-c", "block_fused",
         "-c", "onnxruntime_graph", "--seconds", "0", "--processes", "1", "--results", str(tmp_path), "--json"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    states = {row["algorithm"]: row["status"] for row in found["rows"]}
    assert states["block_fused"] in ("ok", "mistrusted") and states["onnxruntime_graph"] != "wrong"
    assert all(row["rel_error"] < 1e-6 and row["time_s"] > 0 for row in found["rows"] if row["status"] == "ok")
    [table] = found["blocks"]
    assert [each["problem"] for each in table["blocks"]] == ["conv_block:ic3ih8oc4"]
    assert table["comparisons"]["vs unfused"]["blocks"] == 0
