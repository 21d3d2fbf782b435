"""Where asv's benchmarks of earlier commits find `suite.check.checker`."""

from suite.check.checker import Check
from suite.check.checker import Oracle as Referee

__all__ = ["Check", "Referee"]
