"""Convolution of one input channel a group by Fourier transform of planes side by side.

Layout (vectors run over planes, or over tiles of one plane where channels are fewer than a vector has lanes)
    pixels    [column][lanes]: a row of a tile, and of results
    middle    numbers between the two passes of a transform
    spectrum  [row][point of a row][part][lanes]: of one tile of a vector of planes, in L2
    W         [block of planes][point of a row][point of a column][part][lanes], transformed beforehand
A *part* is real or imaginary. Real rows keep half their points. Points are in the order in which the passes leave them
(`kernels.algorithms.fft_planes.sizes.Side`): no pass brings them into another, since products do not ask for any.

Loops, outside in: image; vector of planes; tile (these number the items that threads take). Then rows of the tile:
gathered, transformed; points of a row: their columns transformed, multiplied by the weights and transformed back,
the middle of it in registers; rows of results: transformed back, scattered. Rows and columns of zeros are left out.
Tiles of one plane as lanes read a copy of the source with zeros around it.

On paper, 31 x 31 taps on 56 x 56 pixels, 72 x 72 points: 37 columns of 3200 operations and 112 rows of 780 for 8
channels, 200 thousand against 3 million multiply-adds.

Sources: Mathieu, Henaff and LeCun, "Fast Training of Convolutional Networks through FFTs" (2013); Oppenheim and
Schafer, "Discrete-Time Signal Processing", section 8.7 (circular convolution and overlap-save).
"""

from __future__ import annotations

import numpy as np

from kernels.algorithms.fft_planes.costs import plane_amounts
from kernels.algorithms.fft_planes.microkernel import PlaneSpec, RowsSpec, clear, gather, scatter, spread
from kernels.algorithms.fft_planes.program import CALL, local_elements, programs_of
from kernels.algorithms.fft_planes.sizes import Sizes, sizes_of
from kernels.costs.amounts import Amounts
from kernels.machine.cpu import lanes_of
from kernels.machine.microkernel import call, macrokernel, word
from kernels.machine.packing import Biases, InRange
from kernels.machine.padding import behind_padding
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.target import inner
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Transformed weights larger than this are refused: packing them would take longer than any use.
_MOST_WEIGHT_BYTES = 2**30
_CALL_BYTES = 8 * len(CALL)
#: Rows and columns of a plane that is not cut off by its own extents.
_ALL = 2**40


@inner
def _perform(program, count, local, far, weights):
    """Make the calls of a program; see `program.CALL`."""
    for n in range(count):
        e = program + n * _CALL_BYTES
        a = word(e, 1) + word(e, 2) * local + word(e, 3) * far
        c = word(e, 6) + word(e, 7) * local + word(e, 8) * far + word(e, 11) * weights
        table = word(e, 12) + word(e, 13) * weights
        call(word(e, 0), (a, word(e, 4), word(e, 5), c, word(e, 9), word(e, 10), table, word(e, 14), word(e, 15)))


