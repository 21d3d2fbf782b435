"""Fits the cost model: how many cycles each kind of work takes, from measured times of many problems.

``python results/costs/fit.py`` reads what ``collect.py`` measured on one thread of this kind of CPU (the folder
``avx2`` or ``avx512``): the layers of all networks and problems that were drawn, of large kernels more. It writes the
table of that kind in kernels/costs and prints how well the model then chooses. ``python results/costs/fit.py
left-out`` fits nothing: it prints how the constants of the other kind of CPU would choose on this one; ``... threads``
how the model chooses where several threads may be used, by what ``collect.py --threads`` measured.

Non-negative least squares on relative errors; outliers weigh less, and so does an algorithm where it is
far from the fastest. A machine that is shared is slower for minutes: if all that competes for a problem took
longer than predicted, that problem's times count for so much less.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from scipy.optimize import linprog, nnls

from kernels import Conv2dProblem, get_algorithm
from kernels.costs import table
from kernels.costs.errors import error_terms
from kernels.costs.model import seconds_by_term
from kernels.costs.table import forget_tables
from kernels.machine.cpu import cpu_class
from kernels.tuning.limits import Limits

_HERE = Path(__file__).resolve().parent / cpu_class()
_TABLE = _HERE.parent.parent.parent / "kernels" / "costs" / f"{cpu_class()}.json"
_LAYERS = _HERE / "layers.csv"
_TIMES = _HERE / "drawn.csv"
_LARGE = _HERE / "large.csv"
#: Relative error from which on a time counts as an outlier; how much less an algorithm weighs that is slow.
_OUTLIER, _SLOWER = 0.07, 0.7
#: In times of the fastest: what competes with it.
_NEAR = 1.5
#: A core that another tenant shares is so many times slower at most; rounds in which that is found.
_SHARED, _ROUNDS = 2.0, 6
#: Loops that share a kind of work, from which on it is taken to cost about the same in all of them; and the relative
#: error that weighs as much as a cost of twice or none of that.
_SHARING, _PULL = 2, 0.2
#: Costs that no measured time tells well, in cycles: to write a vector and to read it.
_EXPECTED = {"sums put by": 3.0}
#: Errors that are enough for two constants.
_FEWEST = 6


def measured(paths: Iterable[Path]) -> pd.DataFrame:
    """Seconds and amounts of work by set of problems, problem and algorithm; without what is not counted."""
    found = pd.concat(
        [pd.read_csv(path).assign(of=path.stem) for path in paths if path.exists()],
        ignore_index=True,
    )
    found["amounts"] = [
        get_algorithm(name).amounts(Conv2dProblem.parse(text), threads)
        for text, name, threads in zip(found["problem"], found["algorithm"], found["threads"], strict=True)
    ]
    found = found[found["amounts"].notna()].copy()
    found["loops"] = [each.loops for each in found["amounts"]]
    found["slower"] = found["seconds"] / found.groupby(["of", "problem"])["seconds"].transform("min")
    return found


def every_error() -> pd.DataFrame:
    """What was measured on any kind of CPU: errors are about the same on all."""
    return pd.concat([pd.read_csv(path) for path in sorted(_HERE.parent.glob("*/*.csv"))], ignore_index=True)


def fitted(found: pd.DataFrame, limits: Limits) -> dict[str, dict[str, float]]:
    """Cycles by loops and kind of work."""
    found = found.assign(speed=1.0)
    cycles_of: dict[str, dict[str, float]] = {}
    for _ in range(_ROUNDS):
        shared, known = _usual(cycles_of, _SHARING), _usual(cycles_of, 1)
        predicted = pd.Series(0.0, found.index)
        for loops, rows in found.groupby("loops"):
            counts = pd.DataFrame([each.counts for each in rows["amounts"]])
            seconds = (rows["seconds"] / rows["speed"]).to_numpy()
            # A column is seconds at one cycle each, or as many as a multiply-add takes at best, relative to what was
            # measured: the model gives 1 where it is right.
            rates = [limits.fma_per_s if name == "multiply-adds" else limits.cycles_per_s for name in counts.columns]
            ratios = counts.to_numpy() / rates / seconds[:, None]
            scale = np.where(ratios.max(axis=0) > 0, ratios.max(axis=0), 1.0)
            base = rows["slower"].to_numpy() ** -_SLOWER
            weights = base
            # Rows of the system that pull a cost towards the usual one.
            usual = [
                _EXPECTED.get(name) or (shared if counts[name].any() else known).get(name, np.inf) for name in counts
            ]
            pulls = _PULL / np.array(usual) / scale
            wanted = np.where(pulls > 0, _PULL, 0.0)
            for _ in range(20):
                system = np.vstack([ratios / scale * weights[:, None], np.diag(pulls)])
                cycles, _ = nnls(system, np.concatenate([weights, wanted]))
                off = ratios / scale @ cycles - 1
                weights = base / np.sqrt(1 + (off / _OUTLIER) ** 2)
            cycles_of[str(loops)] = {
                name: float(f"{each:.4g}")
                for name, each in zip(counts.columns, cycles / scale, strict=True)
                if each > 0
            }
            predicted[rows.index] = (1 + off) * seconds
        found["off"] = predicted / found["seconds"]
        found["speed"] = _speeds(found)
    found["off"] = (found["off"] * found["speed"] - 1).abs()
    for loops, rows in found[found["slower"] < _NEAR].groupby("loops"):
        print(f"{loops}: of {len(rows)} times near the fastest nine in ten within {rows['off'].quantile(0.9):.0%}")
    return cycles_of


def _usual(cycles_of: dict[str, dict[str, float]], loops: int) -> dict[str, float]:
    """What a kind of work takes in most loops that do it, if so many do."""
    every = pd.DataFrame(cycles_of).T
    return {str(name): float(each.median()) for name, each in every.items() if each.count() >= loops}


def _speeds(found: pd.DataFrame) -> pd.Series:
    """How much slower the machine was when a problem was measured: by what competes for it, of several kinds."""
    near = found[found["slower"] < _NEAR]
    by_problem = near.assign(slow=1 / near["off"]).groupby(["of", "problem"])
    slow = by_problem["slow"].median().where(by_problem["loops"].nunique() > 1, 1.0).clip(1.0, _SHARED)
    return found.join(slow.rename("slow"), on=["of", "problem"])["slow"].fillna(1.0)


def fitted_errors(found: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Roundings by algorithm and kind of kernel, that cover what was measured."""
    known = found.dropna(subset="rel_error")
    terms = [error_terms(Conv2dProblem.parse(text)) for text in known["problem"]]
    known = known.assign(kind=[kind for kind, _ in terms], root=np.sqrt([products for _, products in terms]))
    errors: dict[str, dict[str, list[float]]] = {}
    for (name, kind), rows in known.groupby(["algorithm", "kind"]):
        if len(rows) < _FEWEST:
            continue
        units = rows["rel_error"].to_numpy() / 2.0**-24
        columns = np.column_stack([np.ones(len(rows)), rows["root"]])
        # The least ones that cover every error: a linear program.
        ratios = columns / units[:, None]
        constants = linprog(ratios.sum(axis=0), A_ub=-ratios, b_ub=-np.ones(len(rows))).x
        errors.setdefault(str(name), {})[str(kind)] = [float(f"{each:.3g}") for each in constants]
        print(f"{name}, {kind}: expected up to {(ratios @ constants).max():.2f} times one of {len(rows)} errors")
    return errors


