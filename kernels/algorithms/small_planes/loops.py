"""Convolution of one input channel a group on small maps: planes are the vector side.

Layout: source and result as they are; pixels and outputs of a vector of planes ``[row][column][lanes]``, in scratch of
each thread; weights ``[block of planes][kw][kh among zeros][lanes]``. Loops, outside in: image; block of planes; pixels
are transposed, whole planes at once; output rows, output column, kernel column, source row, in the microkernel; results
are transposed back. No vector is partly empty, and neither rows nor columns beside the source are multiplied.

On paper, 13 x 13 taps on 7 x 7 pixels: 49 x 49 multiply-adds for a vector of planes, each with a load, 1200 cycles, and
350 to transpose.
"""

from __future__ import annotations

import functools

import numpy as np

from kernels.algorithms.fft_planes.microkernel import PlaneSpec, RowsSpec, gather, scatter
from kernels.algorithms.small_planes.microkernel import EXTENTS, PlanesSpec, planes
from kernels.costs.amounts import Amounts, lines_of_layer, longest_share
from kernels.machine.cpu import IN_FLIGHT, cache_bytes, lanes_of, vector_registers
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.packing import Biases, Panels
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Widest stride between output rows, which is a constant of the code.
_MOST_STRIDE = 2
#: Rows that a kernel may extend over: zeros between taps are stored.
_MOST_EXTENT = 1024
#: Rows and columns of a plane that is not cut off by its own extents.
_ALL = 2**40
#: What a kernel column of a tile takes beside its multiply-adds, in these.
_COLUMN = 12.0


@macrokernel((
    "ITEMS", "BLOCKS", "LANES", "ITEM", "PIXELS", "RESULTS", "SRC_IMAGE", "DST_IMAGE", "WEI_BLOCK", "LOCAL", "gather",
    "planes", "scatter", "sources", "places", "wei", "ones", "bia", "slope", "extents",
    "local",
))  # fmt: skip
def loops(z, step, part, parts):
    """Blocks of planes, numbered over (image, block)."""
    begin, end = share_of(z.ITEMS, part, parts)
    pixels = z.local + part * z.LOCAL
    results = pixels + (z.PIXELS + z.LANES) * z.LANES * z.ITEM
    for item in range(begin, end):
        image, block = item // z.BLOCKS, item % z.BLOCKS
        call(z.gather, (z.src + image * z.SRC_IMAGE, z.sources + block * z.LANES * 8, 0, z.PIXELS, pixels))
        call(z.planes, (pixels, z.wei + block * z.WEI_BLOCK, results, z.extents))
        places, to = z.places + block * (3 * z.LANES + 1) * 8, image * z.DST_IMAGE
        bias = z.bia + block * z.LANES * z.ITEM
        call(z.scatter, (results, z.RESULTS, 0, z.RESULTS, places, z.ones, bias, z.dst + to, z.residual + to, z.slope))


def _extent(p: Conv2dProblem) -> int:
    """Rows of a kernel, zeros between its taps included."""
    return p.kernel_extent[0]


def _source_rows(p: Conv2dProblem, R: int) -> list[int]:
    """Source rows under each tile of R output rows."""
    tops = [min(first, p.oh - R) * p.sh - p.ph for first in range(0, p.oh, R)]
    return [max(0, min(p.ih, top + (R - 1) * p.sh + _extent(p)) - max(0, top)) for top in tops]


def _pixel_time(R: int) -> float:
    """Multiply-adds that one pixel of a tile takes the time of: each loads its tap, and sums wait for one another."""
    return float(max(R + 1, IN_FLIGHT))


@functools.lru_cache(maxsize=1024)
def _rows(p: Conv2dProblem) -> int:
    """Output rows of a tile."""

    def time(R: int) -> float:
        return sum(rows * _pixel_time(R) + _COLUMN for rows in _source_rows(p, R))

    return min(range(1, min(p.oh, vector_registers() - 2) + 1), key=lambda R: (time(R), -R))


