"""Tables of layers: a line per layer with the fastest, and a table per layer with every contender on it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress

import pandas as pd

from suite.format import factor, interval, number, percent, ratio, scientific, size, span
from suite.report.comparisons import LAYER, bests, chooses
from suite.report.table import Column, Table

__all__ = ["NOTE", "OVERVIEW", "fault_sentences", "layer_tables", "overview_table", "status_counts"]

_COLUMNS = (
    Column("contender", "contender", words=True),
    Column("peer_version", "version", words=True, spare=20),
    Column("status", "status", words=True),
    Column("time_s", "time", span),
    Column("time_min_s", "min", span, spare=20),
    Column("time_spread", "spread", lambda value: f"{100 * value:.1f} %", spare=7),
    Column("useful_gflops", "useful GFLOP/s", number, spare=2),
    Column("pct_of_peak", "% of limit", percent, spare=1),
    Column("ratio", "ratio", ratio, spare=3),
    Column("interval", "95 % interval", words=True, spare=6),
    Column("speedup_vs_best_peer", "vs best peer", factor, spare=4),
    Column("rel_error", "error", scientific, spare=5),
    Column("workspace_bytes", "workspace", lambda value: size(int(value)), spare=9),
    Column("prepare_s", "prepare", span, spare=20),
    Column("compile_s", "compile", span, spare=8),
    Column("reload_s", "reload", span, spare=20),
    Column("first_call_s", "first call", span, spare=20),
    Column("processes", "processes", spare=20),
    Column("said", "reason", words=True, spare=20),
)

NOTE = """\
Time is that of one call: the median over fresh processes of each one's median; spread is the distance between the
quartiles of the processes, min the least sample of all. Caches are warm unless it says cold: then inputs and weights
are out of all caches when a call begins. Useful GFLOP/s leave out the taps that fall on padding; % of limit is that
speed against the measured multiply-add limit of as many threads, so an algorithm that needs fewer multiplications can
pass 100. Ratio is the time by that of the reference, process by process side by side, with its 95 % interval: above 1
is slower. Vs best peer is above 1 if it is faster than every other library. Error is the relative L2 error against
float64. Prepare packs the weights; compile is what the first call ever took beyond that and a later call, reload the
same in a later process, with compiled code on the disk; first call is that call alone. Mistrusted times are of
processes that other load disturbed."""


def _behind(times: float) -> str:
    return f"+{100 * (times - 1):.0f} %"


#: Columns of `overview_table`, beside the circumstances if there are several.
OVERVIEW = (
    Column("name", "layer", words=True),
    Column("fastest", "fastest", words=True),
    Column("time_s", "time", span),
    Column("pct", "% of limit", percent, spare=2),
    Column("next", "runner-up", words=True),
    Column("behind", "slower by", _behind),
)


def _ranked(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows layer by layer; in a layer the right ones by time, then the mistrusted ones by time, then the others."""
    place = frame.groupby(LAYER, sort=False).ngroup()
    # Times of the others are none: they stand by their reason, those of one reason together.
    rank = frame["status"].map({"ok": 0, "mistrusted": 1}).fillna(2).astype(int)
    keys = {"place": place, "rank": rank, "when": frame["time_s"].fillna(0.0), "why": frame["reason"].fillna("")}
    return frame.assign(**keys).sort_values(["place", "rank", "when", "status", "why"], kind="stable")


def layer_tables(frame: pd.DataFrame) -> list[Table]:
    """A table per layer and circumstances with every contender, the fastest first; nothing is left out."""
    rows = _ranked(frame)
    own = (rows["algorithm"] == rows["reference"]).fillna(False)
    ends = [
        None if mine or pd.isna(low) or pd.isna(high) else interval(low, high)
        for mine, low, high in zip(own, rows["ratio_low"], rows["ratio_high"], strict=True)
    ]
    rows = rows.assign(
        interval=pd.array(ends, dtype="string"),
        peer_version=rows["version"].where(rows["peer"]).replace("", pd.NA),
        said=rows["reason"].replace("", pd.NA),
        best=(rows["status"] == "ok") & ~rows.duplicated(LAYER),
    )
    # Every column that is not shown is cut into as many pieces as there are layers, too.
    shown = [column.name for column in _COLUMNS]
    rows = rows[[*dict.fromkeys((*LAYER, *shown, "reference", "occurs", "mb", "best"))]]
    layers = rows.groupby(LAYER, sort=False)
    has = rows[shown].notna().groupby(layers.ngroup().to_numpy()).any().to_numpy()
    tables = []
    for ((said, network, layer, problem), part), kept in zip(layers, has, strict=True):
        references = ", ".join(part.loc[part["ratio"].notna(), "reference"].dropna().unique())
        # A problem that was given as text is its layer's name already.
        title = f"{network} / {layer}" + ("" if problem == layer else f"  {problem}")
        title += f"  {said}, occurs {part['occurs'].iloc[0]}x" + (f", ratios to {references}" if references else "")
        tables.append(Table(title, tuple(compress(_COLUMNS, kept)), part))
    return tables


def overview_table(frame: pd.DataFrame) -> Table:
    """A line per layer: who is the fastest, how near the limit, and who comes next, other libraries included."""
    ok = frame[frame["status"] == "ok"].sort_values("time_s", kind="stable")
    # What chooses one of the others counts only if it is alone.
    ok = ok.assign(last=chooses(ok)).sort_values("last", kind="stable")
    first = ok.groupby(LAYER, sort=False).nth(0).set_index(LAYER)
    second = ok[~ok["last"]].groupby(LAYER, sort=False).nth(1).set_index(LAYER)
    found = bests(frame)[[*LAYER, "absence"]].set_index(LAYER)
    found["fastest"] = first["contender"].reindex(found.index).fillna(found["absence"])
    found[["time_s", "pct"]] = first[["time_s", "pct_of_peak"]].reindex(found.index)
    found["next"] = second["contender"].reindex(found.index)
    found["behind"] = second["time_s"].reindex(found.index) / found["time_s"]
    found = found.reset_index()
    found["name"] = found["network"] + "/" + found["layer"]
    several = found["circumstances"].nunique() > 1
    columns = (*([Column("circumstances", "circumstances", words=True, spare=1)] if several else []), *OVERVIEW)
    return Table("Fastest per layer", columns, found)


def fault_sentences(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Status and a sentence of every row that is not right or not trusted, those of one reason together."""
    bad = frame[frame["status"].isin(["wrong", "failed", "mistrusted"])].fillna({"reason": ""})
    return [
        (str(status), f"{status} {name} on {_few(part['network'] + '/' + part['layer'])}: {reason}")
        for (status, name, reason), part in bad.groupby(["status", "contender", "reason"], sort=False)
    ]


def _few(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")


def status_counts(frame: pd.DataFrame) -> str:
    """How many rows have each status."""
    counts = frame["status"].value_counts(sort=False)
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "no rows"
