"""The plots of a report's page, each of one part of the frame whose rows may be compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from suite.format import factor, interval, number, scientific, span
from suite.report.svg import Plot, Scale
from suite.report.tradeoff import Tradeoff

__all__ = [
    "FAMILIES",
    "Figure",
    "families_of",
    "gate_figure",
    "history_figure",
    "network_figure",
    "roofline_figure",
    "speedup_figure",
    "strip_figure",
    "style_of",
    "tradeoff_figure",
]

#: Families in the order of their colours.
FAMILIES = ("direct", "im2col", "winograd", "fft", "grouped", "auto", "peer")

#: Up to so many bars have their layers' names beside them.
_NAMED = 30

#: How far a name may be from its point, in pixels, and in which directions; the first that is free is taken.
_DISTANCES = (12, 22, 36, 52, 70, 90, 120)
_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))

#: From this part of the axis on names stand at the left of their points.
_RIGHT = 0.6

#: Points of a plot of more than this have no words of their own: the script's card tells all of their row.
_TITLED = 1500

#: Pixels of a letter, of a line of text, and of half a mark.
_LETTER, _LINE, _MARK = 6.4, 15.0, 5.0


@dataclass(frozen=True)
class Figure:
    """A plot, what it is called, and one line on how to read it."""

    title: str
    how: str
    svg: str
    legend: tuple[str, ...] = ()


def style_of(family: Any) -> str:
    """Class of a contender's marks; a family that has no colour of its own has that of the others."""
    return f"f-{family}" if family in FAMILIES else "f-other"


def families_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """Families of rows, in the order of their colours."""
    there = rows["family"].unique()
    return (*(each for each in FAMILIES if each in there), *(("other",) if set(there) - set(FAMILIES) else ()))


def _point(x: str, y: str, row: Any, family: Any, said: str, *, hollow: bool = False, radius: float = 3.5) -> str:
    kind = f'"{style_of(family)} hollow"' if hollow else style_of(family)
    title = f"<title>{escape(said)}</title>" if said else ""
    return f"<circle class={kind} cx={x} cy={y} r={radius:g} data-r={row}>{title}</circle>"


# -- the answer -------------------------------------------------------------------------


def speedup_figure(best: pd.DataFrame, said: str) -> Figure | None:
    """Every layer's speed-up over the best peer, sorted; without peers, speed against the machine's limit."""
    subject = "auto" if (best["auto_time_s"].notna() & best["peer_time_s"].notna()).any() else "ours"
    words = "auto" if subject == "auto" else "the fastest of ours"
    best = best.assign(value=best["peer_time_s"] / best[f"{subject}_time_s"], who=best[f"{subject}_contender"],
                       row=best[f"{subject}_row"])  # fmt: skip
    met = best[best["value"].notna()]
    what, base = f"time of the best peer by that of {words}", 1.0
    how = f"Each bar is a layer: above 1 (blue) {words} is faster than every other library, below (orange) slower."
    if met.empty:
        met = best.assign(value=best["ours_pct_of_peak"], who=best["ours_contender"], row=best["ours_row"])
        met = met[met["value"].notna()]
        what, base = "useful speed of the fastest, % of the measured limit", 0.0
        how = "Each bar is a layer: the fastest algorithm's useful speed, of the measured multiply-add limit. One that "
        how += "needs fewer multiplications can pass 100."
    if met.empty:
        return None
    met = met.sort_values("value", ascending=False, kind="stable")
    values = met["value"].astype(float)
    log = base == 1.0
    scale = Scale.over([*values, base], log=log, least=None if log else 0.0)
    names = [f"{network}/{layer}" for network, layer in zip(met["network"], met["layer"], strict=True)]
    write: Callable[[float], str] = (lambda value: f"{value:g}x") if log else (lambda value: f"{value:g}")
    title = f"{f'Speed-up of {words} over the best peer' if log else 'Share of the limit'} per layer, {said}"
    marks = list(zip(met["row"].astype(int), values, met["who"], names, strict=True))
    if len(met) <= _NAMED:
        plot = Plot(scale, Scale(0, 1), 20 * len(met), what, "", title, left=_room(names))
        plot.grid(write).names([_short(name) for name in names], [20 * i + 10.0 for i in range(len(met))])
        for i, (row, value, contender, name) in enumerate(marks):
            low, high = sorted((scale.at(base), scale.at(value)))
            plot.add(
                _bar(
                    row,
                    value,
                    base,
                    f"x={low:.2f}% width={high - low:.2f}% y={20 * i + 4} height=12",
                    contender,
                    name,
                    write,
                )
            )
        plot.upright(base)
    else:
        plot = Plot(Scale(0, len(met)), scale, 190, "layers, the largest first", what, title, kind="bars")
        plot.grid(None, write)
        for i, (row, value, contender, name) in enumerate(marks):
            top, bottom = sorted((float(plot.down(base)), float(plot.down(value))))
            where = f"x={plot.along(i + 0.1)} width={80 / len(met):.3f}% y={top:.1f} height={max(bottom - top, 1):.1f}"
            plot.add(_bar(row, value, base, where, contender, name, write))
        plot.level(base)
    return Figure(title, how, plot.svg())


