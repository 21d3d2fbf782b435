"""Gradients of weights and biases."""

from kernels.algorithms.backward_weights import loops as _loops, naive as _naive  # noqa: F401  (importing registers)
