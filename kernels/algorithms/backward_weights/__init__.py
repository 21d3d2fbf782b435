"""Gradients of weights and biases."""

from kernels.algorithms.backward_weights import loops, naive, planes, winograd  # noqa: F401  (importing them registers them)
