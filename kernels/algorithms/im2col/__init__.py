"""im2col: the convolution as one matrix product, its columns packed panel by panel; a matrix product of 1x1 kernels.

Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for Document Processing"
(2006); blocking after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).

- ``im2col_gemm``: dst[oc][pixel] = wei[oc][k] x columns[k][pixel], k over ic, kh, kw.

The loop nest, with layout and caches, is in ``loops``; block sizes are in ``blocking``.
"""

from __future__ import annotations

import numpy as np

from kernels.algorithms.im2col.blocking import Sizes, sizes_of
from kernels.algorithms.im2col.costs import gemm_amounts
from kernels.algorithms.im2col.loops import panels
from kernels.algorithms.im2col.microkernel import ColumnSpec, GemmSpec, gemm_blocks, pack_columns
from kernels.costs.amounts import Amounts
from kernels.machine.packing import fill_bias_blocks, pack_weight_blocks
from kernels.machine.parallel import Launch, address_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Run, Scratch, Setup, algorithm


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    z, _ = sizes_of(p, threads)
    return {"columns": (threads, z.COLUMNS), "sums": (threads, z.SUMS)}


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    """Weights as [g][oc / MR][ic / C][kh][kw][C][MR]."""
    z, shape = sizes_of(p, 1)
    blocks = pack_weight_blocks(wei, p.g, shape.MR).reshape(z.G, z.BLOCKS, z.ICG, z.KH, z.KW, shape.MR)
    blocks = blocks.transpose(0, 1, 3, 4, 2, 5)
    cuts = [slice(c, c + z.KC) for c in range(0, z.ICG, z.KC)]
    packed = np.concatenate([blocks[:, :, :, :, cut].reshape(z.G, z.BLOCKS, -1) for cut in cuts], axis=2)
    return (packed.reshape(-1),)


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return gemm_amounts(p, *sizes_of(p, threads), threads)


@algorithm(
    "im2col_gemm",
    family="im2col",
    error_factor=8.0,
    exact_on_integers=True,
    prepare=_prepare,
    scratch=_scratch,
    amounts=_amounts,
)
def im2col_gemm(setup: Setup) -> Run:
    """One matrix product over columns packed panel by panel."""
    p, threads, (wei,) = setup.problem, setup.threads, setup.packed
    z, shape = sizes_of(p, threads)
    bias = np.empty((z.G, z.BLOCKS * z.MR), p.dtype)
    fill_bias_blocks(setup.bia, bias)
    ones, slope = np.ones(shape.NR, p.dtype), np.full(1, setup.epilogue.slope, p.dtype)
    arrays = {"wei": wei, "bias": bias, "ones": ones, "slope": slope, **setup.scratch}

    def gemm(MR: int, NV: int) -> int:
        return gemm_blocks.address(GemmSpec(p.dtype, TileShape(MR, NV, shape.lanes), setup.epilogue.kind))

    # Whole and last blocks of channels, on whole panels and on the last one.
    rows, vectors = (shape.MR, z.OCG - (z.BLOCKS - 1) * z.MR), (shape.NV, _last_vectors(z))
    names = ("gemm", "gemm_last_block", "gemm_last_panel", "gemm_last_of_both")
    kernels = dict(zip(names, (gemm(MR, NV) for NV in vectors for MR in rows), strict=True))
    pitch = p.sw if p.sw <= 2 else 0
    record = panels.record(
        **z._asdict(),
        ITEM=p.itemsize,
        pack=pack_columns.address(ColumnSpec(p.dtype, TileShape(1, 1, shape.lanes), pitch)),
        **kernels,
        **{name: address_of(array) for name, array in arrays.items()},
    )
    return Launch(panels, record, threads, keep=(setup, *arrays.values()))


def _last_vectors(z: Sizes) -> int:
    """Vectors of the last panel."""
    return -(-(z.OH * z.OW - (z.PANELS - 1) * z.NR) // z.LANES)
