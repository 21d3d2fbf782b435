"""The work of ``convmark aa``."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import typer

from suite.actions.arguments import directions_of, threads_of
from suite.actions.gate import NETWORK, RISK, UNGUARDED
from suite.catalogue import Layer
from suite.console import fail, print_json, stderr, stdout, warn
from suite.gate.aa import AaPairs, Rates, aa_rates
from suite.gate.findings import Benchmark
from suite.gate.pair import BASE, HEAD, RevisionPair
from suite.gate.revisions import WORKING_TREE, RevisionError, revision_builder
from suite.gate.run import SCHEDULE, benchmarks_of, offers_of
from suite.machine.environment import this_machine
from suite.machine.host_lock import measuring_alone
from suite.measure.result import ProcessResult, log_ratio
from suite.measure.worker import WorkerError
from suite.progress import Tally
from suite.records import fits
from suite.report.aa import print_rates, rates_markdown
from suite.results.files import adding_to, replace_file, unwritable
from suite.results.jsonl import append_line, read_lines
from suite.results.runs import require_writable
from suite.selection import select_layers

__all__ = ["aa"]

#: Slowdowns that are put into calls, fractions of their time.
_SLOWDOWNS = (0.05, 0.10, 0.20)

#: Logarithms of ratios by slowdown; none of a pair that was disturbed.
_LOGS = dict[str, float | None] | None

#: The gate's default, which the control is a control of.
_MARGIN = 0.05

#: More false alarms than this, or fewer detections of 10 %, and the gate is not to be trusted here.
_MOST_ALARMS, _LEAST_DETECTION = 0.01, 0.98


def aa(
    network: list[str] | None,
    problem: list[str] | None,
    direction: str,
    threads: list[str] | None,
    generations: int,
    runs: int,
    resume: Path | None,
    results: Path,
    no_wait: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.aa.aa`."""
    if generations < 3 or runs < 1:
        fail(f"--generations is {generations} and --runs {runs}, expected at least 3 and 1")
    require_writable(results)
    folder = resume or results / "aa" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    layers = select_layers(
        network or (() if problem else (NETWORK,)), problem or (), directions=directions_of(direction)
    )
    with measuring_alone(wait=not no_wait), adding_to(folder):
        rates = _rates(folder, layers, threads_of(threads) or (1,), generations, runs)
        stored = {
            "machine": this_machine().as_dict(), "stamp": this_machine().stamp, "margin": _MARGIN, "risk": RISK,
            **rates.as_dict(),
        }  # fmt: skip
        texts = {
            "rates.json": json.dumps(stored, indent=2) + "\n",
            "rates.md": rates_markdown(rates, this_machine(), _MARGIN, RISK),
        }
        try:
            for name, text in texts.items():
                replace_file(folder / name, lambda path, text=text: path.write_text(text))  # type: ignore[misc]
        except OSError as error:
            raise unwritable(folder, error) from error
    if as_json:
        print_json({"folder": str(folder), **stored})
    else:
        print_rates(stdout(), rates, _MARGIN, RISK)
        stdout().print(f"Files: {folder}", soft_wrap=True, markup=False)
    ten = next((each.detection for each in rates.powers if each.slowdown == 0.10), 0.0)
    raise typer.Exit(0 if rates.false_alarm <= _MOST_ALARMS and ten >= _LEAST_DETECTION else 1)


def _rates(folder: Path, layers: list[Layer[Any]], threads: tuple[int, ...], generations: int, runs: int) -> Rates:
    """Measure the generations that a folder lacks, and what follows from all."""
    pairs = folder / "pairs.jsonl"
    lines = [line for line in read_lines(pairs, warn) if isinstance(line.get("generation"), int)]
    sources = this_machine().sources
    for line in lines:
        if line.get("sources", sources) != sources:
            fail(f"{folder} has pairs of sources {line['sources']!r}, expected the same, not {sources!r}")
    seen = {line["generation"] for line in lines if line.get("done")}
    try:
        with revision_builder(Path.cwd()) as here:
            same = here.build(WORKING_TREE, own_environment=False)
            sides = {BASE: same, HEAD: same}
            offers = offers_of(sides, [str(layer.problem) for layer in layers])
            benchmarks, _ = benchmarks_of(layers, threads, offers, without=UNGUARDED)
            pair = partial(RevisionPair, revisions=sides, offers=offers, schedule=SCHEDULE)
            with Tally(stderr(), generations, "generations") as tally:
                for number in [n for n in range(generations) if n not in seen]:
                    _generation(pair(number), benchmarks, pairs, tally)
        return aa_rates(_aa_pairs(pairs), margin=_MARGIN, risk=RISK, runs=runs)
    except (RevisionError, WorkerError, ValueError) as error:
        fail(str(error))


def _generation(pair: RevisionPair, benchmarks: list[Benchmark], pairs: Path, tally: Tally) -> None:
    with pair:
        for benchmark in benchmarks:
            tally.at(f"generation {pair.number + 1}: {benchmark.layer} {benchmark.algorithm}", pair.number)
            found = pair.measure(benchmark, slowdowns=_SLOWDOWNS)
            line = {"generation": pair.number, "benchmark": benchmark.name}
            if all(side in found for side in (BASE, HEAD)):
                pairs_of = zip((0.0, *_SLOWDOWNS), found[HEAD], found[BASE], strict=False)
                line |= {"base_s": found[BASE][0].median_s}
                line |= {"log_ratios": {str(slowdown): _log_ratio(head, base) for slowdown, head, base in pairs_of}}
            _store(pairs, line)
        _store(pairs, {"generation": pair.number, "done": True, "sources": this_machine().sources})


def _log_ratio(head: ProcessResult, base: ProcessResult) -> float | None:
    return log_ratio(head, base) if head.quiet and base.quiet else None


def _store(pairs: Path, line: dict[str, object]) -> None:
    try:
        append_line(pairs, line)
    except OSError as error:
        raise unwritable(pairs, error) from error


def _aa_pairs(pairs: Path) -> AaPairs:
    lines = {
        (line["benchmark"], line["generation"]): line
        for line in read_lines(pairs, warn)
        if fits(line.get("benchmark"), str)
        and fits(line.get("generation"), int)
        and fits(line.get("log_ratios"), _LOGS)
    }
    benchmarks = [*dict.fromkeys(name for name, _ in lines)]
    generations = sorted({number for _, number in lines})
    logs = {}
    for slowdown in (0.0, *_SLOWDOWNS):
        found = [
            [(lines.get((name, number), {}).get("log_ratios") or {}).get(str(slowdown)) for number in generations]
            for name in benchmarks
        ]
        logs[slowdown] = np.array(found, np.float64)
    return AaPairs(benchmarks, logs)
