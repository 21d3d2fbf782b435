"""What Winograd and FFT are made of: weights packed for a transform, scratch, and the run.

The loops, with layout and caches, are in `kernels.algorithms.transform.loops`.
"""

from __future__ import annotations

import functools

import numpy as np

from kernels.algorithms.transform.codelets.apply import Codelet
from kernels.algorithms.transform.geometry import Sizes, points_of
from kernels.algorithms.transform.loops import loops
from kernels.algorithms.transform.phases import GatherSpec, LinesSpec, ScatterSpec, gather, lines, scatter
from kernels.algorithms.transform.products import ProductSpec, products
from kernels.algorithms.transform.tiling import Code, Side, Transform, sizes_of, spread_extent
from kernels.machine.packing import fill_bias_blocks
from kernels.machine.parallel import Launch, address_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Scratch, Setup

__all__ = ["Side", "Transform", "TransformRun", "prepare", "scratch", "weight_bytes"]

#: `loops.CALLED` of all phases.
_ALL_PHASES = 0b111


def weight_bytes(p: Conv2dProblem, t: Transform) -> int:
    """Bytes of the transformed weights U."""
    z, _ = sizes_of(p, t, 1)
    return z.G * z.F * z.OCB * z.PIECES_H * z.PIECES_W * z.ICP * z.NR * p.itemsize


def _points_in_order(z: Sizes) -> list[int]:
    """Points as the products take them: those of the first sum, then those of the next."""
    order = []
    for f in range(z.SUMS):
        row, rows, column, columns = points_of.py_func(z, f)
        order += [(row + i) * z.C + column + j for i in range(rows) for j in range(columns)]
    return order


def prepare(p: Conv2dProblem, wei: np.ndarray, t: Transform) -> Packed:
    """Transform and pack weights; see the layout of U above.

    Parameters
    ----------
    p : Conv2dProblem
    wei : ndarray, shape (oc, ic // g, kh, kw)
    t : Transform

    Returns
    -------
    Packed
    """
    z, _ = sizes_of(p, t, 1)
    ICG, pieces = p.ic // p.g, z.PIECES_H * z.PIECES_W
    order, extent = _points_in_order(z), spread_extent(p, t)
    U = np.zeros((z.G, z.OCB, z.F, pieces, z.ICP, z.W, z.CHANNELS), p.dtype)
    grouped = wei.reshape(z.G, z.OCG, ICG, p.kh, p.kw)
    for block in range(z.OCB):
        taken = grouped[:, block * z.CHANNELS : (block + 1) * z.CHANNELS]
        spread = np.zeros((*taken.shape[:3], z.PIECES_H * z.TAP_H, z.PIECES_W * z.TAP_W), np.float64)
        spread[..., : extent[0] : p.dh // t.down.dilation, : extent[1] : p.dw // t.across.dilation] = taken
        cut = spread.reshape(*taken.shape[:3], z.PIECES_H, z.TAP_H, z.PIECES_W, z.TAP_W).swapaxes(4, 5)
        points = t.weights(cut).reshape(*taken.shape[:3], pieces, z.F)[..., order]
        ordered = points.transpose(0, 4, 3, 2, 1)  # g, f, piece, ic, oc
        U[:, block, :, :, :ICG, 0, : taken.shape[1]] = ordered.real
        if z.W == 2:
            U[:, block, :, :, :ICG, 1, : taken.shape[1]] = ordered.imag
    return (U.reshape(-1),)


def scratch(p: Conv2dProblem, threads: int, t: Transform) -> Scratch:
    """What a run writes to beside its result."""
    z, _ = sizes_of(p, t, threads)
    return {
        "local": (threads, z.PIXELS + z.MID + z.MH * z.WR * z.LANES),
        "V": (threads if z.PHASES == 1 else 1, z.F * z.VSTEP),
        "M": (z.OCB if z.PHASES == 3 else threads, z.SUMS * z.MSTEP),
    }


def _tables(z: Sizes) -> dict[str, np.ndarray]:
    """Tables of distances, in elements, that `loops.FIELDS` lists."""
    column, tile = np.arange(z.TW), np.arange(z.IMAGES * z.R * z.TW)
    panel = z.PIECES_H * z.PIECES_W * z.ICP * z.MR * z.W
    sets, grid = np.divmod(column, z.GRIDS_W)
    return {
        "zero": np.zeros(1, np.intp),
        "corners": (sets * z.STEP_W + grid) * z.LANES,
        "edges": (sets * z.MW * z.DW + grid) * z.LANES,
        "points": column * (z.C * z.LANES),
        "sums": column * (z.SUMS_C * z.LANES),
        "places": tile // z.MR * panel + tile % z.MR * z.LANES,
        "places_out": tile * z.NR,
    }


def _addresses(dtype: str, code: Code) -> dict[str, int]:
    """Microkernels by the field of the record that holds their address, but for the one with the epilogue."""

    def of_lines(codelet: Codelet | None) -> int:
        return 0 if codelet is None else lines.address(LinesSpec(dtype, code.lanes, codelet))

    names = ("down_in", "across_in", "down_out", "across_out")
    return {
        "gather": gather.address(GatherSpec(dtype, _square(code.lanes))),
        "products": products.address(ProductSpec(dtype, code.shape, code.lanes, code.width, code.single)),
        **{name: of_lines(getattr(code, name)) for each in names for name in (each, f"short_{each}")},
    }


@functools.cache
def _square(lanes: int) -> TileShape:
    return TileShape(lanes, 1, lanes)


class TransformRun:
    """A convolution by transform, bound: see `Algorithm.bind`."""

    def __init__(self, setup: Setup, t: Transform) -> None:
        p, threads, (U,) = setup.problem, setup.threads, setup.packed
        self.sizes, code = sizes_of(p, t, threads)
        z = self.sizes
        bias, slope = np.empty((z.G, z.OCB * z.CHANNELS), p.dtype), np.full(1, setup.epilogue.slope, p.dtype)
        fill_bias_blocks(setup.bia, bias)
        arrays = {"U": U, "bias": bias, "slope": slope, **_tables(z), **setup.scratch}
        steps = 1 if z.PHASES == 1 else z.ITEMS * z.PHASES
        self._record = loops.record(
            **z._asdict(),
            ITEM=p.itemsize,
            CALLED=_ALL_PHASES,
            scatter=scatter.address(ScatterSpec(p.dtype, _square(code.lanes), setup.epilogue.kind)),
            **_addresses(p.dtype, code),
            **{name: address_of(array) for name, array in arrays.items()},
        )
        self._launch = Launch(loops, self._record, threads, steps, keep=(setup, *arrays.values()))

    def __call__(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        self._launch(src, dst, residual)

    def only(self, phase: int | None) -> None:
        """Do one phase alone in calls to come: input transform, products, output transform; all where it is None."""
        self._record[loops.fields.index("CALLED")] = _ALL_PHASES if phase is None else 1 << phase
