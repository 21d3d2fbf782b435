"""Screening of contenders: those that the first process shows to be far from the fastest are measured in no other."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["NO_SCREEN", "SCREEN", "Screen"]

#: What `suite.commands.run` screens by: times the fastest.
SCREEN = 3.0


@dataclass(frozen=True)
class Screen:
    """Which contenders of a layer are too slow for more than one process.

    Attributes
    ----------
    slower : float
        Those that take more than so many times the time of the fastest; 0 for none.
    reference : str
        Contender that ratios are stated to: it is measured in every process, and so is the fastest peer.
    """

    slower: float = 0.0
    reference: str = ""

    @property
    def reason(self) -> str:
        """What is said of such a contender."""
        return f"one process: slower than {self.slower:g}x the fastest"

    def slow(self, times: Mapping[str, float], peers: Collection[str]) -> set[str]:
        """Names of those that are too slow.

        Parameters
        ----------
        times : mapping of str to float
            Undisturbed seconds by contender; NaN for one that has none.
        peers : collection of str
            Contenders of other libraries.
        """
        known = {name: seconds for name, seconds in times.items() if not math.isnan(seconds)}
        if not known or not self.slower:
            return set()
        others = [name for name in known if name in peers]
        kept = {self.reference, *([min(others, key=lambda name: known[name])] if others else [])}
        most = self.slower * min(known.values())
        return {name for name, seconds in known.items() if seconds > most and name not in kept}


#: All are measured in every process.
NO_SCREEN = Screen()