def judge(found: pd.DataFrame, limits: Limits | None = None) -> None:
    """Print how often the model's choice is within a tenth of the fastest, and where it is not."""
    predicted = [
        sum(seconds_by_term(amounts, threads, limits).values())
        for amounts, threads in zip(found["amounts"], found["threads"], strict=True)
    ]
    found = found.assign(predicted=predicted)
    for of, rows in found.groupby("of"):
        chosen = rows.loc[rows.reset_index().groupby("problem")["predicted"].idxmin().map(dict(enumerate(rows.index)))]
        print(f"{of}: {(chosen['slower'] <= 1.1).mean():.1%} of {len(chosen)} within a tenth of the fastest")
        for row in chosen[chosen["slower"] > 1.1].sort_values("slower", ascending=False).itertuples():
            threads = f" by {row.threads} threads" if rows["threads"].nunique() > 1 else ""
            print(f"  {row.slower:.2f} times the fastest: {row.algorithm}{threads} on {row.problem}")


def left_out(found: pd.DataFrame, limits: Limits) -> None:
    """Judge the constants of the other kind of CPU by what was measured on this one."""
    other = {"avx2": "avx512", "avx512": "avx2"}[cpu_class()]
    with mock.patch.object(table, "cpu_class", lambda: other):
        forget_tables()
        judge(found, limits)


def main() -> None:
    """Fit, write, judge."""
    if sys.argv[1:] == ["threads"]:
        judge(measured(sorted(_HERE.glob("*_threads*.csv"))).reset_index(drop=True))
        return
    found = measured((_LAYERS, _TIMES, _LARGE)).reset_index(drop=True)
    rates = json.loads((_HERE / "limits.json").read_text())
    limits = Limits.measured(rates["fma_per_s"], rates["memory_bytes_per_s"])
    if sys.argv[1:] == ["left-out"]:
        left_out(found, limits)
        return
    constants = {"limits": limits, "cycles": fitted(found, limits), "roundings": fitted_errors(every_error())}
    _TABLE.write_text(json.dumps(constants, indent=1) + "\n")
    forget_tables()
    judge(found)


if __name__ == "__main__":
    main()