def _columns(p: Conv2dProblem) -> list[tuple[int, int, int]]:
    """Of each output column its kernel columns on the source, and the column there that the first one meets."""
    found = []
    for ow in range(p.ow):
        left = ow * p.sw - p.pw
        low = -(-max(0, -left) // p.dw)
        high = min(p.kw, -(-max(0, p.iw - left) // p.dw))
        found.append((low, max(low, high), left + low * p.dw))
    return found


def _local(p: Conv2dProblem) -> int:
    """Elements of a thread's scratch: pixels, in whole squares, and results, a vector more."""
    lanes = lanes_of(p.dtype)
    return (p.ih * p.iw + lanes + p.oh * p.ow + lanes) * lanes


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.ic != p.g:
        return f"a group has {p.ic // p.g} input channels, expected 1"
    if p.sh > _MOST_STRIDE:
        return f"the stride between rows is {p.sh}, expected at most {_MOST_STRIDE}"
    if _extent(p) > _MOST_EXTENT:
        return f"the kernel extends over {_extent(p)} rows, expected at most {_MOST_EXTENT}"
    size = _local(p) * p.itemsize
    if size > cache_bytes(2):
        return f"a vector of planes takes {size} bytes, expected at most {cache_bytes(2)}"
    return None


def _spec(p: Conv2dProblem) -> PlanesSpec:
    return PlanesSpec(p.dtype, lanes_of(p.dtype), _rows(p), p.sh)


class _Taps:
    """Packs weights: ``taps(wei)``; see the layout above."""

    def __init__(self, p: Conv2dProblem, threads: int) -> None:
        spec, blocks = _spec(p), -(-p.oc // lanes_of(p.dtype))
        places = np.arange(p.kh * p.kw).reshape(p.kw, p.kh).T.reshape(-1)
        self._panels = Panels(p.weight_shape, p.dtype, 1, spec.lanes, threads, places)
        taps = np.zeros((blocks, p.kw, _extent(p) + 2 * spec.before, spec.lanes), p.dtype)
        self.packed = taps.reshape(-1)
        self._live = taps[:, :, spec.before : spec.before + _extent(p) : p.dh]

    def __call__(self, wei: np.ndarray) -> None:
        self._panels(wei)
        self._live[...] = self._panels.packed.reshape(self._live.shape)


def _packing(p: Conv2dProblem, threads: int) -> Packing:
    taps, biases = _Taps(p, threads), Biases(p.oc, p.dtype, 1, lanes_of(p.dtype))
    return Packing((taps.packed, biases.packed), taps, biases)


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    return {"local": (threads, _local(p))}


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    lanes, R = lanes_of(p.dtype), _rows(p)
    blocks, rows = p.mb * -(-p.oc // lanes), _source_rows(p, R)
    columns = sum(high - low for low, high, _ in _columns(p))
    counts = {
        "multiply-adds": float(blocks * columns * sum(rows) * R),
        "waits": blocks * columns * sum(rows) * (_pixel_time(R) - R),
        "columns": float(blocks * columns * len(rows)),
        "tiles": float(blocks * p.ow * len(rows)),
        "pixels": float(blocks * (-(-p.ih * p.iw // lanes) + -(-p.oh * p.ow // lanes))),
        "planes": float(blocks),
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("small planes", counts, longest_share(blocks, threads))


@algorithm(
    "small_planes",
    family="grouped",
    error_factor=8.0,
    exact_on_integers=True,
    unsupported=_unsupported,
    packing=_packing,
    scratch=_scratch,
    amounts=_amounts,
)
def small_planes(setup: Setup) -> Run:
    """One input channel a group, small maps: planes side by side in vectors."""
    p, threads, (wei, bia) = setup.problem, setup.threads, setup.packed
    spec, local, OCG = _spec(p), setup.scratch["local"], p.oc // p.g
    lanes, blocks = spec.lanes, -(-p.oc // spec.lanes)
    taps = _extent(p) + 2 * spec.before
    values = {
        "OH": p.oh, "OW": p.ow, "IH": p.ih, "IW": p.iw, "PH": p.ph, "KH": _extent(p), "DW": p.dw, "TAPS": taps,
    }  # fmt: skip
    extents = np.array([*(values[name] for name in EXTENTS), *(n for each in _columns(p) for n in each)], np.intp)
    channels = np.arange(blocks * lanes)
    sources = np.minimum(channels, p.oc - 1) // OCG * (p.ih * p.iw)
    places = np.zeros((blocks, 3 * lanes + 1), np.intp)
    lane = places[:, : 3 * lanes].reshape(blocks, lanes, 3)
    lane[..., 0] = (channels * (p.oh * p.ow)).reshape(blocks, lanes)
    lane[..., 1] = (channels < p.oc).reshape(blocks, lanes)
    lane[..., 2] = _ALL
    slope, ones = np.array([setup.epilogue.slope], p.dtype), np.ones(lanes, p.dtype)
    record = loops.record(
        ITEMS=p.mb * blocks, BLOCKS=blocks, LANES=lanes, ITEM=p.itemsize, PIXELS=p.ih * p.iw, RESULTS=p.oh * p.ow,
        SRC_IMAGE=p.ic * p.ih * p.iw * p.itemsize, DST_IMAGE=p.oc * p.oh * p.ow * p.itemsize,
        WEI_BLOCK=p.kw * taps * lanes * p.itemsize, LOCAL=local[0].nbytes,
        gather=gather.address(PlaneSpec(p.dtype, lanes)),
        planes=planes.address(spec), scatter=scatter.address(RowsSpec(p.dtype, lanes, setup.epilogue.kind)),
        sources=address_of(sources), places=address_of(places), wei=address_of(wei), ones=address_of(ones),
        bia=address_of(bia), slope=address_of(slope), extents=address_of(extents), local=address_of(local),
    )  # fmt: skip
    return Launch(loops, record, threads, keep=(setup, extents, sources, places, slope, ones))
