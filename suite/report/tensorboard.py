"""Rows as events for TensorBoard: a run per contender, a scalar per layer and a table of all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from suite.console import fail
from suite.report.markdown import markdown

__all__ = ["write_tensorboard"]

#: What is written of each row that is right, by the tag's first part.
_SCALARS = {"time_ms": ("time_s", 1e3), "useful_gflops": ("useful_gflops", 1.0), "pct_of_peak": ("pct_of_peak", 1.0),
            "rel_error": ("rel_error", 1.0), "speedup_vs_best_peer": ("speedup_vs_best_peer", 1.0)}  # fmt: skip


def write_tensorboard(frame: pd.DataFrame, folder: Path) -> None:
    """Write events below a folder: ``CONTENDER, CIRCUMSTANCES`` are runs, layers are steps of each measure's curve.

    Layers are numbered in the order of the rows, the same in every run, so that contenders lie over each other.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        fail("--tensorboard needs tensorboardX, which is not installed, expected it after: pip install tensorboardX")
    layers = {key: i for i, key in enumerate(dict.fromkeys(zip(frame["network"], frame["layer"], strict=True)))}
    ok = frame[frame["status"] == "ok"]
    for (name, said), part in ok.groupby(["contender", "circumstances"], sort=False):
        with SummaryWriter(str(folder / f"{name}, {said}")) as writer:
            for row in part.to_dict("records"):
                step = layers[row["network"], row["layer"]]
                for tag, (column, scale) in _SCALARS.items():
                    if not pd.isna(row[column]):
                        writer.add_scalar(f"{tag}/{row['network']}", scale * float(row[column]), step)
    with SummaryWriter(str(folder / "report")) as writer:
        writer.add_text("report", markdown(frame))
