"""Pivots of the tidy frame: the fastest of each layer, by how much, and compared with which libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from suite.format import factor, number, percent, span
from suite.report.table import Column, Table

__all__ = [
    "AUTO",
    "LAYER",
    "automatic_tables",
    "bests",
    "by_circumstances",
    "chooses",
    "fastest_tables",
    "gmean",
    "kind_tables",
    "network_tables",
    "right",
    "scaling",
    "scaling_tables",
    "single",
    "total_tables",
    "version_tables",
]

#: Columns in which rows agree that may be compared.
LAYER = ["circumstances", "network", "layer", "problem"]

#: The best other library of each layer.
BEST_PEER = "best peer of each layer"

#: The contender that is compared with other libraries, and families of those that choose an algorithm.
AUTO, _CHOOSERS = "auto", ("auto", "window_only", "one_call")

#: Libraries are compared one by one if they did at least so many of the layers.
_MOST = 0.5

#: Seconds on one thread from which on what threads cost to start does not count.
LONG_S = 1e-3

#: Columns of every comparison over layers.
_OVER_LAYERS = (
    Column("layers", "layers"),
    Column("geomean", "geomean speed-up", factor),
    Column("worst", "worst", factor),
    Column("worst_layer", "worst layer", words=True, spare=1),
    Column("faster", "faster on"),
)


def single(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of single convolutions, without those of blocks, whose texts have a kind before a colon."""
    return frame[~frame["problem"].str.contains(":", regex=False).fillna(False)]


def chooses(frame: pd.DataFrame) -> pd.Series:
    """Which rows are of contenders that run one of our algorithms and are none."""
    return frame["family"].isin(_CHOOSERS).astype(bool)