@macrokernel((
    "ITEMS", "INNER", "BLOCKS", "TILES_W", "SHARED", "ITEM", "LANES", "POINTS", "ROW", "NUMBER", "WEIGHTS", "IH", "IW",
    "OH", "OW", "ROWS", "LIVE_H", "LIVE_W", "OUTPUTS_H", "OUTPUTS_W", "BEFORE_H", "BEFORE_W", "N_W", "PITCH",
    "SRC_IMAGE", "DST_IMAGE", "LOCAL", "SPECTRUM", "gather", "scatter", "clear", "row", "rows", "column", "columns",
    "back", "backs", "planes", "places", "sources", "results", "W", "scale", "bias", "slope", "local", "spectrum",
))  # fmt: skip
def loops(z, step, part, parts):
    """Items, numbered over (image, block of planes, tile), or (image, plane, vector of tiles) if these are SHARED.

    ROW, NUMBER and WEIGHTS are bytes of a row and of a number of the spectrum, and of the weights of a column.
    """
    local, spectrum = z.local + part * z.LOCAL, z.spectrum + part * z.SPECTRUM
    begin, end = share_of(z.ITEMS, part, parts)
    for item in range(begin, end):
        outer, tile = item // z.INNER, item % z.INNER
        block, image = outer % z.BLOCKS, outer // z.BLOCKS
        ty, tx, vector = tile // z.TILES_W, tile % z.TILES_W, block
        if z.SHARED != 0:
            ty, tx, vector = 0, 0, tile
        top, left = ty * z.OUTPUTS_H - z.BEFORE_H, tx * z.OUTPUTS_W - z.BEFORE_W
        first_row, last_row = max(0, -top), max(0, min(z.LIVE_H, z.IH - top))
        first, last = max(0, -left), max(0, min(z.LIVE_W, z.IW - left))
        source = z.src + image * z.SRC_IMAGE + word(z.sources, block) + (top * z.PITCH + left) * z.ITEM
        planes, places = z.planes + vector * z.LANES * 8, z.places + vector * (3 * z.LANES + 1) * 8
        call(z.clear, (local, z.N_W * z.LANES))
        for row in range(z.ROWS):
            far = spectrum + row * z.ROW
            if row < first_row or row >= last_row or first >= last:
                call(z.clear, (far, z.ROW // z.ITEM))
            else:
                call(z.gather, (source + row * z.PITCH * z.ITEM, planes, first, last, local))
                _perform(z.row, z.rows, local, far, 0)
        weights = z.W + block * z.POINTS * z.WEIGHTS
        for point in range(z.POINTS):
            _perform(z.column, z.columns, local, spectrum + point * z.NUMBER, weights)
            weights += z.WEIGHTS
        count = min(z.OUTPUTS_H, z.OH - ty * z.OUTPUTS_H)
        to = image * z.DST_IMAGE + word(z.results, block)
        to += (ty * z.OUTPUTS_H * z.OW + tx * z.OUTPUTS_W) * z.ITEM
        bias = block * z.LANES * z.ITEM
        width = min(z.OUTPUTS_W, z.OW - tx * z.OUTPUTS_W)
        for row in range(count):
            _perform(z.back, z.backs, local, spectrum + row * z.ROW, 0)
            call(z.scatter, (local, z.OUTPUTS_W, row, width, places, z.scale + bias, z.bias + bias, z.dst + to,
                             z.residual + to, z.slope))  # fmt: skip


@macrokernel((
    "BLOCKS", "LANES", "POINTS", "ROW", "NUMBER", "WEIGHTS", "ITEM", "KH", "KW", "DH", "DW", "SHIFT_H", "SHIFT_W",
    "N_H", "N_W", "LOCAL", "SPECTRUM", "spread", "clear", "taps", "tap_calls", "column", "columns", "planes", "scale",
    "local", "spectrum",
))  # fmt: skip
def weights(z, step, part, parts):
    """Weights of blocks of planes, transformed: ``src`` to ``dst``."""
    local, spectrum = z.local + part * z.LOCAL, z.spectrum + part * z.SPECTRUM
    begin, end = share_of(z.BLOCKS, part, parts)
    for block in range(begin, end):
        call(z.clear, (spectrum, z.N_H * (z.ROW // z.ITEM)))
        for kh in range(z.KH):
            call(z.clear, (local, z.N_W * z.LANES))
            call(z.spread, (z.src + kh * z.KW * z.ITEM, z.planes + block * z.LANES * 8, z.KW, z.SHIFT_W, z.DW, z.N_W,
                            z.scale, local))  # fmt: skip
            row = (z.SHIFT_H - kh * z.DH) % z.N_H
            _perform(z.taps, z.tap_calls, local, spectrum + row * z.ROW, 0)
        for point in range(z.POINTS):
            to = z.dst + (block * z.POINTS + point) * z.WEIGHTS
            _perform(z.column, z.columns, local, spectrum + point * z.NUMBER, to)


def _blocks(p: Conv2dProblem, z: Sizes) -> int:
    """Of planes that have weights of their own: vectors of them, or planes."""
    return p.oc if z.shared else -(-p.oc // lanes_of(p.dtype))


def _weight_elements(p: Conv2dProblem, z: Sizes) -> int:
    """Elements of W."""
    return _blocks(p, z) * z.across.half * z.down.N * 2 * (1 if z.shared else lanes_of(p.dtype))


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.ic != p.g:
        return f"a group has {p.ic // p.g} input channels, expected 1"
    if p.kh * p.kw == 1:
        return "the kernel is 1x1, expected more than one tap: a transform only adds to it"
    if (p.sh, p.sw) != (1, 1):
        return f"the stride is {p.sh}x{p.sw}, expected 1x1"
    z = sizes_of(p)
    if z is None:
        return f"the kernel extent is {'x'.join(map(str, p.kernel_extent))}, expected at most 256x256"
    size = _weight_elements(p, z) * p.itemsize
    if size > _MOST_WEIGHT_BYTES:
        return f"transformed weights take {size / 2**30:.1f} GiB, expected at most {_MOST_WEIGHT_BYTES / 2**30:.0f} GiB"
    return None


def _sizes(p: Conv2dProblem) -> Sizes:
    z = sizes_of(p)
    assert z is not None
    return z


def _numbers(p: Conv2dProblem, z: Sizes) -> dict[str, int]:
    """Fields that the loops over planes and those over weights have in common."""
    lanes = lanes_of(p.dtype)
    number = 2 * lanes * p.itemsize
    return {
        "LANES": lanes, "POINTS": z.across.half, "ROW": z.row * number, "NUMBER": number, "ITEM": p.itemsize,
        "N_W": z.across.N, "LOCAL": local_elements(z, lanes) * p.itemsize,
    }  # fmt: skip


class _Weights:
    """Transforms weights: ``weights(wei)``; see `loops` for what ``packed`` is."""

    def __init__(self, p: Conv2dProblem, z: Sizes, threads: int) -> None:
        lanes, blocks, programs = lanes_of(p.dtype), _blocks(p, z), programs_of(z, p.dtype)
        self.packed = np.empty(_weight_elements(p, z), p.dtype)
        first = np.arange(blocks)[:, None] * (1 if z.shared else lanes)
        channels = np.broadcast_to(first, (blocks, lanes)) if z.shared else first + np.arange(lanes)
        planes = np.ascontiguousarray(np.minimum(channels, p.oc - 1) * (p.kh * p.kw), np.intp)
        scale = np.array([1 / (z.down.N * z.across.N)], p.dtype)
        numbers = _numbers(p, z)
        size = z.down.N * z.row * 2 * lanes
        local = np.empty((threads, local_elements(z, lanes)), p.dtype)
        spectrum, spec = np.empty((threads, size), p.dtype), PlaneSpec(p.dtype, lanes)
        record = weights.record(
            **numbers, BLOCKS=blocks, WEIGHTS=z.down.N * numbers["NUMBER"], KH=p.kh, KW=p.kw, DH=p.dh, DW=p.dw,
            SHIFT_H=z.down.shift, SHIFT_W=z.across.shift, N_H=z.down.N, SPECTRUM=size * p.itemsize,
            spread=spread.address(spec), clear=clear.address(spec), taps=address_of(programs.taps),
            tap_calls=len(programs.taps), column=address_of(programs.spectrum), columns=len(programs.spectrum),
            planes=address_of(planes), scale=address_of(scale), local=address_of(local), spectrum=address_of(spectrum),
        )  # fmt: skip
        self._launch = Launch(weights, record, threads, keep=(programs, planes, scale, local, spectrum))
        # All lanes have the weights of their one plane.
        self._wide = np.empty((self.packed.size, lanes), p.dtype) if z.shared else self.packed
        self._is_shared = z.shared

    def __call__(self, wei: np.ndarray) -> None:
        self._launch(wei, self._wide, self._wide)
        if self._is_shared:
            self.packed[:] = self._wide[:, 0]


class _SharedBiases:
    """Biases, each in every lane: ``biases(bia)``."""

    def __init__(self, p: Conv2dProblem) -> None:
        self.packed = np.zeros((p.oc, lanes_of(p.dtype)), p.dtype)

    def __call__(self, bia: np.ndarray) -> None:
        self.packed[...] = bia[:, None]


def _packing(p: Conv2dProblem, threads: int) -> Packing:
    z = _sizes(p)
    panels = _Weights(p, z, threads)
    biases, factors = (_SharedBiases(p) if z.shared else Biases(p.oc, p.dtype, 1, lanes_of(p.dtype)) for _ in range(2))
    scaled = InRange(panels, factors)
    return Packing((panels.packed, biases.packed, factors.packed), scaled, biases, unscaled=scaled.as_it_is)


def _padded(p: Conv2dProblem, z: Sizes) -> tuple[int, int]:
    """Extents of the copy of a plane that tiles as lanes read."""
    sides = z.down, z.across
    return tuple((side.tiles - 1) * side.outputs + side.live for side in sides)  # type: ignore[return-value]


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    z, lanes = _sizes(p), lanes_of(p.dtype)
    shapes: dict[str, tuple[int, ...]] = {
        "local": (threads, local_elements(z, lanes)), "spectrum": (threads, z.down.rows * z.row * 2 * lanes)
    }  # fmt: skip
    return {**shapes, "padded": (p.mb, p.ic, *_padded(p, z))} if z.shared else shapes


def _tables(p: Conv2dProblem, z: Sizes) -> dict[str, np.ndarray]:
    """Where the planes, or tiles, of each vector are read and written, and the first plane of each block."""
    lanes, blocks, OCG = lanes_of(p.dtype), _blocks(p, z), p.oc // p.g
    planes, places = [], []
    if z.shared:
        _, pitch = _padded(p, z)
        for first in range(0, z.tiles, lanes):
            for tile in range(first, first + lanes):
                ty, tx = divmod(min(tile, z.tiles - 1), z.across.tiles)
                top, left = ty * z.down.outputs, tx * z.across.outputs
                planes.append(top * pitch + left)
                places += [top * p.ow + left, p.oh - top if tile < z.tiles else 0, p.ow - left]
            places.append(p.ow)
        channel = np.arange(p.oc)
        height, width = _padded(p, z)
        sources, results = channel // OCG * (height * width), channel * (p.oh * p.ow)
    else:
        for oc in range(blocks * lanes):
            planes.append(min(oc, p.oc - 1) // OCG * (p.ih * p.iw))
            places += [oc * p.oh * p.ow, _ALL if oc < p.oc else 0, _ALL]
            if oc % lanes == lanes - 1:
                places.append(p.ow)
        sources = results = np.zeros(blocks, np.intp)
    return {
        "planes": np.array(planes, np.intp), "places": np.array(places, np.intp),
        "sources": np.asarray(sources * p.itemsize, np.intp), "results": np.asarray(results * p.itemsize, np.intp),
    }  # fmt: skip


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return plane_amounts(p, _sizes(p), threads)


def _packing_elements(p: Conv2dProblem) -> float:
    return float(_weight_elements(p, _sizes(p)))


@algorithm(
    "fft_planes",
    family="fft",
    error_factor=20.0,
    unsupported=_unsupported,
    packing=_packing,
    scratch=_scratch,
    amounts=_amounts,
    packing_elements=_packing_elements,
)
def fft_planes(setup: Setup) -> Run:
    """One input channel a group: transforms of planes, or of tiles of them, side by side in vectors."""
    p, threads, (W, bias, scale) = setup.problem, setup.threads, setup.packed
    z, lanes, programs = _sizes(p), lanes_of(p.dtype), programs_of(_sizes(p), p.dtype)
    down, across, numbers, spec = z.down, z.across, _numbers(p, z), PlaneSpec(p.dtype, lanes)
    height, pitch = _padded(p, z) if z.shared else (p.ih, p.iw)
    blocks, inner_items = _blocks(p, z), -(-z.tiles // lanes) if z.shared else z.tiles
    slope = np.array([setup.epilogue.slope], p.dtype)
    arrays: dict[str, np.ndarray] = {
        **_tables(p, z), "W": W, "scale": scale, "bias": bias, "slope": slope,
        "row": programs.row, "column": programs.column,
        "back": programs.back, "local": setup.scratch["local"], "spectrum": setup.scratch["spectrum"],
    }  # fmt: skip
    record = loops.record(
        **numbers, ITEMS=p.mb * blocks * inner_items, INNER=inner_items, BLOCKS=blocks, TILES_W=across.tiles,
        SHARED=int(z.shared), WEIGHTS=down.N * 2 * (1 if z.shared else lanes) * p.itemsize, IH=height, IW=pitch,
        OH=p.oh, OW=p.ow, ROWS=down.rows, LIVE_H=down.live, LIVE_W=across.live,
        OUTPUTS_H=down.outputs, OUTPUTS_W=across.outputs,
        BEFORE_H=0 if z.shared else down.before, BEFORE_W=0 if z.shared else across.before, PITCH=pitch,
        SRC_IMAGE=p.ic * height * pitch * p.itemsize, DST_IMAGE=p.oc * p.oh * p.ow * p.itemsize,
        SPECTRUM=setup.scratch["spectrum"][0].nbytes, gather=gather.address(spec), clear=clear.address(spec),
        scatter=scatter.address(RowsSpec(p.dtype, lanes, setup.epilogue.kind)), rows=len(programs.row),
        columns=len(programs.column), backs=len(programs.back),
        **{name: address_of(array) for name, array in arrays.items()},
    )  # fmt: skip
    launch = Launch(loops, record, threads, keep=(setup, arrays, programs))
    if not z.shared:
        return launch
    with_zeros = p.replace(
        kh=1, kw=1, dh=1, dw=1, ph=down.before, pw=across.before, pb=height - p.ih - down.before,
        pr=pitch - p.iw - across.before,
    )  # fmt: skip
    return behind_padding(with_zeros, threads, setup.scratch["padded"], launch)
