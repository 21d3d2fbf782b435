"""Speed against error: what each contender's arithmetic costs, over all layers of a report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from suite.format import factor, scientific
from suite.report.comparisons import by_circumstances, gmean, right
from suite.report.table import Column, Table

__all__ = ["Tradeoff", "tradeoff_tables", "tradeoffs"]

#: What speeds are relative to if no peer is right.
_DIRECT = "direct_tiled"

#: An error that is drawn for none: half a rounding of float32; nothing has no logarithm.
_NO_ERROR = 2.0**-25


@dataclass(frozen=True)
class Tradeoff:
    """All contenders in the same circumstances.

    Attributes
    ----------
    circumstances : str
    reference : str
        What speeds are relative to.
    layers : int
        On how many the reference is right, each shape once.
    points : DataFrame
        A line per contender, the fastest first: ``contender``, ``peer``, ``family``, ``layers``, ``error`` (geometric
        mean of the relative L2 error against float64), ``largest``, ``speed`` (geometric mean, relative to the
        reference).
    """

    circumstances: str
    reference: str
    layers: int
    points: pd.DataFrame


def tradeoffs(frame: pd.DataFrame) -> list[Tradeoff]:
    """One for each circumstances in which an error was measured.

    Speeds are relative to the best peer of each layer; if no peer is right on any, to ``direct_tiled``, and without
    that to the fastest of each layer. Layers without the reference are left out.
    """
    found = []
    for said, part in by_circumstances(frame):
        ok = right(part).drop_duplicates(["problem", "contender"])
        reference, least = _reference(ok)
        met = ok.join(least.rename("reference_s"), on="problem")
        met = met[met["reference_s"].notna() & met["rel_error"].notna()]
        if met.empty:
            continue
        lines = [
            {
                "contender": name, "peer": bool(own["peer"].iloc[0]), "family": own["family"].iloc[0],
                "layers": len(own), "error": gmean(np.maximum(own["rel_error"].astype(float), _NO_ERROR)),
                "largest": own["rel_error"].max(), "speed": gmean(own["reference_s"] / own["time_s"]),
            }
            for name, own in met.groupby("contender", sort=False)
        ]  # fmt: skip
        points = pd.DataFrame(lines).sort_values("speed", ascending=False, kind="stable", ignore_index=True)
        found.append(Tradeoff(said, reference, len(least), points))
    return found


def _reference(ok: pd.DataFrame) -> tuple[str, pd.Series]:
    """What speeds are relative to, and the seconds of each problem that it is right on."""
    for name, rows in (
        ("the best peer of each layer", ok[ok["peer"]]),
        (_DIRECT, ok[ok["algorithm"] == _DIRECT]),
    ):
        if len(rows):
            return name, rows.groupby("problem", sort=False)["time_s"].min()
    return "the fastest of each layer", ok.groupby("problem", sort=False)["time_s"].min()


def tradeoff_tables(frame: pd.DataFrame) -> list[Table]:
    """The points as tables."""
    columns = (
        Column("contender", "contender", words=True),
        Column("layers", "layers", spare=1),
        Column("error", "error", scientific),
        Column("largest", "largest error", scientific, spare=2),
        Column("speed", "speed", factor),
    )
    return [
        Table(
            f"Speed against error, {each.circumstances}", columns, each.points,
            "Relative L2 error against float64; geometric means over the layers on which a contender is right, each "
            f"shape once, {each.layers} at most; speed relative to {each.reference}.",
        )
        for each in tradeoffs(frame)
    ]  # fmt: skip
