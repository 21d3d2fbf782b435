"""convmark's kernels: two-dimensional convolution on NumPy arrays, compiled by Numba."""

from kernels import algorithms as _families  # noqa: F401  (importing a family registers it)
from kernels.backward import Gradients
from kernels.blocks import ConvBlock, DarknetResidual, DepthwiseSeparable, DynamicConv2d, ResNetStem, UNetDown
from kernels.epilogue import Epilogue
from kernels.errors import ArgumentError, DtypeError, ShapeError, StateDictError, TunedError
from kernels.functional import clear_caches, conv2d
from kernels.gradients import conv2d_input, conv2d_weight
from kernels.layers import Conv2d, LazyConv2d
from kernels.machine.compile import CompileCounts, cache_folder, compile_counts, prune_cache
from kernels.memory import Memory, memory_of
from kernels.plan import BackwardWeightsPlan, Plan, plan, plan_backward_weights
from kernels.problem import DIRECTIONS, Conv2dProblem, ProblemError, UnsupportedProblem
from kernels.reference import conv2d_exact, conv2d_reference, error_unit
from kernels.registry import Algorithm, Setup, UnknownAlgorithm, algorithm, algorithms, get_algorithm
from kernels.select import Candidate, Choice, choose
from kernels.transposed import conv_transpose2d
from kernels.transposed_layer import ConvTranspose2d
from kernels.tuning import measured as tuned
from kernels.tuning.limits import measured_limits, remember_limits

__all__ = [
    "DIRECTIONS",
    "Algorithm",
    "ArgumentError",
    "BackwardWeightsPlan",
    "Candidate",
    "Choice",
    "CompileCounts",
    "Conv2d",
    "Conv2dProblem",
    "ConvBlock",
    "ConvTranspose2d",
    "DarknetResidual",
    "DepthwiseSeparable",
    "DtypeError",
    "DynamicConv2d",
    "Epilogue",
    "Gradients",
    "LazyConv2d",
    "Memory",
    "Plan",
    "ProblemError",
    "ResNetStem",
    "Setup",
    "ShapeError",
    "StateDictError",
    "TunedError",
    "UNetDown",
    "UnknownAlgorithm",
    "UnsupportedProblem",
    "algorithm",
    "algorithms",
    "cache_folder",
    "choose",
    "clear_caches",
    "compile_counts",
    "conv2d",
    "conv2d_exact",
    "conv2d_input",
    "conv2d_reference",
    "conv2d_weight",
    "conv_transpose2d",
    "error_unit",
    "get_algorithm",
    "measured_limits",
    "memory_of",
    "plan",
    "plan_backward_weights",
    "prune_cache",
    "remember_limits",
    "tuned",
]
