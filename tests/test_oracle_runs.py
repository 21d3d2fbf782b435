"""Verifying without timing: a row per case and contender, whatever an algorithm does."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import register_made_up

from kernels import Conv2dProblem, Setup, get_algorithm
from suite.catalogue import Layer
from suite.contenders import Contender, get_contender
from suite.results.rows import COLUMNS, MEASURED, Row
from suite.selection import Case
from suite.verification import oracle_runs

_TEXT = "ic3ih6oc4kh2ph1"


def _cases(*names: str, text: str = _TEXT) -> dict[Case, list[Contender]]:
    layer = Layer("text", text, Conv2dProblem.parse(text), 1)
    return {Case(layer, 1): [get_contender(name) for name in names]}


def _rows(*names: str) -> list[Row]:
    return list(oracle_runs.verify_cases(_cases(*names)))


def test_right_and_refused_have_their_rows_and_no_times() -> None:
    ok, skipped = _rows("direct_naive", "winograd_f4x3")
    assert set(ok) == set(COLUMNS) - {"run", "machine"}
    assert (ok["status"], ok["reason"]) == ("ok", "") and 0 < ok["rel_error"] < 1e-6 and ok["time_s"] is None
    assert (skipped["status"], skipped["reason"]) == ("skipped", "the kernel is 2x2, expected 3x3 or 1x3 or 3x1")
    assert all(skipped[name] is None for name in MEASURED)


def test_a_wrong_result_says_so_and_keeps_its_measured_error(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = get_algorithm("direct_naive").bind

    def rough(setup: Setup, src: np.ndarray, dst: np.ndarray) -> None:
        honest(setup)(src, dst, dst)
        dst *= np.float32(1 + 1e-5)

    def zeros(setup: Setup, src: np.ndarray, dst: np.ndarray) -> None:
        dst[:] = 0

    register_made_up(monkeypatch, rough, exact_on_integers=False)
    [row] = _rows("made_up")
    assert row["status"] == "wrong" and row["rel_error"] == pytest.approx(1e-5, rel=0.1)
    register_made_up(monkeypatch, zeros)
    [row] = _rows("made_up")
    assert row["status"] == "wrong" and "differ from the exact integers" in row["reason"]


def test_an_exception_is_that_rows_status_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(*arguments: object) -> None:
        raise RuntimeError("first line\n  second line")

    register_made_up(monkeypatch, boom)
    rows = _rows("made_up", "direct_naive")
    assert [row["status"] for row in rows] == ["failed", "ok"]
    assert rows[0]["reason"] == "RuntimeError: first line second line"


def test_an_interrupt_is_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    register_made_up(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        _rows("made_up")


def test_each_case_is_announced() -> None:
    cases = _cases("direct_naive", "im2col_gemm") | _cases("direct_naive", text="ic2ih4oc2kh1")
    seen: list[tuple[str, str]] = []
    rows = list(oracle_runs.verify_cases(cases, lambda case, contender: seen.append((case.layer.name, contender.name))))
    assert seen == [(_TEXT, "direct_naive"), (_TEXT, "im2col_gemm"), ("ic2ih4oc2kh1", "direct_naive")]
    assert seen == [(row["layer"], row["algorithm"]) for row in rows]


def test_what_networks_have_in_common_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, checked = Conv2dProblem.parse(_TEXT), []
    honest = oracle_runs.Oracle.check
    monkeypatch.setattr(oracle_runs.Oracle, "check", lambda self, *rest: checked.append(rest) or honest(self, *rest))
    other = Conv2dProblem.parse("ic1ih2oc1kh1")
    layers = [Layer("a", "x", problem, 1), Layer("a", "y", other, 1), Layer("b", "z", problem, 4)]
    rows = list(oracle_runs.verify_cases({Case(layer, 1): [get_contender("direct_naive")] for layer in layers}))
    assert [(row["network"], row["layer"], row["occurs"]) for row in rows] == [
        ("a", "x", 1),
        ("a", "y", 1),
        ("b", "z", 4),
    ]
    assert len(checked) == 2
