"""What a network comes to: the fastest a layer against the best peer, sums over all layers, and versions."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from scipy.stats import gmean

from suite.format import factor, number, percent, span
from suite.report.groups import CIRCUMSTANCES, LAYER, circumstances, groups, is_peer, name_of
from suite.results.rows import Row

__all__ = ["TOTAL_HEADINGS", "VERSION_HEADINGS", "Summary", "Totals", "summaries", "totals", "version_lines"]

_FASTEST = ("time", "useful GFLOP/s", "% of limit")

#: Headings without peers, and with them.
_ALONE = ("layer", "occurs", "fastest", *_FASTEST, "ahead of next")
_AGAINST_PEERS = ("layer", "occurs", "fastest of ours", *_FASTEST, "best peer", "its time", "speedup")

TOTAL_HEADINGS = ("algorithm", "sum over layers", "relative to best")
VERSION_HEADINGS = ("library", "version", "ways it is used")


@dataclass(frozen=True)
class Summary:
    """The fastest of each layer of one network: a cell each of ``headings``, and sentences below."""

    network: str
    threads: int
    cache: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Network and circumstances."""
        return f"{self.network}, {circumstances(self.threads, self.cache)}"


@dataclass(frozen=True)
class Totals:
    """All layers of one network as often as they occur, by those who did them all; who did not is in ``lacking``."""

    lines: tuple[tuple[str, ...], ...]
    lacking: str


def summaries(frame: pd.DataFrame) -> list[tuple[Summary, Totals]]:
    """Both for each network, number of threads and state of the caches, in the order of the rows."""
    return [
        (_summary(list(groups(part, LAYER))), totals(list(groups(part, LAYER))))
        for _, part in frame.groupby(CIRCUMSTANCES, sort=False)
    ]


@dataclass(frozen=True)
class _Best:
    """Of one layer's rows, the fastest first, those that are right."""

    rows: list[Row]

    @property
    def peer(self) -> Row | None:
        return next((row for row in self.rows if row["status"] == "ok" and is_peer(row)), None)

    @property
    def ours(self) -> list[Row]:
        own = [row for row in self.rows if row["status"] == "ok" and not is_peer(row)]
        # ``auto`` runs one of the others: no algorithm of its own, except where it is alone.
        return [row for row in own if row["family"] != "auto"] or own

    @property
    def absence(self) -> str:
        """Why none of ours is there."""
        states = {row["status"] for row in self.rows if not is_peer(row)}
        return "only mistrusted ones" if "mistrusted" in states else "none is right" if states else "none was timed"

    @property
    def speedup(self) -> float | None:
        """Of the fastest of ours over the best peer."""
        peer, ours = self.peer, self.ours
        return float(peer["time_s"] / ours[0]["time_s"]) if ours and peer else None


def _summary(layers: list[list[Row]]) -> Summary:
    bests = [_Best(rows) for rows in layers]
    peers = any(is_peer(row) for rows in layers for row in rows)
    head = layers[0][0]
    return Summary(
        head["network"],
        head["threads"],
        head["cache"],
        _AGAINST_PEERS if peers else _ALONE,
        tuple(_line(best, peers) for best in bests),
        (_sum(bests, peers), *((_against_peers(bests),) if peers else ())),
    )


def _line(best: _Best, peers: bool) -> tuple[str, ...]:
    head = (best.rows[0]["layer"], str(best.rows[0]["occurs"]))
    fastest = best.ours[0] if best.ours else None
    if fastest is None:
        mine: tuple[str, ...] = (best.absence, "", "", "")
    else:
        mine = (
            name_of(fastest),
            span(fastest["time_s"]),
            number(fastest["useful_gflops"]),
            percent(fastest["pct_of_peak"]),
        )
    if not peers:
        ahead = best.ours[1]["time_s"] / best.ours[0]["time_s"] if len(best.ours) > 1 else None
        return *head, *mine, factor(ahead)
    theirs = (name_of(best.peer), span(best.peer["time_s"])) if best.peer else ("", "")
    return *head, *mine, *theirs, factor(best.speedup)


def _sum(bests: list[_Best], peers: bool) -> str:
    """All layers, each by its fastest of ours, and by its best peer where each layer has both."""
    own = [best for best in bests if best.ours]
    mine = sum(best.rows[0]["occurs"] * best.ours[0]["time_s"] for best in own)
    text = f"all layers as often as they occur, each by its fastest{' of ours' if peers else ''}: {span(mine)}"
    theirs = [best.rows[0]["occurs"] * best.peer["time_s"] for best in own if best.peer]
    if len(own) < len(bests):
        text += f" without the {len(bests) - len(own)} that no algorithm computed"
    elif len(theirs) == len(bests):
        text += f"; each by its best peer: {span(sum(theirs))}"
    return text


def _against_peers(bests: list[_Best]) -> str:
    speedups = {best.rows[0]["layer"]: best.speedup for best in bests if best.speedup is not None}
    if not speedups:
        return "no layer has both one of ours and a peer that are right"
    worst = min(speedups, key=lambda layer: speedups[layer])
    ahead = sum(each > 1 for each in speedups.values())
    return (
        f"ahead of the best peer on {ahead} of {len(speedups)} layers; speedup over it "
        f"{factor(float(gmean([*speedups.values()])))} (geometric mean, every layer once), "
        f"least on {worst}: {factor(speedups[worst])}"
    )


def totals(layers: list[list[Row]]) -> Totals:
    """Sums over the layers of one network."""
    sums: dict[str, float] = {}
    done: dict[str, int] = {}
    for rows in layers:
        for row in rows:
            name = name_of(row)
            right = row["status"] == "ok"
            sums[name] = sums.get(name, 0.0) + (row["occurs"] * row["time_s"] if right else 0.0)
            done[name] = done.get(name, 0) + right
    complete = sorted((sums[name], name) for name in sums if done[name] == len(layers))
    lines = tuple((name, span(seconds), f"{seconds / complete[0][0]:.2f}x") for seconds, name in complete)
    lacking = sorted((len(layers) - done[name], name) for name in sums if done[name] < len(layers))
    said = ", ".join(f"{name} {count}" for count, name in lacking)
    return Totals(lines, f"layers without a right and trusted time, of {len(layers)}: {said}" if said else "")


def version_lines(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Libraries, their versions, and the contenders that stand for them; rows of old runs tell neither."""
    found = []
    for (library, version), part in frame.groupby(["library", "version"], sort=False):
        peers = part[part["family"] == "peer"]
        if version or len(peers):
            names = ", ".join(dict.fromkeys(peers["algorithm"])) or "its algorithms"
            found.append((str(library), str(version) or "not installed", names))
    return found
