"""What Winograd and FFT are made of: scratch, and the run.

The loops, with layout and caches, are in `kernels.algorithms.transform.loops`.
"""

from __future__ import annotations

import numpy as np

from kernels.algorithms.transform.geometry import Sizes
from kernels.algorithms.transform.loops import INPUT, OUTPUT, PRODUCTS, loops
from kernels.algorithms.transform.phases import GatherSpec, LinesSpec, ScatterSpec, gather, lines, scatter
from kernels.algorithms.transform.products import ProductSpec, products
from kernels.algorithms.transform.program import Kernels, distances, programs, tables
from kernels.algorithms.transform.tiling import Code, Side, Transform, sizes_of
from kernels.machine.parallel import Launch, address_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Scratch, Setup

__all__ = ["Side", "Transform", "TransformRun", "scratch"]

_ALL_PHASES = INPUT | PRODUCTS | OUTPUT


def scratch(p: Conv2dProblem, threads: int, t: Transform) -> Scratch:
    """What a run writes to beside its result."""
    z, _ = sizes_of(p, t, threads)
    return {
        "local": (threads, _local(z)),
        "V": (threads if z.PHASES == 1 else 1, z.F * z.VSTEP),
        "M": (z.OCB if z.PHASES == 3 else threads, z.SUMS * z.MSTEP),
    }


def _kernels(dtype: str, code: Code) -> Kernels:
    """The codelets of a transform."""
    found = (getattr(code, name) for name in Kernels._fields)
    return Kernels(*(0 if each is None else lines.address(LinesSpec(dtype, code.lanes, each)) for each in found))


def _local(z: Sizes) -> int:
    """Elements of a thread's scratch."""
    return z.PIXELS + z.MID + z.MH * z.WR * z.LANES


def _extents(z: Sizes, itemsize: int) -> dict[str, int]:
    """Fields of `loops.FIELDS` that are no addresses."""
    same = ("PHASES", "ITEMS", "LANES", "ICG", "OCG", "IH", "IW", "PW", "WP", "OW", "SW", "MR", "SUMS", "OCB",
            "FULL_TW", "GRIDS_H", "DH")  # fmt: skip
    K, vector = z.PIECES_H * z.PIECES_W * z.ICP, z.LANES * itemsize
    return {
        **{name: getattr(z, name) for name in same},
        "CALLED": _ALL_PHASES, "SHORT_TW": z.TW - z.FULL_TW, "OHW": z.OH * z.OW, "K": K,
        "PIECES": z.PIECES_H * z.PIECES_W, "IN_VECTORS": z.ICP // z.LANES, "OUT_VECTORS": z.CHANNELS // z.LANES,
        "ROW_STEP": z.SH * z.WR * z.LANES, "DST_STEP": z.DH * z.OW,
        "POINT_DOWN": z.C * z.VSTEP, "POINT_ACROSS": z.VSTEP,
        "LOCAL": _local(z) * itemsize, "V_BYTES": z.F * z.VSTEP * itemsize, "M_BYTES": z.SUMS * z.MSTEP * itemsize,
        "U_BYTES": z.F * K * z.NR * itemsize,
        "SRC_VECTOR": z.IH * z.IW * vector, "SRC_IMAGE": z.G * z.ICG * z.IH * z.IW * itemsize,
        "DST_VECTOR": z.OH * z.OW * vector, "DST_IMAGE": z.G * z.OCG * z.OH * z.OW * itemsize,
        "V_VECTOR": z.MR * z.W * vector, "M_VECTOR": vector, "BIAS_VECTOR": vector,
    }  # fmt: skip


class TransformRun:
    """A convolution by transform, bound: see `Algorithm.bind`."""

    def __init__(self, setup: Setup, t: Transform) -> None:
        p, threads, (U, bias, scale) = setup.problem, setup.threads, setup.packed
        self.sizes, code = sizes_of(p, t, threads)
        z = self.sizes
        slope = np.full(1, setup.epilogue.slope, p.dtype)
        apart = distances(z)
        written = programs(z, _kernels(p.dtype, code), apart, p.itemsize)
        listed = np.array([word for each in written for word in (address_of(each), len(each))], np.intp)
        arrays = {
            "U": U, "scale": scale, "bias": bias, "slope": slope, "programs": listed, **tables(z, p.itemsize),
            **setup.scratch,
        }  # fmt: skip
        square = TileShape(code.lanes, 1, code.lanes)
        self._record = loops.record(
            **_extents(z, p.itemsize),
            gather=gather.address(GatherSpec(p.dtype, square)),
            products=products.address(ProductSpec(p.dtype, code.shape, code.lanes, code.width, code.single)),
            scatter=scatter.address(ScatterSpec(p.dtype, square, setup.epilogue.kind)),
            **{name: address_of(array) for name, array in arrays.items()},
        )
        steps = 1 if z.PHASES == 1 else z.ITEMS * z.PHASES
        self._launch = Launch(loops, self._record, threads, steps, keep=(setup, apart, written, arrays))

    def __call__(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        """Compute the whole layer."""
        self._launch(src, dst, residual)

    def only(self, phase: int | None) -> None:
        """Do one phase of `loops` alone in calls to come, all where it is None."""
        self._record[loops.fields.index("CALLED")] = _ALL_PHASES if phase is None else phase
