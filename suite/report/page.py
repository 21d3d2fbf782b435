"""``report.html``: one file that opens offline, readable without its script, which adds filters and copying."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from suite.format import factor, span
from suite.report.comparisons import (
    LAYER,
    automatic_tables,
    bests,
    by_circumstances,
    chooses,
    kind_tables,
    network_tables,
    scaling,
    single,
)
from suite.report.contents import Made, sections
from suite.report.html import html_figure, html_table
from suite.report.layers import NOTE, fault_sentences, layer_tables, status_counts
from suite.report.plots import (
    Figure,
    network_figure,
    roofline_figure,
    speedup_figure,
    strip_figure,
    style_of,
    tradeoff_figure,
)
from suite.report.table import Column, Table
from suite.report.tradeoff import tradeoffs
from suite.results.rows import SCHEMA

__all__ = ["Extra", "document", "page"]

#: Of a layer's bars the longest ends at so many times the time of the fastest.
_LONGEST = 4.0

#: A page takes no more bytes than this: layers that have no room are in the other files.
_MOST_BYTES = 4_900_000

#: More rows than this are not embedded.
_MOST_EMBEDDED = 40_000

#: Thresholds of a speed-up over the best peer between the colours of the winner map.
_STEPS = (0.5, 0.8, 0.95, 1.05, 1.25, 2.0)

#: Headings of a layer's columns that are others beside bars, and where refusals stand below.
_HEADINGS = {"time_s": "", "said": "note"}

#: Key of the section of layers.
_LAYERS = "layers"

#: What a cell of the winner map says of a row that has no time to be trusted.
_SIGNS = {"skipped": "\u00b7", "wrong": "wrong", "failed": "failed"}


@dataclass
class Extra:
    """What a page shows besides the rows.

    Attributes
    ----------
    machines : sequence of Table
        The facts of where it was measured.
    samples : dict
        By row, its samples in seconds, process by process.
    sections : list of (str, str, str)
        Key, title and HTML of further sections.
    """

    machines: Sequence[Table] = ()
    samples: dict[int, list[list[float]]] = field(default_factory=dict)
    sections: list[tuple[str, str, str]] = field(default_factory=list)


def page(frame: pd.DataFrame, extra: Extra | None = None, made: Sequence[Made] | None = None) -> str:
    """The whole page.

    Parameters
    ----------
    frame : DataFrame
        What `suite.report.load.load` returns.
    extra : Extra, optional
    made : sequence of Made, optional
        Its `suite.report.contents.sections`, if they are there already.
    """
    extra = extra or Extra()
    made = list(sections(frame)) if made is None else made
    said = list(dict.fromkeys(frame["circumstances"]))
    best = bests(frame)
    parts = [("answer", "The answer", _answer(frame, best, said))]
    parts += [("map", "Winner map", _winner_map(frame, best, said))] if len(frame) else []
    parts += list(_sections(frame, made, said))
    parts += extra.sections
    parts.append(("rows", "Rows", _rows(frame)))
    parts.append(("how", "How it was measured", _how(frame, extra)))
    data = _data(frame, extra.samples, said)
    room = _MOST_BYTES - len(data) - sum(len(html) for _, _, html in parts)
    layers = next((tables for section, tables in made if section.tables is layer_tables), [])
    parts = [(key, name, _layers(frame, layers, said, room) if key == _LAYERS else html) for key, name, html in parts]
    title = f"Convolution speed: {', '.join(frame['cpu'].dropna().unique()) or 'no rows'}"
    return document(title, parts, data, _measured(frame))


def document(title: str, parts: Sequence[tuple[str, str, str]], data: str = "", below: str = "") -> str:
    """A page of sections: key, title and HTML each.

    ``data`` is embedded for the script, ``below`` stands below the title.
    """
    links = "".join(f"<a href=#{key}>{escape(name)}</a>" for key, name, _ in parts)
    body = "\n".join(f"<section id={key}><h2>{escape(name)}</h2>{html}</section>" for key, name, html in parts)
    style, script = (
        resources.files("suite.report").joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    # Whatever were to ask the network is refused by the browser itself.
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    return f"""<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv=Content-Security-Policy content="{policy}"><link rel=icon href="data:,">
<title>{escape(title)}</title>
<style>{style}</style>
<header><h1>{escape(title)}</h1><button id=theme class=js type=button title="light or dark">&#9680;</button></header>
{below}
<nav>{links}</nav><div id=filters class=js></div>
<main>
{body}
</main>
<footer>Written by convmark.</footer><div id=tip hidden></div>
{data}<script>{script}</script></html>
"""


def _measured(frame: pd.DataFrame) -> str:
    """What was measured, where and when, in a line per run."""
    lines = []
    for _, part in frame.groupby(["source", "run"], sort=False):
        first = part.iloc[0]
        when = "" if pd.isna(first["started"]) else f"{first['started']:%Y-%m-%d}, "
        commit = f"commit {first['commit'][:8]}{' with changes' if first['dirty'] else ''}, " if first["commit"] else ""
        layers = len(part.drop_duplicates(["network", "layer", "problem"]))
        counts = f"{part['network'].nunique()} networks, {layers} layers, {part['contender'].nunique()} contenders"
        lines.append(f"{when}{first['platform']}; {commit}{counts}, {(part['status'] == 'mistrusted').sum()} of "
                     f"{len(part)} rows mistrusted")  # fmt: skip
    return "".join(f"<p class=measured>{escape(line)}. <a href=#how>How</a></p>" for line in lines)


# -- answer -----------------------------------------------------------------------------


def _answer(frame: pd.DataFrame, best: pd.DataFrame, said: Sequence[str]) -> str:
    if frame.empty:
        return "<p class=lede>No rows are stored in this run yet.</p>"
    parts = []
    for i, each in enumerate(said):
        own = best[best["circumstances"] == each]
        parts.append(f"<p class=lede data-c={i}>{escape(sentence(frame, best, each))}</p>")
        figure = speedup_figure(own, each)
        if figure:
            parts.append(html_figure(figure, f" data-c={i}"))
    faults = frame["status"].isin(["wrong", "failed", "mistrusted"]).sum()
    checked = "Nothing is timed that was not first right against a float64 oracle, other libraries included."
    parts.append(f"<p>{checked} Rows: {escape(status_counts(frame))}.</p>")
    if faults:
        parts.append(_faults(frame))
    return "".join(parts)


def sentence(frame: pd.DataFrame, best: pd.DataFrame, said: str) -> str:
    """What it comes to in some circumstances: ``auto``, else the fastest of ours, and the best peer of each layer."""
    part = frame[frame["circumstances"] == said]
    names = part.drop_duplicates("problem").set_index("problem")
    for subject, tables in (('algorithm="auto"', automatic_tables(part)), ("the fastest of ours", kind_tables(part))):
        if tables:
            # The first line of the one is the best peer's, the last of the other that of all kinds.
            line = tables[0].frame.iloc[0 if "auto" in subject else -1]
            layer = names.loc[line["worst_layer"]]
            return (
                f"On {said}, {subject} is {factor(line['geomean'])} as fast as the best other library of each layer "
                f"(geometric mean over {line['layers']}) and faster on {line['faster']}; at worst "
                f"{factor(line['worst'])}, on {layer['network']}/{layer['layer']}."
            )
    timed = best[(best["circumstances"] == said) & best["ours_time_s"].notna()]
    if timed.empty:
        return f"On {said}, no algorithm has a right and trusted time."
    first = timed["ours_contender"].value_counts()
    return f"On {said}, {first.index[0]} is the fastest on {first.iloc[0]} of {len(timed)} layers."


def _faults(frame: pd.DataFrame) -> str:
    lines = "".join(f"<li class={status}>{escape(sentence)}</li>" for status, sentence in fault_sentences(frame))
    return f"<details><summary>What was wrong, failed or cannot be trusted</summary><ul>{lines}</ul></details>"


# -- winner map -------------------------------------------------------------------------


def _winner_map(frame: pd.DataFrame, best: pd.DataFrame, said: Sequence[str]) -> str:
    how = (
        "A line per layer, a column per contender: the time of the layer's best other library by the contender's, "
        "above 1 (blue) is faster, below (orange) slower; without other libraries, relative to the fastest. The "
        "fastest is framed. A dot is a refusal, whose reason the pointer shows; ~ is a time that cannot be trusted."
    )
    parts = [f"<p class=how>{how}</p>"]
    for i, each in enumerate(said):
        part = frame[frame["circumstances"] == each]
        own = best[best["circumstances"] == each]
        parts.append(f"<h3 data-c={i}>{escape(each)}</h3>{_map(part, own, i)}")
    return "".join(parts)


def _map(part: pd.DataFrame, best: pd.DataFrame, place: int) -> str:
    timed = part[part["time_s"].notna() | part["status"].isin(["wrong", "failed"])]
    names = [name for name in part["contender"].unique() if name in set(timed["contender"])]
    absent = [name for name in part["contender"].unique() if name not in names]
    wins = best["ours_contender"].value_counts()
    peer = part.drop_duplicates("contender").set_index("contender")[["peer", "family"]]
    names.sort(key=lambda name: (bool(peer.loc[name, "peer"]), peer.loc[name, "family"] != "auto", -wins.get(name, 0)))
    column = {name: i for i, name in enumerate(names)}
    cells: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in part[["network", "layer", "problem", "contender", "status", "time_s", "reason"]].itertuples():
        cells.setdefault((row.network, row.layer, row.problem), []).append(tuple(row))
    lines = []
    for facts in best.to_dict("records"):
        own = cells[facts["network"], facts["layer"], facts["problem"]]
        lines.append(_map_line(facts, _cells(own, column, facts["peer_time_s"]), {each[5] for each in own}, place))
    heads = "".join(
        f'<th scope=col class=v data-who="{escape(name)}"><span{" class=peer" if peer.loc[name, "peer"] else ""}>'
        f"{escape(name)}</span>"
        for name in names
    )
    table = (
        f"<div class=scroll data-c={place}><table class=map><thead><tr><th scope=col class=t>layer{heads}"
        "</thead><tbody>\n" + "\n".join(lines) + "</tbody></table></div>"
    )
    reasons = part[part["contender"].isin(absent)].drop_duplicates(["contender", "reason"]).fillna({"reason": ""})
    told = "".join(f"<li>{escape(name)}: {escape(reason)}</li>"
                   for name, reason in zip(reasons["contender"], reasons["reason"], strict=True))  # fmt: skip
    return table + (
        f"<details data-c={place}><summary>Not timed on any layer: {len(absent)}</summary><ul>{told}</ul></details>"
        if told
        else ""
    )


def _cells(rows: Sequence[tuple[Any, ...]], column: dict[str, int], base: Any) -> list[str]:
    """A cell per contender; without a peer's time, ``base``, speeds are relative to the fastest."""
    times = {index: float(seconds) for index, *_, status, seconds, _ in rows if status == "ok"}
    least = min(times, key=lambda index: times[index], default=None)
    if pd.isna(base) and least is not None:
        base = times[least]
    found = ["<td>"] * len(column)
    for index, *_, name, status, seconds, reason in rows:
        if name in column:
            found[column[name]] = _cell(index, status, seconds, reason, base, index == least)
    return found


