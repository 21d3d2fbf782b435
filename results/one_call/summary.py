"""Print how `conv2d(x, w)` compares with PyTorch's, from rows.csv beside this file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

_HERE = Path(__file__).parent
#: Calls that take PyTorch longer: of shorter ones the time is that of reading arguments.
_SHORT_S = 50e-6


def main() -> None:
    """Print a page of Markdown."""
    machine = json.loads((_HERE / "machine.json").read_text())["machine"]
    rows = pd.read_csv(_HERE / "rows.csv")
    rows = rows[rows["status"].isin(["ok", "mistrusted"])].drop_duplicates(["problem", "threads", "algorithm"])
    print(f"# Single calls\n\n{machine['cpu']}, vectors of {machine['vector_bytes']} bytes;", end=" ")
    print(f"`bash results/one_call/run.sh --processes {rows['processes'].max()}`.", end=" ")
    print("Speed-up is PyTorch's time by ours: above 1 is faster.\n")
    print("| threads | layers | geomean speed-up | geomean from 50 us on | below 0.9 | least |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    worst = []
    for threads, some in rows.groupby("threads"):
        times = some.pivot(index="problem", columns="algorithm", values="time_s").dropna()
        ratio = times["torch_one_call"] / times["one_call"]
        longer = ratio[times["torch_one_call"] >= _SHORT_S]
        print(
            f"| {threads} | {len(ratio)} | {np.exp(np.log(ratio).mean()):.2f}x | {np.exp(np.log(longer).mean()):.2f}x"
            f" | {(ratio < 0.9).sum()} | {ratio.min():.2f}x |"
        )
        worst += [(threads, name, value, times.loc[name]) for name, value in ratio.nsmallest(12).items()]
    print("\nWhere it is slowest:\n\n| threads | problem | ours, us | PyTorch, us | speed-up |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for threads, name, value, each in worst:
        ours, theirs = (1e6 * each[who] for who in ("one_call", "torch_one_call"))
        print(f"| {threads} | `{name}` | {ours:.0f} | {theirs:.0f} | {value:.2f}x |")


if __name__ == "__main__":
    main()
