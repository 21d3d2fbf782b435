"""What the rows beside this file come to, by network: against the best library, auto's choice, and all threads.

Rows of runs, whose files are arguments, are joined to rows.csv before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from kernels import Conv2dProblem

_HERE = Path(__file__).parent
#: Layers whose times are compared on several threads take at least so long on one.
_LEAST_S = 1e-3


def _geomean(values: pd.Series) -> float:
    return float(np.exp(np.log(values).mean()))


def _layer_names() -> dict[str, str]:
    """Of the workload's layers, by problem."""
    path = _HERE.parent.parent / "suite" / "workloads" / "large_kernels.txt"
    words = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {str(Conv2dProblem.parse(problem)): name for problem, name, _ in words}


def main(files: list[str]) -> None:
    """Print tables of rows.csv and threads.csv."""
    if files:
        pd.concat([pd.read_csv(each) for each in files]).to_csv(_HERE / "rows.csv", index=False)
    machine = json.loads((_HERE / "machine.json").read_text())["machine"]
    rows = pd.read_csv(_HERE / "rows.csv")
    print("# Large kernels\n")
    print(
        f"{machine['cpu']}, vectors of {machine['vector_bytes']} bytes, mb=1, one thread; `bash "
        "results/large_kernels/run.sh`. Ours is `auto` by its cost model; speed-up is the time of the fastest library "
        "by ours: above 1 is faster.\n"
    )
    bad = rows[~rows["status"].isin(["ok", "mistrusted", "skipped"])]
    print(f"{len(bad)} of {len(rows)} rows are wrong or failed", end="")
    print(f" ({', '.join(sorted(set(bad['algorithm'])))}).\n" if len(bad) else ".\n")
    rows = rows[rows["status"].isin(["ok", "mistrusted"])]
    peers = sorted(set(rows.loc[rows["library"] != "convmark", "algorithm"]))
    chosen = rows[rows["algorithm"] == "auto"].drop_duplicates("problem").set_index("problem")["reason"]
    times = rows.pivot_table(index="problem", columns="algorithm", values="time_s", sort=False)
    own = [name for name in times.columns if name not in peers]
    table = pd.DataFrame({
        "layer": pd.Series(_layer_names()), "auto": times["auto"], "fastest": times[own].min(axis=1),
        "peer": times[peers].min(axis=1), "which": times[peers].idxmin(axis=1),
        "chosen": chosen.str.removeprefix("chose "),
    }).loc[times.index]  # fmt: skip
    table["speedup"], table["auto_by_fastest"] = table["peer"] / table["auto"], table["fastest"] / table["auto"]
    print("| network | layers | geomean speed-up | worst | worst layer |\n| --- | ---: | ---: | ---: | --- |")
    for network, part in table.groupby([name.split("/")[0] for name in table["layer"]], sort=False):
        worst = part["speedup"].idxmin()
        print(
            f"| {network} | {len(part)} | {_geomean(part['speedup']):.2f}x | {part['speedup'].min():.2f}x | `{worst}` |"
        )
    near = (table["auto_by_fastest"] >= 1 / 1.1).mean()
    print(f"\n`auto` is within 10 % of our fastest on {near:.0%} of {len(table)} layers.\n")
    print("| layer | problem | chosen | ours [ms] | best library | its [ms] | speed-up | auto by our fastest |")
    print("| --- | --- | --- | ---: | --- | ---: | ---: | ---: |")
    for problem, row in table.iterrows():
        print(
            f"| {row['layer']} | `{problem}` | {row['chosen']} | {row['auto'] * 1e3:.3f} | {row['which']} | "
            f"{row['peer'] * 1e3:.3f} | {row['speedup']:.2f}x | {row['auto_by_fastest']:.2f} |"
        )
    threads = pd.read_csv(_HERE / "threads.csv").pivot_table(index="problem", columns="threads", values="time_s")
    most = max(threads.columns)
    long = threads[threads[1] >= _LEAST_S]
    scaling = long[1] / long[most]
    print(
        f"\nOn {most} threads the {len(long)} layers of {_LEAST_S * 1e3:.0f} ms and more take a geometric mean of "
        f"{_geomean(scaling):.2f} times less, the least {scaling.min():.2f} (`{scaling.idxmin()}`)."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
