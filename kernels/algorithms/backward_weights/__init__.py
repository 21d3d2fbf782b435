"""Gradients of weights and biases."""

from kernels.algorithms.backward_weights import naive as _naive  # noqa: F401  (importing it registers it)