def _map_line(facts: dict[Any, Any], cells: Sequence[str], statuses: set[str], place: int) -> str:
    name = f"{facts['network']}/{facts['layer']}"
    speedup = "" if pd.isna(facts["speedup"]) else f" data-s={facts['speedup']:.4f}"
    attributes = (
        f'data-n="{escape(str(facts["network"]))}" data-k="{escape(str(facts["kind"]))}" data-b={facts["mb"]}{speedup}'
        f"{' data-bad' if statuses & {'wrong', 'failed', 'mistrusted'} else ''}"
    )
    link = f'<a href="#{_anchor(name, place)}" title="{escape(str(facts["problem"]))}">'
    link += f"<i>{escape(str(facts['network']))}/</i>{escape(str(facts['layer']))}</a>"
    return f"<tr {attributes}><th scope=row class=t>{link}{''.join(cells)}"


def _cell(row: Any, status: str, seconds: Any, reason: Any, base: Any, best: bool) -> str:
    if pd.isna(seconds) or pd.isna(base):
        # Refusals are many and their words few: no row to look up.
        said = "" if pd.isna(reason) else f' title="{escape(str(reason))}"'
        return f"<td class={status}{said}>{_SIGNS.get(status, status)}"
    value = float(base) / float(seconds)
    shade = int(np.searchsorted(_STEPS, value))
    kind = f"m{shade}{' w' if best else ''}{' mistrusted' if status == 'mistrusted' else ''}"
    quote = '"' if " " in kind else ""
    sign = "~" if status == "mistrusted" else ""
    return f"<td class={quote}{kind}{quote} data-r={row}>{sign}{value:.2f}"