def _bar(
    row: Any, value: float, base: float, where: str, contender: Any, name: str, write: Callable[[float], str]
) -> str:
    kind = "up" if value >= base else "down"
    said = f"{name}: {contender} {factor(value) if base else write(round(value, 1)) + ' %'}"
    return f"<rect class={kind} {where} data-r={row}><title>{escape(said)}</title></rect>"


def _room(names: Sequence[str]) -> int:
    """Pixels that names take at the left."""
    return int(min(max(map(len, names), default=0), 26) * _LETTER) + 16


def _short(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most - 2]}.."


def network_figure(table: pd.DataFrame, said: str) -> Figure | None:
    """Geometric means per network, each layer once and as often as it occurs."""
    rows = table[(table["circumstances"] == said) & table["geomean"].notna()]
    if rows.empty:
        return None
    scale = Scale.over([*rows["geomean"], *rows["weighted"], 1.0], log=True)
    names = [str(name) for name in rows["network"]]
    title = f"Geometric mean speed-up over the best peer per network, {said}"
    plot = Plot(scale, Scale(0, 1), 24 * len(rows), "geometric mean speed-up over the best peer of each layer", "",
                title, left=_room(names))  # fmt: skip
    plot.grid(lambda value: f"{value:g}x").names(names, [24 * i + 12.0 for i in range(len(rows))]).upright(1.0)
    for i, (name, mean, weighted) in enumerate(zip(names, rows["geomean"], rows["weighted"], strict=True)):
        y = 24 * i + 12
        plot.add(f"<line class=link x1={plot.along(mean)} x2={plot.along(weighted)} y1={y} y2={y} />")
        plot.add(f"<circle class=f-winograd cx={plot.along(mean)} cy={y} r=5><title>{escape(name)}, each layer once: "
                 f"{factor(mean)}</title></circle>")  # fmt: skip
        plot.add(f'<circle class="f-direct hollow" cx={plot.along(weighted)} cy={y} r=5><title>{escape(name)}, '
                 f"weighted by occurrence: {factor(weighted)}</title></circle>")  # fmt: skip
    how = "Right of the dashed line is faster. Filled: each layer once; hollow: layers as often as they occur."
    return Figure(title, how, plot.svg())


# -- roofline, speed against error ------------------------------------------------------


def roofline_figure(rows: pd.DataFrame, said: str) -> Figure | None:
    """Every right row: useful speed over useful work per byte, below what the machine can do."""
    rows = rows[rows["least_bytes"].notna() & rows["useful_gflops"].gt(0).fillna(False)]
    if rows.empty:
        return None
    work = (rows["useful_flops"] / rows["least_bytes"]).astype(float)
    speed = rows["useful_gflops"].astype(float)
    limits = [float(each) for each in rows["limit_gflops"].dropna().unique()]
    bandwidths = [float(each) for each in rows["limit_gb_s"].dropna().unique()]
    x, y = Scale.over(work, log=True), Scale.over([*speed, *limits], log=True)
    title = f"Roofline, {said}"
    plot = Plot(x, y, 320, "useful FLOP per byte of input, weights and output", "useful GFLOP/s", title)
    plot.grid(lambda value: f"{value:g}", lambda value: f"{value:g}")
    for limit in limits:
        plot.level(limit, f"measured multiply-add limit {number(limit)} GFLOP/s")
    for bandwidth in bandwidths:
        plot.add(_slope(plot, bandwidth, max(limits, default=y.high)))
    for row, across, up, family, name, layer in zip(
        rows.index, work, speed, rows["family"], rows["contender"], rows["layer"], strict=True
    ):
        said_of = f"{name} on {layer}: {number(up)} GFLOP/s" if len(rows) <= _TITLED else ""
        plot.add(_point(plot.along(across), plot.down(up), row, family, said_of,
                        hollow=family == "peer", radius=2.8))  # fmt: skip
    how = (
        "Up is faster. Flat line: measured multiply-add limit; slope: memory bandwidth if everything came from memory "
        "once. Above the flat line an algorithm does fewer multiplications; above the slope data is in caches. Hollow: "
        "other libraries."
    )
    return Figure(title, how, plot.svg(), families_of(rows))


