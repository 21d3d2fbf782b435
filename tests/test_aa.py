"""``convmark aa`` stores every pair, goes on where it was, and its exit code is the gate's worth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.actions import aa
from suite.cli import main
from suite.gate.findings import Benchmark
from suite.gate.pair import BASE, HEAD, Offer
from suite.measure.result import ProcessResult

_TEXT = "ic2ih6oc3kh3"
_COMMAND = ("aa", "-p", _TEXT, "--runs", "50", "--json")


class _Pair:
    """Pairs of a quiet machine, or of one on which head is always slower."""

    bias = 0.0

    def __init__(self, number: int, **rest: Any) -> None:
        self.number = number

    def measure(self, benchmark: Benchmark, *, slowdowns: Sequence[float] = ()) -> dict[str, list[ProcessResult]]:
        rng = np.random.default_rng([self.number, len(benchmark.algorithm)])
        times = np.exp(rng.normal(0, 0.01, 2 + len(slowdowns))) * (1 + self.bias * np.arange(2 + len(slowdowns)))
        slowed = [float(time * (1 + each)) for time, each in zip(times[1:], (0.0, *slowdowns), strict=True)]
        return {
            BASE: [ProcessResult(seconds=[1.0])] * len(slowed),
            HEAD: [ProcessResult(seconds=[each]) for each in slowed],
        }

    def __enter__(self) -> _Pair:
        return self

    def __exit__(self, *rest: object) -> None:
        pass


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[_Pair]:
    class Own(_Pair):
        pass

    class RevisionBuilder:
        def build(self, name: str, *, own_environment: bool = True) -> str:
            return name

    @contextmanager
    def revision_builder(repository: Path) -> Iterator[RevisionBuilder]:
        yield RevisionBuilder()

    offer = Offer({name: {_TEXT: None} for name in ("direct_naive", "direct_tiled", "im2col_gemm")}, {})
    monkeypatch.setattr(aa, "RevisionPair", Own)
    monkeypatch.setattr(aa, "revision_builder", revision_builder)
    monkeypatch.setattr(aa, "offers_of", lambda sides, problems: dict.fromkeys(sides, offer))
    monkeypatch.chdir(tmp_path)
    return Own


def _aa(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([*_COMMAND, *arguments])
    code = stopped.value.code
    assert isinstance(code, int)
    return (code, *capsys.readouterr())


def test_a_machine_on_which_the_gate_keeps_its_promise(pair: type[_Pair], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _aa(capsys, "--generations", "30")
    found = json.loads(out)
    assert (code, found["benchmarks"], found["generations"], found["disturbed"]) == (0, 2, 30, 0)
    assert found["false_alarm"] == 0 and found["machine"]["cpu"]
    folder = Path(found["folder"])
    assert len((folder / "pairs.jsonl").read_text().splitlines()) == 30 * 3
    assert json.loads((folder / "rates.json").read_text())["stamp"] == found["stamp"]
    assert "| 10% |" in (folder / "rates.md").read_text()


def test_a_machine_on_which_it_does_not(pair: type[_Pair], capsys: pytest.CaptureFixture[str]) -> None:
    pair.bias = 0.08
    code, out, _ = _aa(capsys, "--generations", "30")
    assert code == 1 and json.loads(out)["false_alarm"] > 0.5


def test_it_goes_on_with_what_is_stored(pair: type[_Pair], capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(json.loads(_aa(capsys, "--generations", "4")[1])["folder"])
    before = (folder / "pairs.jsonl").read_bytes()
    # A generation that was cut off is measured again; its lines stay.
    with (folder / "pairs.jsonl").open("ab") as file:
        file.write(b'{"generation": 4, "benchmark": "cut o')
    found = json.loads(_aa(capsys, "--generations", "6", "--resume", str(folder))[1])
    assert found["generations"] == 6 and (folder / "pairs.jsonl").read_bytes().startswith(before)


def test_pairs_of_other_sources_are_not_added_to(pair: type[_Pair], capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(json.loads(_aa(capsys, "--generations", "3")[1])["folder"])
    pairs = folder / "pairs.jsonl"
    pairs.write_text(re.sub(r'"sources": "\w+"', '"sources": "others"', pairs.read_text()))
    code, _, err = _aa(capsys, "--resume", str(folder))
    assert code == 2 and "has pairs of sources 'others', expected the same" in err


def test_too_little_is_no_verdict(
    pair: type[_Pair], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed = [ProcessResult(seconds=[1.0], disturbed="others kept 1.0 cores busy, 0 were free")] * 4
    monkeypatch.setattr(pair, "measure", lambda self, benchmark, slowdowns=(): {BASE: disturbed, HEAD: disturbed})
    code, out, err = _aa(capsys, "--generations", "3")
    assert (code, out) == (2, "") and "a benchmark has 0 undisturbed pairs, expected at least 3" in err
    code, _, err = _aa(capsys, "--generations", "2")
    assert code == 2 and "--generations is 2 and --runs 50, expected at least 3 and 1" in err


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_cannot_be_written_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "below" if name == "missing" else tmp_path / "file"
    with pytest.raises(SystemExit) as ended:
        main(["aa", "--resume", str(folder)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"convmark: cannot write {folder}: Not a directory")
