"""Convolution by transform: what Winograd and FFT share, but for their matrices and points.

The loops, with layout and caches, are in `kernels.algorithms.transform.loops`.
"""
