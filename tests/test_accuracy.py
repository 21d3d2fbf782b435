"""The table of errors: nobody is left out, and who computes worse than he promises is found."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from conftest import register_made_up
from rich.console import Console

from kernels import Conv2dProblem, Setup, algorithms, get_algorithm
from suite import cli
from suite.catalogue import Layer
from suite.check.inputs import REAL_FILLS, make_inputs
from suite.contenders import get_contender
from suite.report.accuracy import error_tables, print_accuracy, promise_lines
from suite.selection import Case
from suite.verification import accuracy
from suite.verification.accuracy import DIRECT, LADDER, Accuracy, measure_accuracy

_TEXT = "ic16ih10oc16kh3ph1"


def _measured(*names: str, text: str = _TEXT) -> list[Accuracy]:
    layer = Layer("text", text, Conv2dProblem.parse(text), 1)
    cases = {Case(layer, 1): [get_contender(name) for name in names]}
    return [each for _, found in measure_accuracy(cases) for each in found]


def _half_precision(setup: Setup, src: np.ndarray, dst: np.ndarray) -> None:
    """The direct sum of a source that was rounded to 16 bits."""
    scale = np.abs(src).max() or 1.0
    rounded = (src / scale).astype(np.float16).astype(src.dtype) * scale
    get_algorithm("direct_naive").bind(setup)(rounded, dst, dst)


# -- what is measured -------------------------------------------------------------------


def test_errors_are_those_of_the_definition() -> None:
    entries = {each.fill: each for each in _measured("winograd_f4x3")}
    assert tuple(entries) == REAL_FILLS
    problem = Conv2dProblem.parse(_TEXT)
    for fill, each in entries.items():
        inputs = make_inputs(problem, fill)
        results = {}
        for name in ("winograd_f4x3", DIRECT):
            bound = accuracy.Oracle(problem).compute(fill, get_algorithm(name))[0]
            exact = accuracy.Oracle(problem).filled(fill)[1].exact
            results[name] = np.linalg.norm(bound - exact) / np.linalg.norm(exact), np.abs(bound - exact).max()
        assert inputs.first.dtype == np.float32
        relative, largest = results["winograd_f4x3"]
        assert each.rel_error == pytest.approx(relative) and each.max_error == pytest.approx(largest)
        assert each.rel_vs_direct == pytest.approx(relative / results[DIRECT][0])
        assert each.max_vs_direct == pytest.approx(largest / results[DIRECT][1])
        assert each.rel_vs_numpy is not None and each.status == "ok"
        assert each.rel_vs_numpy <= each.error_factor == get_algorithm("winograd_f4x3").error_factor


def test_a_refusal_is_one_entry_with_its_reason() -> None:
    [entry] = _measured("winograd_f2x5")
    assert (entry.status, entry.fill, entry.rel_error) == ("skipped", "", None)
    assert entry.reason.startswith("the kernel is 3x3")


def test_worse_arithmetic_than_promised_is_wrong_on_every_kind_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    register_made_up(monkeypatch, _half_precision)
    found = _measured("made_up")
    assert [(each.fill, each.status) for each in found] == [(fill, "wrong") for fill in REAL_FILLS]
    assert all(each.rel_vs_numpy > each.error_factor for each in found)  # type: ignore[operator]
    assert all("relative L2 error is" in each.reason for each in found)
    # The same arithmetic is right where so much was promised.
    register_made_up(monkeypatch, _half_precision, error_factor=1e5)
    assert {each.status for each in _measured("made_up")} == {"ok"}


def test_what_is_bad_on_unfriendly_data_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def clipped(setup: Setup, src: np.ndarray, dst: np.ndarray) -> None:
        get_algorithm("direct_naive").bind(setup)(np.clip(src, -50, 50), dst, dst)

    register_made_up(monkeypatch, clipped)
    assert [each.status for each in _measured("made_up")] == ["ok", "wrong", "wrong", "wrong"]


@pytest.mark.parametrize(
    ("spoil", "status", "reason", "measured"),
    [
        (lambda src, dst: dst.fill(np.nan), "wrong", "elements are not finite", False),
        (lambda src, dst: src.fill(0), "wrong", "input was written to", True),
        (lambda src, dst: 1 / 0, "failed", "ZeroDivisionError", False),
    ],
)
def test_what_goes_wrong_is_told_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch, spoil: Any, status: str, reason: str, measured: bool
) -> None:
    def run(setup: Setup, src: np.ndarray, dst: np.ndarray) -> None:
        get_algorithm("direct_naive").bind(setup)(src, dst, dst)
        spoil(src, dst)

    register_made_up(monkeypatch, run)
    found = _measured("made_up", "direct_naive")
    assert [each.status for each in found] == [status] * len(REAL_FILLS) + ["ok"] * len(REAL_FILLS)
    bad = [each for each in found if each.algorithm == "made_up"]
    assert all(reason in each.reason and (each.rel_error is not None) == measured for each in bad)


def test_unfriendly_data_is_what_it_is_called() -> None:
    problem = Conv2dProblem.parse("mb2ic8ih40iw30oc4kh3b1")
    fills = {fill: make_inputs(problem, fill) for fill in REAL_FILLS}
    assert 99 < fills["mean"].first.mean() < 101 and 0.9 < fills["mean"].first.std() < 1.1
    magnitudes = np.abs(fills["wide"].first)
    assert np.quantile(magnitudes, 0.99) > 1e5 * np.quantile(magnitudes, 0.01)
    picture = fills["picture"].first
    np.testing.assert_array_equal((picture.min((2, 3)), picture.max((2, 3))), (np.zeros((2, 8)), np.full((2, 8), 255)))
    # Neighbours are alike but at the edge of the disc, and planes are not.
    steps = np.abs(np.diff(picture, axis=3))
    assert np.median(steps) < 10 < steps.max()
    assert len(np.unique(picture.reshape(16, -1), axis=0)) == 16
    for fill, inputs in fills.items():
        again = make_inputs(problem, fill)
        np.testing.assert_array_equal(inputs.first, again.first)
        assert inputs.first.dtype == inputs.second.dtype == np.float32 and inputs.bia is not None


def test_an_empty_batch_and_one_pixel_have_pictures() -> None:
    assert make_inputs(Conv2dProblem.parse("mb0ic3ih5oc4kh3"), "picture").first.size == 0
    assert np.isfinite(make_inputs(Conv2dProblem.parse("ic1ih1oc1kh1"), "picture").first).all()


# -- what is shown ----------------------------------------------------------------------


def test_the_ladder_has_every_algorithm_on_several_numbers_of_channels() -> None:
    problems = [Conv2dProblem.parse(text) for text in LADDER]
    for each in algorithms("fwd"):
        assert len({p.ic for p in problems if each.unsupported(p) is None}) >= 2, each.name


def test_the_table_has_everyone_who_does_not_refuse() -> None:
    entries = _measured(*(each.name for each in algorithms("fwd")))
    able = [each.name for each in algorithms("fwd") if each.unsupported(Conv2dProblem.parse(_TEXT)) is None]
    tables = error_tables(entries)
    assert [table.title for table in tables] == [
        "3x3, maps below 14: relative L2 error", "3x3, maps below 14: largest error of one element",
    ]  # fmt: skip
    for table in tables:
        assert table.headings == ("algorithm", "data", "16 channels")
        assert [line[:2] for line in table.lines] == [(name, fill) for name in able for fill in REAL_FILLS]
        assert all(line[2].endswith("x") for line in table.lines)
    assert [(cells[0], kept) for cells, kept in promise_lines(entries)] == [(name, True) for name in able]


def _entry(problem: str, multiple: float | None, status: str = "ok", fill: str = "normal") -> Accuracy:
    channels = Conv2dProblem.parse(problem).ic
    errors = {} if multiple is None else {"rel_error": 1e-7 * multiple, "max_error": 1.0, "rel_vs_numpy": multiple}
    return Accuracy("net", "one", problem, channels, "a", 1, fill, status, "why | not", 5.0, **errors)


def test_a_cell_is_the_worst_of_its_kind_and_number_of_channels() -> None:
    entries = [_entry("ic8ih20oc8kh3", 2.0), _entry("ic8ih30oc8kh3", 3.0), _entry("ic16ih20oc8kh3", None, "failed")]
    relative, largest = error_tables(entries)
    assert relative.headings[2:] == ("8 channels", "16 channels")
    assert relative.lines == [("a", "normal", "3.0e-07 3.0x", "failed")]
    assert largest.lines == [("a", "normal", "1.0e+00", "failed")]
    [(cells, kept)] = promise_lines(entries)
    assert cells[:5] == ("a", "5x", "3.0x", "ic8ih30oc8kh3", "normal") and not kept
    assert promise_lines(entries[2:]) == [(("a", "5x", "", "", "", "", ""), False)]


@pytest.mark.parametrize("width", [80, 140])
def test_nothing_is_cut_in_a_narrow_terminal(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    print_accuracy(console, [*_measured("grouped_winograd", "winograd_f2x5"), _entry(_TEXT, 9.0, "wrong")])
    text = console.export_text()
    assert "…" not in text and max(len(line) for line in text.splitlines()) <= width
    assert "skipped 1 x winograd_f2x5: the kernel is 3x3" in text
    assert "wrong a, net/one on normal data: why | not" in text


# -- the command ------------------------------------------------------------------------


def _convmark(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    said = capsys.readouterr()
    return int(exit_.value.code or 0), said.out, said.err


def test_the_command_shows_errors_and_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("verify", "--accuracy", "-p", _TEXT, "-a", "winograd_f2x3", "-a", "winograd_f2x5")
    code, out, err = _convmark(capsys, *chosen)
    assert code == 0 and "relative L2 error" in out and "picture" in out
    assert err == f"[2/2] text/{_TEXT}: 1 ok, 1 skipped\n"
    content = json.loads(_convmark(capsys, *chosen, "--json")[1])
    assert content["counts"] == {"ok": 4, "skipped": 1}
    assert [row["fill"] for row in content["rows"]] == [*REAL_FILLS, ""]
    assert content["rows"][0].keys() == {each.name for each in dataclasses.fields(Accuracy)}


def test_a_broken_promise_is_exit_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    register_made_up(monkeypatch, _half_precision)
    code, out, _ = _convmark(capsys, "verify", "--accuracy", "-p", _TEXT, "-a", "made_up")
    assert code == 1 and f"wrong made_up, text/{_TEXT} on wide data" in out


def test_the_ladder_is_climbed_where_nothing_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def measured(cases: Mapping[Case, object], before: Any) -> Any:
        asked.extend(str(case.layer.problem) for case in cases)
        return iter(())

    monkeypatch.setattr("suite.actions.verify.measure_accuracy", measured)
    assert _convmark(capsys, "verify", "--accuracy", "-a", "direct_naive")[0] == 0
    assert asked == [str(Conv2dProblem.parse(text)) for text in LADDER]
    asked.clear()
    _convmark(capsys, "verify", "--accuracy", "-a", "direct_naive", "-n", "quick")
    assert len(asked) == 4
