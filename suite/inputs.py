"""The import path of `suite.check.inputs` that asv's benchmarks of all commits use."""

from suite.check.inputs import Inputs, make_inputs

__all__ = ["Inputs", "make_inputs"]
