"""README's tables of results: one per CPU class from the rows that are stored beside this file, one of other folders.

``python results/layers/readme_table.py`` replaces what stands between README's marks; with ``--check`` it exits with 1
if that would change anything.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from suite.format import factor, number
from suite.report.comparisons import automatic_tables
from suite.report.load import Stored, open_stored
from suite.report.markdown import markdown_cells

_HERE = Path(__file__).resolve().parent
_README = _HERE.parent.parent / "README.md"
_BEGIN, _END = "<!-- results/layers/readme_table.py writes what follows -->\n", "<!-- until here -->\n"

#: Runs that a table is made of, by the names of their folders.
_KINDS = ("networks", "choice")

#: More lines than this are not shown.
_MOST = 10

#: What other folders have: their pages, the contender that is ours, what problems begin with, and what they are.
_OTHERS = (
    (
        "layers/forced_avx2/report.md", "auto", "",
        "every layer, kernels as compiled for AVX2, compared with the best way of PyTorch limited to AVX2",
    ),
    (
        "one_call/one_call.md", "one_call", "",
        "`conv2d(x, w)`, weights packed in every call, compared with PyTorch's function",
    ),
    (
        "directions/directions.md", "auto", "bwd_d:",
        "backward data, batches of 8, compared with the better way of PyTorch",
    ),
    (
        "directions/directions.md", "auto", "bwd_w:",
        "backward weights, batches of 8, compared with the better way of PyTorch",
    ),
    ("large_kernels/large_kernels.md", "auto", "", "large kernels, compared with the best library of each layer"),
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Write README, or check it."""
    before = _README.read_text(encoding="utf-8")
    head, _, rest = before.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    after = f"{head}{_BEGIN}{tables()}{_END}{tail}"
    if "--check" in arguments:
        return int(before != after)
    _README.write_text(after, encoding="utf-8")
    return 0


def tables() -> str:
    """A table for each folder below this one whose run covers networks and has ``auto`` beside other libraries."""
    folders = sorted(path.parent for kind in _KINDS for path in _HERE.glob(f"{kind}*/rows.csv"))
    stored = open_stored(_HERE, folders, lambda sentence: print(sentence, file=sys.stderr))
    return "".join(_table(each) for each in stored) + _others()


def _others() -> str:
    """A table of what is in no folder of a kind, each on one thread."""
    lines = []
    for page, ours, prefix, what in _OTHERS:
        place = (_HERE.parent / page).parent
        machine = json.loads((place / "machine.json").read_text())["machine"]
        rows = pd.read_csv(place / "rows.csv")
        rows = rows[rows["status"].isin(["ok", "mistrusted"]) & (rows["threads"] == 1)]
        rows = rows[rows["problem"].str.startswith(prefix)]
        if place.name == "directions":
            rows = rows[rows["network"] != "text"]
        # Networks share shapes: each counts once.
        rows = rows.drop_duplicates(["problem", "algorithm"])
        is_ours = rows["library"] == "convmark"
        own = rows[rows["algorithm"] == ours].groupby("problem")["time_s"].first()
        ratio = (rows[~is_ours].groupby("problem")["time_s"].min() / own).dropna()
        geomean = factor(float(np.exp(np.log(ratio).mean())))
        faster = f"{(ratio > 1).sum()} of {len(ratio)}"
        lines.append([
            f"[{what}](results/{page})", f"{8 * machine['vector_bytes']} bits", geomean,
            factor(float(ratio.min())), faster,
        ])  # fmt: skip
    headings = ["what, on 1 thread", "vectors", "geomean speed-up", "worst", "faster on"]
    return f"{markdown_cells(headings, lines)}\n\n"


def _table(stored: Stored) -> str:
    frame = stored.frame.assign(circumstances=stored.frame["threads"].astype(str))
    found = {table.title.rpartition(", ")[2]: table.frame.set_index("name") for table in automatic_tables(frame)}
    names = list(dict.fromkeys(name for lines in found.values() for name in lines.index))[:_MOST]
    headings = ["compared with"]
    for threads in found:
        said = f"{threads} thread{'' if threads == '1' else 's'}"
        headings += [f"geomean speed-up, {said}", "worst", "faster on"]
    lines = [[name, *(cell for each in found.values() for cell in _cells(each, name))] for name in names]
    machine, limit = stored.machine, stored.limits.fma_gflops["float32"][1]
    command, covered = stored.folder.name.partition("_")[0], frame["network"].nunique()
    text = (
        f"{machine.cpu}, {machine.cores} cores, vectors of {8 * machine.vector_bytes} bits, multiply-add limit "
        f"{number(limit)} GFLOP/s per core; commit {machine.commit[:8]},\n`bash results/layers/run.sh "
        f"{command}`; {covered} networks and lists, each shape once:\n\n"
    )
    return f"\n{text}{markdown_cells(headings, lines)}\n\n"


def _cells(lines: pd.DataFrame, name: str) -> tuple[str, str, str]:
    if name not in lines.index:
        return "", "", ""
    line = lines.loc[name]
    return factor(line["geomean"]), factor(line["worst"]), str(line["faster"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
