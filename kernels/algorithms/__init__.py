"""One file per family; importing a family registers its variants."""

from kernels.algorithms import direct, winograd  # noqa: F401
