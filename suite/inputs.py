"""Where asv's benchmarks of earlier commits find `suite.check.inputs`."""

from suite.check.inputs import Inputs, make_inputs

__all__ = ["Inputs", "make_inputs"]