def _slope(plot: Plot, bandwidth: float, limit: float) -> str:
    """The part of speed = bandwidth times work per byte that is inside the plot and below the limit."""
    start = max(plot.x.low, plot.y.low / bandwidth)
    end = min(plot.x.high, limit / bandwidth)
    if start >= end:
        return ""
    return (
        f"<line class=ref x1={plot.along(start)} y1={plot.down(start * bandwidth)} x2={plot.along(end)} "
        f"y2={plot.down(end * bandwidth)}><title>memory bandwidth {number(bandwidth)} GB/s</title></line>"
    )


def tradeoff_figure(found: Tradeoff) -> Figure:
    """Speed over error, a point per contender with its name."""
    points = found.points
    x = Scale.over(points["error"], log=True)
    # Room for names at both sides.
    x = Scale(x.low / 1.6, x.high * 1.6, True)
    y = Scale.over([*points["speed"], 1.0], log=True)
    title = f"Speed against error, {found.circumstances}"
    plot = Plot(x, y, 340, "relative L2 error against float64", "relative speed", title)
    plot.grid(lambda value: f"{value:.0e}".replace("e-0", "e-"), lambda value: f"{value:g}x").level(
        1.0, found.reference
    )
    places = [
        (x.at(error) / 100, y.at(speed) / 100) for error, speed in zip(points["error"], points["speed"], strict=True)
    ]
    names = [str(name) for name in points["contender"]]
    for (across, up), offset, name, line in zip(
        places, _beside(places, names), names, points.to_dict("records"), strict=True
    ):
        cx, cy = f"{100 * across:.2f}%", f"{plot.height * (1 - up):.1f}"
        said = (
            f"{name}: {factor(line['speed'])}, error {scientific(line['error'])}, largest {scientific(line['largest'])}"
        )
        anchor = "start" if offset[0] > 0 else "end" if offset[0] < 0 else "middle"
        kind = f"{style_of(line['family'])}{' hollow' if line['peer'] else ''}"
        plot.add(f'<g data-who="{escape(name)}"><circle class="{kind}" '
                 f"cx={cx} cy={cy} r=5><title>{escape(said)}</title></circle>{_leader(cx, cy, offset)}"
                 f"<text x={cx} y={cy} dx={offset[0]:.0f} dy={offset[1] + 4:.0f} text-anchor={anchor}>"
                 f"{escape(name)}</text></g>")  # fmt: skip
    how = f"Up is faster, left is more accurate; speed relative to {found.reference}. Hollow: other libraries."
    return Figure(title, how, plot.svg())


