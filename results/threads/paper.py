"""Threads on paper: what the cost model expects of 8, 16 and 64 threads on every layer of every network.

``python results/threads/paper.py`` writes threads.md beside this file. Nothing is timed: a row is `auto`'s choice for
so many threads, by the constants of this kind of CPU (``kernels/costs``). An efficiency is the time on one thread by
that on all, by their number. The model knows how evenly work is split, what starting threads and each meeting of them
takes, and that memory serves a few cores only; neither of clocks that fall when all cores work, nor of several sockets.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

os.environ["CONVMARK_TUNED"] = "off"

from kernels import Conv2dProblem
from kernels.arguments import NO_BUDGETS
from kernels.machine.cpu import cpu_class
from kernels.select import choose, choose_threads
from suite import catalogue

_COUNTS = (8, 16, 64)
#: Lists of problems that are no networks.
_LISTS = {"basics", "dilated", "large_kernels", "quick"}


def rows() -> pd.DataFrame:
    """A row per layer, shape and number of threads."""
    found, seen = [], set[Conv2dProblem]()
    for network in catalogue.networks():
        if network in _LISTS:
            continue
        for layer in catalogue.layers(network):
            p = layer.problem
            if p in seen:
                continue
            seen.add(p)
            alone = choose(p, 1, tuned=False).chosen
            for count in _COUNTS:
                choice, used = choose_threads(p, count, NO_BUDGETS)
                chosen = choice.chosen
                amounts = choice.algorithm.amounts(p, used)
                memory_s = sum(s for name, s in chosen.terms.items() if name.endswith(" memory"))
                found.append({
                    "network": network, "layer": layer.name, "problem": str(p), "threads": count, "used": used,
                    "algorithm": choice.algorithm.name, "alone_s": alone.seconds, "time_s": chosen.seconds,
                    "longest": amounts.longest, "meetings": amounts.meetings,
                    "threads_s": chosen.terms.get("threads", 0.0), "memory_s": memory_s,
                })  # fmt: skip
    frame = pd.DataFrame(found)
    frame["efficiency"] = frame["alone_s"] / frame["time_s"] / frame["threads"]
    # What a perfect split leaves out: uneven shares, threads that start and meet, memory that all share.
    computed = frame["time_s"] - frame["threads_s"] - frame["memory_s"]
    lost = pd.DataFrame({
        "uneven shares": computed * (1 - 1 / frame["longest"]), "starting and meeting": frame["threads_s"],
        "memory": frame["memory_s"],
    })  # fmt: skip
    fewer = frame["used"] < frame["threads"]
    return frame.assign(limit=np.where(fewer, "fewer threads are faster", lost.idxmax(axis=1)))


def main() -> None:
    """Write the tables."""
    frame = rows()
    lines = [
        "# Threads on paper", "",
        f"What the cost model expects of more threads than were measured, by the constants of {cpu_class().upper()}: "
        "`python results/threads/paper.py`. Efficiency is the time on one thread by that on all, by their number; "
        "mb=1 and each shape once. Nothing here was timed.", "",
        "| network | layers | "
        + " | ".join(f"efficiency on {n} | least | layers on fewer threads" for n in _COUNTS) + " |",
        "| --- | ---: |" + " ---: |" * 3 * len(_COUNTS),
    ]  # fmt: skip
    for network, part in [*frame.groupby("network"), ("all", frame)]:
        cells = [str(network), str(part["problem"].nunique())]
        for count in _COUNTS:
            of = part[part["threads"] == count]
            cells += [
                f"{np.exp(np.log(of['efficiency']).mean()):.0%}", f"{of['efficiency'].min():.0%}",
                str((of["used"] < count).sum()),
            ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## What limits first", ""]
    limits = frame.groupby(["threads", "limit"]).size().unstack(fill_value=0)
    lines += ["| threads | " + " | ".join(limits.columns) + " |", "| ---: |" + " ---: |" * len(limits.columns)]
    for count, row in limits.iterrows():
        lines.append("| " + " | ".join([str(count), *map(str, row)]) + " |")
    for count in _COUNTS:
        of = frame[frame["threads"] == count].sort_values("efficiency")
        lines += [
            "", f"## {count} threads", "",
            "| layer | problem | algorithm | threads used | longest share by an equal one | meetings | time, us | "
            "of that starting and meeting, us | memory, us | efficiency | first limit |",
            "| --- | --- | --- |" + " ---: |" * 7 + " --- |",
        ]  # fmt: skip
        for each in of.itertuples():
            cells = [
                f"{each.network}/{each.layer}", each.problem, each.algorithm, each.used, f"{each.longest:.2f}",
                each.meetings, f"{1e6 * each.time_s:.1f}", f"{1e6 * each.threads_s:.1f}", f"{1e6 * each.memory_s:.1f}",
                f"{each.efficiency:.0%}", each.limit,
            ]  # fmt: skip
            lines.append(f"| {' | '.join(map(str, cells))} |")
    Path(__file__).with_name("threads.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