def _anchor(name: str, place: int) -> str:
    return escape(f"layer={name}" + (f"@{place + 1}" if place else ""), quote=True).replace(" ", "%20")


# -- the sections of every report, with their plots -------------------------------------


def _sections(frame: pd.DataFrame, made: Sequence[Made], said: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """All but the layers, which get what room is left: of them the place alone."""
    figures = _figures(frame, said)
    for section, tables in made:
        if section.tables is layer_tables:
            yield _LAYERS, section.title, ""
            continue
        parts = figures.pop(section.key, [])
        note = ""
        for table in tables:
            place = next((f" data-c={i}" for i, each in enumerate(said) if table.title.endswith(f", {each}")), "")
            parts.append(f"<p class=how>{escape(table.note)}</p>" if table.note and table.note != note else "")
            note = table.note
            parts.append(f"<div{place}>{html_table(table)}</div>")
        yield section.key, section.title, "".join(parts)
        if section.key == "networks":
            yield from _alone(figures, "roofline", "Roofline")
        if section.key == "error":
            yield from _alone(figures, "workspace", "Workspace")
            yield from _alone(figures, "compile", "Compile time")
    for key, title in (("roofline", "Roofline"), ("workspace", "Workspace"), ("compile", "Compile time")):
        yield from _alone(figures, key, title)


def _alone(figures: dict[str, list[str]], key: str, title: str) -> Iterator[tuple[str, str, str]]:
    if key in figures:
        yield key, title, "".join(figures.pop(key))


def _figures(frame: pd.DataFrame, said: Sequence[str]) -> dict[str, list[str]]:
    """Plots by the key of the section that they stand in."""
    found: dict[str, list[str]] = {}

    def put(key: str, figure: Figure | None, each: str) -> None:
        if figure is not None:
            # What compares one circumstances with another belongs to none.
            place = "" if key == "threads" else f" data-c={said.index(each)}"
            found.setdefault(key, []).append(html_figure(figure, place))

    networks = network_tables(frame)
    ok = frame[frame["status"] == "ok"]
    for each, part in by_circumstances(ok):
        for table in networks:
            put("networks", network_figure(table.frame, each), each)
        once = single(part).drop_duplicates(["problem", "contender"])
        put("roofline", roofline_figure(once, each), each)
        own = once[~once["peer"] & ~chooses(once)]
        put("workspace", strip_figure(
            own.assign(kib=own["workspace_bytes"] / 1024), "kib", f"Workspace, {each}",
            "scratch memory of one call (KiB)",
            "Left is less; contenders that need none are not drawn.", write=lambda value: f"{value:.4g}",
        ), each)  # fmt: skip
        compiled = own[own["compile_s"].gt(1e-3).fillna(False)]
        put("compile", strip_figure(
            compiled, "compile_s", f"Compile time, {each}", "what the first call takes beyond a later one (seconds)",
            "Left is sooner; a layer that needs code that an earlier one compiled is not drawn.", write=span,
        ), each)  # fmt: skip
    for found_one in tradeoffs(frame):
        put("error", tradeoff_figure(found_one), found_one.circumstances)
    for each, part in by_circumstances(scaling(frame)):
        count = float(part["threads"].iloc[0])
        put("threads", strip_figure(
            part, "scaling", f"Time on one thread by time on {count:g}",
            f"speed-up over one thread (dashed: {count:g}x)",
            "Right is better, the dashed line is a perfect share-out.",
            write=lambda value: f"{value:.3g}x", line=count,
        ), each)  # fmt: skip
    return found


# -- every layer ------------------------------------------------------------------------


def _layers(frame: pd.DataFrame, tables: Sequence[Table], said: Sequence[str], room: int) -> str:
    """A folded table per layer, as many as there is room for."""
    how = (
        f"A bar is the time of one call, shorter is faster, cut off at {_LONGEST:g} times the fastest. The thin line "
        "is the 95 % interval of the ratio to the reference, or without one the distance between the quartiles of the "
        "processes."
    )
    parts = [
        f"<p class=how>{how}</p><details class=about><summary>What the columns are</summary><p>{NOTE}</p></details>"
    ]
    bars = _bars(frame)
    for i, table in enumerate(tables):
        part = table.frame
        timed = part[part["status"] != "skipped"].assign(bar=bars)
        html = _layer(replace(table, frame=timed), part, said.index(part["circumstances"].iloc[0]))
        room -= len(html)
        if room < 0:
            left = len(tables) - i
            parts.append(f"<p>{left} further layers have no room here: they are in report.md and report.csv.</p>")
            break
        parts.append(html)
    return "".join(parts)


def _layer(table: Table, part: pd.DataFrame, place: int) -> str:
    head = part.iloc[0]
    name = f"{head['network']}/{head['layer']}"
    first, *others = (each for each in table.columns if each.name not in ("peer_version", "status", "processes"))
    statuses = {"mistrusted", "wrong", "failed"} & set(table.frame["status"])
    columns = (
        first, Column("bar", "time", words=True), *([Column("status", "status", words=True)] if statuses else []),
        *(replace(each, heading=_HEADINGS.get(each.name, each.heading)) for each in others
          if each.name != "said" or table.frame["said"].notna().any()),
    )  # fmt: skip
    own = replace(table, columns=columns)
    reasons: dict[str, list[str]] = {}
    for contender, status, reason in zip(part["contender"], part["status"], part["said"].fillna(""), strict=True):
        if status == "skipped":
            reasons.setdefault(str(reason), []).append(str(contender))
    refused = "".join(f"<li>{escape(', '.join(names))}: {escape(reason)}" for reason, names in reasons.items())
    best = head if head["status"] == "ok" else None
    told = f"{best['contender']} {span(best['time_s'])}" if best is not None else "none is right"
    problem = "" if head["problem"] == head["layer"] else f" <code>{escape(head['problem'])}</code>"
    attributes = f'data-n="{escape(head["network"])}" data-l="{escape(name)}" data-c={place} data-b={head["mb"]}'
    body = html_table(own, raw=("bar",), caption=False, rows=True) if len(own.frame) else ""
    return (
        f'<details class=layer id="{_anchor(name, place)}" {attributes}><summary><b>{escape(name)}</b>{problem} '
        f"{escape(head['circumstances'])}, occurs {head['occurs']}x<span class=won>{escape(told)}</span></summary>"
        f"{body}{f'<ul class=skipped>{refused}</ul>' if refused else ''}</details>\n"
    )


def _bars(frame: pd.DataFrame) -> pd.Series:
    """A bar for each row that has a time."""
    timed = frame[frame["time_s"].notna()]
    seconds = timed["time_s"].astype(float)
    least = seconds.groupby([timed[name] for name in LAYER]).transform("min")
    most = seconds.groupby([timed[name] for name in LAYER]).transform("max")
    full = np.minimum(most, _LONGEST * least)
    width: pd.Series = 96 * seconds / full
    ratio, half = timed["ratio"].astype(float), timed["time_spread"].astype(float) / 2
    low = (timed["ratio_low"].astype(float) / ratio).fillna(1 - half)
    high = (timed["ratio_high"].astype(float) / ratio).fillna(1 + half)
    drawn = [
        f"<svg class=b><rect class={style_of(family)} width={min(w, 100):.1f}% />"
        + (f"<line x1={w * a:.1f}% x2={w * b:.1f}% />" if np.isfinite(a) and b > a and w <= 96.01 else "")
        + "</svg>"
        for family, w, a, b in zip(timed["family"], width, low, high, strict=True)
    ]
    return pd.Series(drawn, timed.index, dtype=object)


# -- rows and data ----------------------------------------------------------------------


def _rows(frame: pd.DataFrame) -> str:
    if len(frame) > _MOST_EMBEDDED:
        return f"<p>{len(frame)} rows are too many to be embedded: they are in report.csv and report.parquet.</p>"
    packed = _packed(frame.to_csv(index=False, float_format="%.6g"))
    return (
        f"<p>All {len(frame)} rows with every column, as docs/schema.md describes them (schema {SCHEMA}): "
        f'<a id=rowsdata download=rows.csv.gz href="data:application/gzip;base64,{packed}">rows.csv.gz</a> '
        "<span id=downloads></span></p><div id=sample class=js></div>"
    )


def _packed(text: str) -> str:
    # Without a time: the same rows give the same page.
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _data(frame: pd.DataFrame, samples: dict[int, list[list[float]]], said: Sequence[str]) -> str:
    """What the script needs besides what is on the page."""
    facts = {"schema": SCHEMA, "circumstances": list(said)}
    text = f"<script type=application/json id=facts>{json.dumps(facts)}</script>"
    if samples:
        short = {row: [[float(f"{1e6 * each:.4g}") for each in own] for own in found] for row, found in samples.items()}
        text += f"<script type=text/plain id=samples>{_packed(json.dumps(short, separators=(',', ':')))}</script>"
    return text


# -- how --------------------------------------------------------------------------------


def _how(frame: pd.DataFrame, extra: Extra) -> str:
    parts = [html_table(each) for each in extra.machines]
    text = (
        "Every contender runs in fresh pinned processes that take turns on each layer by visits of milliseconds. A row "
        "is the median over processes; ratios are of visits that were made side by side. A guard watches what else the "
        "machine does: what was disturbed is measured again, and if that does not help marked mistrusted."
    )
    runs = frame.drop_duplicates(["source", "run"]) if len(frame) else frame
    lines = [
        f"<li>{escape(str(row['source']))} {escape(str(row['run']))}: {escape(str(row['platform']))}, commit "
        f"{escape(str(row['commit'])[:10] or 'none')}{' with changes' if row['dirty'] else ''}</li>"
        for row in runs.to_dict("records")
    ]
    return f"<p>{text}</p><ul>{''.join(lines)}</ul>{''.join(parts)}"