def _beside(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[tuple[float, float]]:
    """Pixels from each point to its name, in an area of usual size, such that it covers no other one and no point."""
    wide, high = 760.0, 340.0
    middles = [(across * wide, (1 - up) * high) for across, up in places]
    taken = [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in middles]
    offsets = []
    for (x, y), name in zip(middles, names, strict=True):
        length = len(name) * _LETTER
        # At the right a name goes to the left: on a narrow screen it would be cut off.
        side = -1 if x > _RIGHT * wide else 1
        for distance, (right, down) in itertools.product(_DISTANCES, ((side * a, b) for a, b in _DIRECTIONS)):
            dx, dy = right * max(9.0, distance / 2), float(down * distance)
            left = x + dx - (0 if right > 0 else length if right < 0 else length / 2)
            box = (left, y + dy - _LINE / 2, left + length, y + dy + _LINE / 2)
            inside = box[0] >= 0 and box[2] <= wide and box[1] >= 0 and box[3] <= high
            if inside and not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        offsets.append((dx, dy))
    return offsets


def _leader(cx: str, cy: str, offset: tuple[float, float]) -> str:
    """A line to a name that is not right beside its point."""
    if abs(offset[1]) <= _DISTANCES[1] and abs(offset[0]) <= _DISTANCES[0]:
        return ""
    dx, dy = (each * (1 - 7 / max(abs(offset[0]), abs(offset[1]))) for each in offset)
    return f"<svg x={cx} y={cy} overflow=visible><line class=link x1=0 y1=0 x2={dx:.0f} y2={dy:.0f} /></svg>"


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# -- a strip per contender --------------------------------------------------------------


def strip_figure(
    rows: pd.DataFrame,
    column: str,
    title: str,
    label: str,
    how: str,
    *,
    write: Callable[[Any], str],
    line: float | None = None,
) -> Figure | None:
    """A line of points per contender, a point per layer, with a tick at the median; on a logarithmic axis."""
    rows = rows[rows[column].gt(0).fillna(False)]
    if rows.empty:
        return None
    values = rows[column].astype(float)
    medians = values.groupby(rows["contender"]).median().sort_values()
    names = [str(name) for name in medians.index]
    scale = Scale.over([*values, *([] if line is None else [line])], log=True)
    plot = Plot(scale, Scale(0, 1), 22 * len(names), label, "", title, left=_room(names))
    plot.grid(write).names([_short(name) for name in names], [22 * i + 11.0 for i in range(len(names))])
    if line is not None:
        plot.upright(line)
    place = {name: 22 * i + 11 for i, name in enumerate(names)}
    for row, name, family, value, layer in zip(
        rows.index, rows["contender"], rows["family"], values, rows["layer"], strict=True
    ):
        said = f"{name} on {layer}: {write(value)}" if len(rows) <= _TITLED else ""
        plot.add(_point(plot.along(value), str(place[name]), row, family, said,
                        hollow=family == "peer", radius=3))  # fmt: skip
    for name, median in medians.items():
        x, y = plot.along(median), place[str(name)]
        plot.add(
            f"<line class=median x1={x} x2={x} y1={y - 8} y2={y + 8}><title>median {escape(write(median))}</title>"
            "</line>"
        )
    return Figure(title, f"{how} A point per layer, the upright tick is the median.", plot.svg(), families_of(rows))


# -- history, gate ----------------------------------------------------------------------


def history_figure(named: dict[str, Any], seconds: pd.Series, changes: Sequence[str], title: str) -> Figure:
    """A series: a point per commit, a step for each part between changes."""
    commits = [str(commit) for commit in seconds.index]
    times = seconds.to_numpy(float)
    x, y = Scale(-0.5, len(times) - 0.5), Scale.over(times, least=0.0)
    plot = Plot(x, y, 130, "commits, oldest first", "time", title)
    plot.grid(None, span)
    step = max(1, -(-len(commits) // 6))
    for i in range(0, len(commits), step):
        plot.add(f"<text x={plot.along(i)} y={plot.height + 16} text-anchor=middle>{escape(commits[i][:7])}</text>")
    cuts = sorted(commits.index(commit) for commit in changes)
    for start, end in itertools.pairwise([0, *cuts, len(times)]):
        level = float(np.median(times[start:end]))
        plot.add(f"<line class=step x1={plot.along(start - 0.4)} x2={plot.along(end - 0.6)} y1={plot.down(level)} "
                 f"y2={plot.down(level)} />")  # fmt: skip
    for cut in cuts:
        plot.upright(cut - 0.5)
    for i, (commit, value) in enumerate(zip(commits, times, strict=True)):
        plot.add(f"<circle class=f-im2col cx={plot.along(i)} cy={plot.down(value)} r=3><title>{commit[:10]}: "
                 f"{span(value)}</title></circle>")  # fmt: skip
    return Figure(title, str(named["machine"]), plot.svg())


def gate_figure(
    name: str,
    verdict: str,
    pairs: Sequence[tuple[int, float]],
    control: Sequence[tuple[int, float]],
    margin: float,
    ends: tuple[float, float],
) -> Figure:
    """A suspect's pairs of processes by generation, and those of the control in the same generations.

    Pairs are generation and logarithm of the ratio.
    """
    shown = [pair for pair in control if pair[0] in {generation for generation, _ in pairs}]
    last = max((generation for generation, _ in pairs), default=0)
    known = [float(np.exp(log)) for _, log in [*pairs, *shown]]
    plot = Plot(Scale(-0.5, last + 0.5), Scale.over([*known, 1.0, 1 + margin], log=True), 130,
                "generations of processes, in the order of measuring", "time / base's time", name)  # fmt: skip
    plot.grid(None, lambda value: f"{value:g}").level(1.0).level(1 + margin, f"margin {margin:.0%}")
    for words, kind, radius, shift, found in (
        ("control", '"f-peer hollow"', 3, 0.14, shown),
        ("head", "f-direct", 4, -0.14, pairs),
    ):
        for generation, log in found:
            value = float(np.exp(log))
            plot.add(f"<circle class={kind} cx={plot.along(generation + shift)} cy={plot.down(value)} r={radius}>"
                     f"<title>{words}, generation {generation + 1}: {value:.3f}</title></circle>")  # fmt: skip
    said = "" if any(np.isnan(ends)) else f", 95 % interval {interval(*ends)}"
    how = f"{verdict}{said}. Filled: head by base, above 1 is slower; hollow: base by itself, the control."
    return Figure(name, how, plot.svg())