def right(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that are right and whose time can be trusted, the fastest first."""
    return frame[frame["status"] == "ok"].sort_values("time_s", kind="stable")


def gmean(values: Any, weights: Any = None) -> float:
    """Geometric mean: of ratios, twice as fast and half as fast come to the same; NaN of nothing."""
    logs = np.log(np.asarray(values, float))
    return float(np.exp(np.average(logs, weights=weights))) if logs.size else float("nan")


def by_circumstances(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Parts of a frame that may be compared, in the order of the rows."""
    for said, part in frame.groupby("circumstances", sort=False):
        yield str(said), part


def bests(frame: pd.DataFrame) -> pd.DataFrame:
    """A line per layer: the fastest of ours, the next of ours, ``auto``, and the best peer.

    Only right and trusted times count. Contenders that choose an algorithm are the fastest of ours only if no
    algorithm was timed.

    Returns
    -------
    DataFrame
        `LAYER`, ``occurs``, ``kind``; ``contender``, ``time_s``, ``useful_gflops``, ``pct_of_peak`` and ``row`` (the
        index) after each of ``ours_``, ``next_``, ``auto_`` and ``peer_``; ``speedup`` over the best peer;
        ``absence``, why none of ours is there.
    """
    ok = right(frame)
    own = ok[~ok["peer"]]
    # Stable: algorithms come first, each by its time.
    own = own.assign(last=chooses(own)).sort_values("last", kind="stable")
    places = {
        "ours": own.groupby(LAYER, sort=False).nth(0),
        "next": own[~own["last"]].groupby(LAYER, sort=False).nth(1),
        "auto": own[own["algorithm"] == AUTO].groupby(LAYER, sort=False).nth(0),
        "peer": ok[ok["peer"]].groupby(LAYER, sort=False).nth(0),
    }
    found = frame.drop_duplicates(LAYER)[[*LAYER, "threads", "cache", "occurs", "kind", "mb"]]
    values = ["contender", "time_s", "useful_gflops", "pct_of_peak"]
    for prefix, rows in places.items():
        named = pd.DataFrame(rows[[*LAYER, *values]]).rename(columns={name: f"{prefix}_{name}" for name in values})
        named[f"{prefix}_row"] = rows.index
        found = found.merge(named, how="left", on=LAYER)
    found["speedup"] = found["peer_time_s"] / found["ours_time_s"]
    found["ahead"] = found["next_time_s"] / found["ours_time_s"]
    theirs = frame[~frame["peer"]].groupby(LAYER, sort=False)["status"].agg(_absence).rename("absence")
    found = found.merge(theirs, how="left", on=LAYER)
    found["absence"] = found["absence"].fillna("none was timed")
    return found


def _absence(statuses: pd.Series) -> str:
    return "only mistrusted ones" if (statuses == "mistrusted").any() else "none is right"


def _over_layers(speedups: pd.Series, names: pd.Series) -> dict[str, Any]:
    """Values of `_OVER_LAYERS`: how many layers, their mean, the worst, and on how many it is faster."""
    there = speedups.notna()
    values, named = speedups[there].astype(float), names[there]
    if values.empty:
        return {"layers": 0, "geomean": None, "worst": None, "worst_layer": None, "faster": None}
    return {
        "layers": len(values),
        "geomean": gmean(values),
        "worst": values.min(),
        "worst_layer": named.iloc[int(np.argmin(values))],
        "faster": f"{int((values > 1).sum())} of {len(values)}",
    }


# -- networks ---------------------------------------------------------------------------


def fastest_tables(frame: pd.DataFrame) -> list[Table]:
    """The fastest of each layer, a table per network and circumstances."""
    tables = []
    for (said, network), part in bests(frame).groupby(["circumstances", "network"], sort=False):
        peers = frame.loc[(frame["network"] == network) & (frame["circumstances"] == said), "peer"].any()
        part = part.assign(name=part["ours_contender"].fillna(part["absence"]))
        columns = [
            Column("layer", "layer", words=True),
            Column("occurs", "occurs", spare=4),
            Column("name", "fastest of ours" if peers else "fastest", words=True),
            Column("ours_time_s", "time", span, spare=1),
            Column("ours_useful_gflops", "useful GFLOP/s", number, spare=5),
            Column("ours_pct_of_peak", "% of limit", percent, spare=3),
        ]
        if peers:
            columns += [
                Column("peer_contender", "best peer", words=True),
                Column("peer_time_s", "its time", span, spare=2),
                Column("speedup", "speed-up", factor),
            ]
        else:
            columns.append(Column("ahead", "ahead of next", factor))
        tables.append(Table(f"{network}, {said}", tuple(columns), part, after=_notes(part, bool(peers))))
    return tables


def _notes(part: pd.DataFrame, peers: bool) -> tuple[str, ...]:
    own = part[part["ours_time_s"].notna()]
    text = f"All layers as often as they occur, each by its fastest{' of ours' if peers else ''}: "
    text += span(float((own["occurs"] * own["ours_time_s"]).sum()))
    if len(own) < len(part):
        text += f", without the {len(part) - len(own)} that no algorithm computed"
    elif peers and part["peer_time_s"].notna().all():
        text += f"; each by its best peer: {span(float((part['occurs'] * part['peer_time_s']).sum()))}"
    if not peers:
        return (f"{text}.",)
    over = _over_layers(part["speedup"], part["layer"])
    if not over["layers"]:
        return f"{text}.", "No layer has both one of ours and a peer that are right."
    return f"{text}.", (
        f"Faster than the best peer on {over['faster']} layers; geometric mean {factor(over['geomean'])}, "
        f"worst {factor(over['worst'])} on {over['worst_layer']}."
    )


def network_tables(frame: pd.DataFrame) -> list[Table]:
    """Each network against the best peers: geometric means with and without weights, and sums."""
    if not frame["peer"].any():
        return []
    lines = []
    for (said, network), part in bests(frame).groupby(["circumstances", "network"], sort=False):
        met = part[part["speedup"].notna()]
        ours_s, peers_s = ((met["occurs"] * met[name]).sum() for name in ("ours_time_s", "peer_time_s"))
        weighted = gmean(met["speedup"], met["occurs"]) if len(met) else None
        lines.append({
            "network": network, "circumstances": said, **_over_layers(part["speedup"], part["layer"]),
            "weighted": weighted, "ours_s": ours_s, "peers_s": peers_s, "sums": peers_s / ours_s if len(met) else None,
        })  # fmt: skip
    columns = (
        Column("network", "network", words=True),
        Column("circumstances", "circumstances", words=True),
        *_OVER_LAYERS,
        Column("weighted", "weighted by occurrence", factor),
        Column("ours_s", "sum of ours", span, spare=2),
        Column("peers_s", "sum of best peers", span, spare=2),
        Column("sums", "ratio of sums", factor, spare=3),
    )
    note = (
        "Time of the best peer of each layer by that of the fastest of ours, above 1 is faster. Geometric means over "
        "layers, once each and as often as they occur; sums count layers as often as they occur."
    )
    return [Table("Networks", columns, pd.DataFrame(lines), note)]


def total_tables(frame: pd.DataFrame) -> list[Table]:
    """Contenders that did all layers of a network, as often as they occur."""
    columns = (
        Column("contender", "contender", words=True),
        Column("sum_s", "sum over layers", span),
        Column("relative", "relative to best", factor),
    )
    tables = []
    for (said, network), part in frame.groupby(["circumstances", "network"], sort=False):
        layers = len(part.drop_duplicates(["layer", "problem"]))
        ok = part[part["status"] == "ok"]
        done = ok.groupby("contender").size().reindex(part["contender"].unique(), fill_value=0)
        sums = (ok["occurs"] * ok["time_s"]).astype(float).groupby(ok["contender"]).sum()
        kept = sums[done.reindex(sums.index) == layers].sort_values()
        lines = pd.DataFrame(
            {"contender": kept.index, "sum_s": kept.to_numpy(), "relative": (kept / kept.min()).to_numpy()}
        )
        lacking = sorted((layers - count, name) for name, count in done.items() if count < layers)
        said_of = ", ".join(f"{name} {count}" for count, name in lacking)
        after = (f"Layers without a right and trusted time, of {layers}: {said_of}.",) if said_of else ()
        tables.append(Table(f"{network}, {said}", columns, lines, after=after))
    return tables


# -- kinds of layers, and libraries -----------------------------------------------------


def kind_tables(frame: pd.DataFrame) -> list[Table]:
    """The fastest of ours against each library by kind of layer; each shape counts once, blocks do not."""
    note = (
        "Geometric means over layers, each shape once, of the time of the fastest peer by that of the fastest of "
        "ours: above 1 is faster. A library counts by its fastest way to be used. % of limit counts useful "
        "multiply-adds only; an algorithm that needs fewer of them passes 100."
    )
    tables = []
    for said, part in by_circumstances(single(frame)):
        ok = right(part)
        libraries = ok[ok["peer"]].pivot_table(
            index="problem", columns="library", values="time_s", aggfunc="min", sort=False, observed=True
        )
        own = ok[~ok["peer"] & ~chooses(ok)].drop_duplicates("problem").set_index("problem")
        met = own.join(libraries, how="inner")
        if met.empty:
            continue
        ratios = libraries.reindex(met.index).div(met["time_s"], axis=0).astype(float)
        ratios = ratios[[name for name in ratios if ratios[name].notna().mean() >= _MOST]]
        least = libraries.reindex(met.index).min(axis=1) / met["time_s"]
        kinds = sorted(met["kind"].unique())
        groups = [(kind, met["kind"] == kind) for kind in kinds]
        if len(kinds) > 1:
            groups.append(("all", met["kind"].notna()))
        names = pd.Series(met.index, met.index)
        lines = []
        for kind, of_kind in groups:
            shares = met.loc[of_kind, "pct_of_peak"].dropna()
            lines.append({
                "kind": kind, **_over_layers(least[of_kind], names[of_kind]), "pct": gmean(shares),
                **{f"vs {name}": gmean(ratios.loc[of_kind, str(name)].dropna()) for name in ratios},
            })  # fmt: skip
        columns = (
            Column("kind", "kind of layer", words=True), *_OVER_LAYERS, Column("pct", "% of limit", percent, spare=2),
            *(Column(f"vs {name}", f"vs {name}", factor, spare=3) for name in ratios),
        )  # fmt: skip
        tables.append(Table(f"By kind of layer, {said}", columns, pd.DataFrame(lines), note))
    return tables


def automatic_tables(frame: pd.DataFrame) -> list[Table]:
    """``auto`` against the best peer of each layer and every single one; each shape counts once."""
    note = "Geometric means over layers, each shape once, of a library's time by that of auto: above 1 auto is faster."
    tables = []
    for said, part in by_circumstances(single(frame)):
        ok = right(part)
        auto = ok[ok["algorithm"] == AUTO].drop_duplicates("problem").set_index("problem")["time_s"]
        peers = ok[ok["peer"]].pivot_table(
            index="problem", columns="contender", values="time_s", aggfunc="min", sort=False
        )
        peers = peers.reindex(peers.index.intersection(auto.index))
        if peers.empty:
            continue
        peers = peers.dropna(axis=1, how="all")
        ratios = peers.assign(**{BEST_PEER: peers.min(axis=1)}).div(auto.reindex(peers.index), axis=0)
        names = pd.Series(ratios.index, ratios.index)
        lines = [{"name": name, **_over_layers(ratios[name], names)} for name in (BEST_PEER, *sorted(peers.columns))]
        columns = (Column("name", "compared with", words=True), *_OVER_LAYERS)
        tables.append(Table(f"What auto is worth, {said}", columns, pd.DataFrame(lines), note))
    return tables


# -- threads ----------------------------------------------------------------------------


def scaling(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows on several threads, warm caches, with ``one_s``, the time on one, and ``scaling``, that by this one.

    Compared are rows of one run; a problem that several networks have counts once.
    """
    keys = ["source", "run", "problem", "algorithm", "threads"]
    warm = frame[(frame["status"] == "ok") & (frame["cache"] == "warm")].drop_duplicates(keys)
    one = warm.loc[warm["threads"] == 1, [*keys[:-1], "time_s"]].rename(columns={"time_s": "one_s"})
    # The index says which row of the frame each is.
    found = warm[warm["threads"] > 1].reset_index(names="row").merge(one, on=keys[:-1]).set_index("row")
    return found.assign(scaling=found["one_s"] / found["time_s"])


def scaling_tables(frame: pd.DataFrame) -> list[Table]:
    """What more threads bring each contender."""
    columns = (
        Column("contender", "contender", words=True),
        Column("layers", "layers of 1 ms and more"),
        Column("geomean", "geomean speed-up", factor),
        Column("worst", "worst", factor),
        Column("worst_layer", "worst layer", words=True, spare=2),
        Column("short", "shorter layers", spare=1),
        Column("short_geomean", "their speed-up", factor),
    )
    note = "Geometric means over layers, each shape once, of a contender's time on one thread by its time on several."
    tables = []
    for said, part in by_circumstances(scaling(frame)):
        lines = []
        for name, own in part.groupby("contender"):
            long = own["one_s"] >= LONG_S
            over = _over_layers(own.loc[long, "scaling"], own.loc[long, "problem"])
            short = own.loc[~long, "scaling"]
            lines.append({"contender": name, **over, "short": len(short), "short_geomean": gmean(short)})
        tables.append(Table(f"{said} compared with one", columns, pd.DataFrame(lines), note))
    return tables


# -- versions ---------------------------------------------------------------------------


def version_tables(frame: pd.DataFrame) -> list[Table]:
    """Libraries, their versions and the contenders that stand for them; rows of old runs tell neither."""
    lines = []
    for (library, version), part in frame.groupby(["library", "version"], sort=False):
        peers = part[part["peer"]]
        if version or len(peers):
            ways = ", ".join(peers["algorithm"].unique()) or "its algorithms"
            lines.append({"library": library, "version": version or "not installed", "ways": ways})
    columns = tuple(
        Column(name, heading, words=True)
        for name, heading in (("library", "library"), ("version", "version"), ("ways", "ways it is used"))
    )
    return [Table("Libraries", columns, pd.DataFrame(lines))] if lines else []
