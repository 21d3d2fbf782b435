"""One file per family; importing a family registers its variants."""

from kernels.algorithms import (  # noqa: F401
    backward_weights,
    direct,
    fft,
    fft_planes,
    im2col,
    long_stencil,
    naive,
    small_planes,
    stencil,
    winograd,
    winograd1d,
)
