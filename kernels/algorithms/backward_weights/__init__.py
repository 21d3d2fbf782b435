"""Gradients of weights and biases."""

from kernels.algorithms.backward_weights import (  # noqa: F401  (importing registers)
    loops as _loops,
    naive as _naive,
    planes as _planes,
)
