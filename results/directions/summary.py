"""Join the rows of runs, whose folders are given, to rows.csv beside this file, and write how they compare."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from kernels import Conv2dProblem

_HERE = Path(__file__).parent
_TITLES = {"bwd_d": "Backward data", "bwd_w": "Backward weights"}


def main(folders: list[str]) -> None:
    """Write rows.csv, machine.json and directions.md; of the stored rows.csv if no folder is given."""
    if folders:
        pd.concat([pd.read_csv(Path(each) / "rows.csv") for each in folders]).to_csv(_HERE / "rows.csv", index=False)
        shutil.copy(Path(folders[0]) / "machine.json", _HERE)
    machine = json.loads((_HERE / "machine.json").read_text())["machine"]
    rows = pd.read_csv(_HERE / "rows.csv")
    lines = [
        "# Directions",
        "",
        f"{machine['cpu']}, vectors of {machine['vector_bytes']} bytes, mb=8, one thread; "
        f"`bash results/directions/run.sh --processes {rows['processes'].max():.0f}`. Ours is `auto`, with weights "
        "packed before; PyTorch is the better of NCHW and channels_last, which pack in each call. Speed-up is its time "
        "by ours: above 1 is faster.",
        "",
    ]
    wrong = rows[~rows["status"].isin(["ok", "mistrusted", "skipped"])]
    lines += [f"{len(wrong)} of {len(rows)} rows are wrong or failed.", ""]
    rows = rows[rows["status"].isin(["ok", "mistrusted"])]
    networks = rows[rows["network"] != "text"]
    times = _times(networks.drop_duplicates(["problem", "algorithm"]))
    lines += _directions(times) + _step(networks) + _transposed(_times(rows[rows["network"] == "text"]))
    (_HERE / "directions.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _times(rows: pd.DataFrame) -> pd.DataFrame:
    """Seconds by problem and contender, with the best peer's, and what was chosen."""
    times = rows.pivot(index="problem", columns="algorithm", values="time_s")
    times["peer"] = times.drop(columns="auto").min(axis=1)
    times["which"] = times.drop(columns=["auto", "peer"]).idxmin(axis=1)
    times["speedup"] = times["peer"] / times["auto"]
    return times.dropna(subset=["auto", "peer"])


def _kind(text: str) -> str:
    p = Conv2dProblem.parse(text)
    if p.is_depthwise:
        return "depthwise"
    if p.g > 1:
        return "grouped"
    strided = " at stride 2" if max(p.sh, p.sw) > 1 else ""
    if (p.kh, p.kw) == (3, 3):
        return f"3x3{strided}"
    return ("1x1" if (p.kh, p.kw) == (1, 1) else "other kernels") + strided


def _geomean(values: pd.Series) -> float:
    return float(np.exp(np.log(values).mean()))


def _directions(times: pd.DataFrame) -> list[str]:
    lines = []
    for direction, title in _TITLES.items():
        some = times[times.index.str.startswith(f"{direction}:")]
        lines += [f"## {title}", "", "| layers | count | geomean speed-up | worst | worst layer |"]
        lines += ["| --- | ---: | ---: | ---: | --- |"]
        kinds = some.groupby([_kind(text) for text in some.index])
        for kind, part in [("all", some), *kinds]:
            mean, least = _geomean(part["speedup"]), part["speedup"].min()
            lines.append(f"| {kind} | {len(part)} | {mean:.2f}x | {least:.2f}x | `{part['speedup'].idxmin()}` |")
        lines.append("")
    return lines


def _step(rows: pd.DataFrame) -> list[str]:
    """A training step of ResNet-50's layers: the three directions, each layer as often as it occurs."""
    some = rows[rows["network"] == "resnet50"].copy()
    some["direction"] = [Conv2dProblem.parse(text).direction for text in some["problem"]]
    some["total_s"] = some["time_s"] * some["occurs"]
    keys = ["layer", "direction"]
    ours = some[some["algorithm"] == "auto"].set_index(keys)["total_s"]
    peers = some[some["algorithm"] != "auto"].groupby(keys)["total_s"].min()
    lines = ["## A training step of ResNet-50's layers", "", "| direction | ours, ms | PyTorch, ms | speed-up |"]
    lines += ["| --- | ---: | ---: | ---: |"]
    for name, part in [
        *((each, ours[ours.index.get_level_values(1) == each]) for each in ("fwd", *_TITLES)),
        ("all", ours),
    ]:
        theirs = peers.loc[part.index].sum()
        lines.append(f"| {name} | {1e3 * part.sum():.0f} | {1e3 * theirs:.0f} | {theirs / part.sum():.2f}x |")
    return [*lines, ""]


def _transposed(times: pd.DataFrame) -> list[str]:
    lines = ["## Transposed convolutions", "", "| problem | ours, ms | best peer | its ms | speed-up |"]
    lines += ["| --- | ---: | --- | ---: | ---: |"]
    for text, each in times.iterrows():
        ours, theirs = 1e3 * each["auto"], 1e3 * each["peer"]
        lines.append(f"| `{text}` | {ours:.2f} | {each['which']} | {theirs:.2f} | {each['speedup']:.2f}x |")
    return [*lines, f"| geomean | | | | {_geomean(times['speedup']):.2f}x |"]


if __name__ == "__main__":
    main(sys.argv[1:])
