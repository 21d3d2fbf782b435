"""The import path of `suite.check.checker` that asv's benchmarks of all commits use."""

from suite.check.checker import Check
from suite.check.checker import Oracle as Referee

__all__ = ["Check", "Referee"]
