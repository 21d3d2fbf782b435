"""The loops of the gradient of the weights, plane by plane: for few channels a group.

- ``bwd_w_planes``: pixels in vectors, the sums of some taps and output channels in registers; depthwise above all.

dst[oc][ic, kh, kw] = sum over (image, oh, ow) of grad[oc][pixel] * src[ic][pixel shifted by the tap].

Layout: gradients as they are; of the source a copy of lines with zeros beside them, ``[channel][line]
[column % SW][columns]``, or the source itself if it has no padding and columns follow one another; sums a vector per
output channel and tap.
Tile: OCB output channels x TH x TW taps, each a vector; larger kernels take several, of which the last reaches back.
Loops, outside in: block of input channels (these are the items that threads take); image; block of lines; tile; and in
`kernels.algorithms.backward_weights.taps` channel, line, vector of pixels. Of a source that is copied, only channels
whose whole planes fit L1 together are more than one per block. The copy of a block stays in L1 while all tiles pass
over it; otherwise the gradients of a block of lines stay in L2 while the channels of a group pass over them. Source and
gradients cross memory once.
Sums: lane by lane within a plane's block of lines, then the blocks, then the lanes, in an order that does not depend on
threads.

On paper, 3 x 3 taps on AVX-512: 9 multiply-adds a vector of pixels, one a cycle, and 10 loads, two cycles each where
they cross cache lines. Of R lines of pixels at once, each line of the source is loaded for all that meet it: 34 loads
for 63 multiply-adds at 7 lines.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from kernels.algorithms.backward_weights.costs import planes_amounts
from kernels.algorithms.backward_weights.taps import TapsSpec, VectorSpec, store_taps, sum_plane, sum_taps
from kernels.algorithms.stencil.microkernel import EXTENTS, Copy, clear_rows, copy_rows
from kernels.costs.amounts import Amounts
from kernels.machine.cpu import cache_bytes, lanes_of, vector_bytes, vector_registers
from kernels.machine.microkernel import call, macrokernel, word
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Run, Scratch, Setup, algorithm

#: Steps between columns of which code is made.
_MOST_STRIDE = _MOST_DILATION = 4
#: Planes of so many bytes are asked for ahead: streams of the hardware end with them, and smaller ones stand in a row.
_ASKED_BYTES = 2048
#: Lines of pixels at once. Few, since each is compiled.
_LINES = (1, 2, 3, 4, 5, 7)


class _Sizes(NamedTuple):
    """Every extent that the loops need."""

    MB: int
    IC: int
    OC: int
    ICG: int
    OCG: int
    TAPS: int
    IH: int
    IW: int
    OH: int
    OW: int
    SH: int
    SW: int
    PH: int
    PW: int
    COPIED: int  # whether the source is copied, or read where it is
    CHANNELS: int  # input channels per block, of one group or with their output channels; 1 if a copy has not all lines
    LINES: int  # output lines per block
    WS: int  # copied columns
    SRC_LINE: int  # elements from the copied lines of an output line to those of the next
    TAP_LINE: int  # elements from those of a kernel row to those of the next
    HALO: int  # copied lines of one output line
    PHASE: int  # elements from the copied columns of a remainder by SW to those of the next
    PLANE: int  # elements from a copied channel to the next
    GRAD: int  # elements from the gradients of a channel of a block to those of the next
    RESULT: int  # the same of the result
    LATER: int  # elements of the source per line that the next block is asked for by; 0 unless it has whole planes
    HAS_BIAS: int
    LANES: int
    CALLS: int  # tiles
    BLOCKS: int  # of channels
    IN_GROUP: int  # of those, in a group, or in all of them if groups have one channel


#: What else is in the record: elements of scratch of a thread, vectors of sums of a channel, and addresses.
_ELSE = (
    "ITEM", "SOURCE", "SUMS", "SIZE", "clear", "copy", "store", "sum_plane", "extents", "calls", "places", "source",
    "sums",
)  # fmt: skip


@macrokernel((*_Sizes._fields, *_ELSE))
def _channels(z, step, part, parts):
    """Items are blocks of input channels."""
    source, sums = z.source + part * z.SOURCE * z.ITEM, z.sums + part * z.SUMS * z.ITEM
    OHW, SUMS = z.OH * z.OW, z.SIZE * z.LANES
    begin, end = share_of(z.BLOCKS, part, parts)
    if begin < end and z.COPIED:
        call(z.clear, (source, z.SOURCE))
    for block in range(begin, end):
        # Of a group's channels, or over all groups of one channel.
        ic = block // z.IN_GROUP * z.ICG + block % z.IN_GROUP * z.CHANNELS
        channels = min(z.CHANNELS, (z.IC if z.ICG == 1 else (ic // z.ICG + 1) * z.ICG) - ic)
        first = ic // z.ICG * z.OCG
        # Without images there is one block, of no pixels.
        for n in range(max(z.MB, 1)):
            for oh in range(0, z.OH if z.MB else 1, z.LINES):
                lines = min(z.LINES, z.OH - oh) if z.MB else 0
                top = oh * z.SH - z.PH
                # Lines beside the source are not written; of whole planes they are always the same.
                if z.COPIED and z.LINES < z.OH and (top < 0 or top + (lines - 1) * z.SH + z.HALO > z.IH):
                    call(z.clear, (source, z.SOURCE))
                planes = z.src + (n * z.IC + ic) * z.IH * z.IW * z.ITEM
                if z.COPIED and z.MB:
                    call(z.copy, (planes, source, z.extents, top, channels))
                read = source if z.COPIED else planes + top * z.IW * z.ITEM
                grad = ((n * z.OC + first) * z.OH + oh) * z.OW
                # The same channels of the next image, or the next channels of the first.
                to_image = 1 if n + 1 < z.MB else -n
                to_channel = 0 if n + 1 < z.MB else channels
                later = z.src + ((n + to_image) * z.IC + ic + to_channel) * z.IH * z.IW * z.ITEM
                later_grad = z.residual + ((n + to_image) * z.OC + first + to_channel) * OHW * z.ITEM
                for i in range(z.CALLS):
                    call(
                        word(z.calls, 4 * i),
                        (
                            read + word(z.calls, 4 * i + 1), z.PLANE, z.SRC_LINE, z.TAP_LINE, z.SW * z.WS, z.PHASE,
                            z.residual + grad * z.ITEM + word(z.calls, 4 * i + 2), channels, z.GRAD, OHW, lines, z.OW,
                            sums + word(z.calls, 4 * i + 3), SUMS, 1 if n + oh == 0 else 0, later, z.IH * z.IW,
                            z.LATER if i == 0 else 0, later_grad,
                        ),
                    )  # fmt: skip
        to = (first * z.ICG + ic % z.ICG) * z.TAPS
        for c in range(channels):
            call(
                z.store,
                (
                    sums + c * SUMS * z.ITEM, z.SIZE, z.places, z.OCG, z.TAPS, z.dst + (to + c * z.RESULT) * z.ITEM,
                    z.ICG * z.TAPS,
                ),
            )  # fmt: skip
        if z.HAS_BIAS and ic % z.ICG == 0:
            for oc in range(first, first + (channels * z.OCG if z.ICG == 1 else z.OCG)):
                to = z.OC * z.ICG * z.TAPS + oc
                grad = z.residual + oc * OHW * z.ITEM
                call(z.sum_plane, (grad, z.MB, z.OC * OHW, OHW, sums, z.dst + to * z.ITEM))


class _Tile(NamedTuple):
    """Channels and taps whose sums are in registers at once."""

    OCB: int
    TH: int
    TW: int
    R: int  # lines of pixels at once


def _even(extent: int, most: int) -> int:
    """Parts of at most ``most``, as equal as can be."""
    return -(-extent // -(-extent // max(1, most)))


def _lanes(p: Conv2dProblem) -> int:
    """Elements of a vector: of the widest, half as many where a row of the map has no more."""
    lanes = lanes_of(p.dtype)
    return lanes // 2 if vector_bytes() == 64 and p.ow <= lanes // 2 else lanes


@functools.lru_cache(maxsize=1024)
def _tile(p: Conv2dProblem) -> _Tile:
    most = vector_registers() - 4
    TW = _even(p.kw, most)
    TH = _even(p.kh, most // TW) if p.kw == TW else 1
    # Each channel has its gradients in a register.
    OCB = _even(p.oc // p.g, (vector_registers() - 2) // (TH * TW + 1)) if p.kh * p.kw == TH * TW else 1
    # Lines of the source that lines of pixels have in common are loaded once for all of them.
    lines = [1]
    if p.sh <= _MOST_STRIDE and p.dh <= _MOST_DILATION:
        most = max(1, min(p.oh, (vector_registers() - 2) // OCB - TH * TW))
        lines = [R for R in _LINES if most >= R]

    def loads(R: int) -> int:
        """Vectors of the source and of gradients, of one column."""
        rows = {m * p.sh + i * p.dh for m in range(R) for i in range(TH)}
        together, others = divmod(p.oh, R)
        return together * (len(rows) * TW + R * OCB) + others * (TH * TW + OCB)

    return _Tile(OCB, TH, TW, min(lines, key=lambda R: (loads(R), R)))


def _tiles(p: Conv2dProblem, t: _Tile) -> int:
    """Tiles that cover all output channels of a group and all taps."""
    return -(-(p.oc // p.g) // t.OCB) * -(-p.kh // t.TH) * -(-p.kw // t.TW)


def _size(t: _Tile) -> int:
    """Vectors of a tile."""
    return t.OCB * t.TH * t.TW


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, threads: int) -> _Sizes:
    lanes, t = _lanes(p), _tile(p)
    # The last vector of pixels, and that for the last tap.
    WS = (-(-p.ow // lanes) + -(-((p.kw - 1) * p.dw // p.sw) // lanes)) * lanes
    HALO = (p.kh - 1) * p.dh + 1
    COPIED = p.padded_shape != (p.ih, p.iw) or p.sw > 1

    def lines(budget: int) -> int:
        """Output lines whose copy takes so many bytes."""
        return max(1, (budget // (p.sw * WS * p.itemsize) - HALO) // p.sh + 1)

    near = cache_bytes(1) // 2
    ICG, OCG, plane = p.ic // p.g, p.oc // p.g, p.ih * p.iw * p.itemsize
    if COPIED:
        # Lines that blocks have in common are copied twice.
        LINES = _even(p.oh, lines(near) if lines(near) * p.sh >= 2 * HALO else lines(cache_bytes(2) // 4))
    else:
        # Channels of a group pass over the same gradients.
        WS, LINES = p.iw, _even(p.oh, max(1, cache_bytes(2) // 2 // (OCG * p.ow * p.itemsize)))
    if p.oh > LINES:
        LINES = max(1, LINES // t.R) * t.R
    PLANE, most = p.ih * p.iw, p.ic
    if COPIED:
        PLANE = ((LINES - 1) * p.sh + HALO) * p.sw * WS
        most = near // (PLANE * p.itemsize) if p.oh == LINES else 1
    most = min(most, near // (_tiles(p, t) * _size(t) * lanes * p.itemsize))
    # Threads have some blocks each.
    channels = p.ic if ICG == 1 else ICG
    items = 4 * threads if COPIED or threads > 1 else 1
    CHANNELS = _even(channels, max(1, min(most, channels * (1 if ICG == 1 else p.g) // items)))
    IN_GROUP = -(-channels // CHANNELS)
    return _Sizes(
        MB=p.mb, IC=p.ic, OC=p.oc, ICG=ICG, OCG=OCG, TAPS=p.kh * p.kw, IH=p.ih, IW=p.iw, OH=p.oh,
        OW=p.ow, SH=p.sh, SW=p.sw, PH=p.ph, PW=p.pw, COPIED=int(COPIED), CHANNELS=CHANNELS, LINES=LINES, WS=WS,
        SRC_LINE=p.sh * p.sw * WS, TAP_LINE=p.dh * p.sw * WS, HALO=HALO, PHASE=WS, PLANE=PLANE,
        GRAD=OCG * p.oh * p.ow if ICG == 1 else 0, RESULT=OCG * p.kh * p.kw if ICG == 1 else p.kh * p.kw,
        LATER=p.sh * p.iw * (ICG == OCG == 1 and p.oh == LINES and plane >= _ASKED_BYTES), HAS_BIAS=int(p.bias),
        LANES=lanes, CALLS=_tiles(p, t), BLOCKS=IN_GROUP if ICG == 1 else IN_GROUP * p.g, IN_GROUP=IN_GROUP,
    )  # fmt: skip


def _first(extent: int, part: int) -> list[int]:
    """Where parts of ``extent`` begin; the last reaches back."""
    return [min(at, extent - part) for at in range(0, extent, part)]


def _plan(p: Conv2dProblem, z: _Sizes) -> tuple[np.ndarray, np.ndarray, int]:
    """Calls of a block (address, and where source, gradients and sums begin, in bytes), places of sums, their size."""
    t, lanes = _tile(p), _lanes(p)
    calls = []
    places = np.zeros((z.OCG, p.kh, p.kw), np.intp)
    size = 0
    for oc in _first(z.OCG, t.OCB):
        for kh in _first(p.kh, t.TH):
            for kw in _first(p.kw, t.TW):
                steps, first = divmod(kw * p.dw, p.sw)
                spec = TapsSpec(p.dtype, lanes, t.OCB, t.TH, t.TW, p.sw, p.dw, first, 1, 0, 0)
                if t.R > 1:
                    spec = spec._replace(R=t.R, SH=p.sh, DH=p.dh)
                at = (kh * z.TAP_LINE + steps, oc * z.OH * z.OW, size * lanes)
                calls.append((sum_taps.address(spec), *(each * p.itemsize for each in at)))
                slots = np.arange(spec.tile.MR).reshape(t.OCB, t.TH, t.TW) + size
                places[oc : oc + t.OCB, kh : kh + t.TH, kw : kw + t.TW] = slots
                size += spec.tile.MR
    return np.array(calls, np.intp), places, size


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    z, t, lanes = _sizes(p, threads), _tile(p), _lanes(p)
    return {
        "source": (threads, (z.CHANNELS * z.PLANE + lanes) * z.COPIED),
        "sums": (threads, (z.CHANNELS * _tiles(p, t) * _size(t) + lanes) * lanes),
    }  # fmt: skip


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    z = _sizes(p, threads)
    return planes_amounts(p, z, z.CALLS * _size(_tile(p)), z.BLOCKS, threads)


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.sw > _MOST_STRIDE:
        return f"the stride between columns is {p.sw}, expected at most {_MOST_STRIDE}"
    if p.dw > _MOST_DILATION:
        return f"the dilation between columns is {p.dw}, expected at most {_MOST_DILATION}"
    return None


@algorithm(
    "bwd_w_planes",
    family="backward_weights",
    directions=("bwd_w",),
    error_factor=8.0,
    exact_on_integers=True,
    unsupported=_unsupported,
    scratch=_scratch,
    amounts=_amounts,
)
def bwd_w_planes(setup: Setup) -> Run:
    """Plane by plane, pixels in vectors and a sum per tap: for depthwise and few channels a group."""
    p, threads = setup.problem, setup.threads
    z, lanes = _sizes(p, threads), _lanes(p)
    calls, places, size = _plan(p, z)
    vector = TileShape(1, 1, lanes)
    vectors = VectorSpec(p.dtype, vector, TileShape(lanes, 1, lanes))
    copy = Copy(p.dtype, lanes, p.sw)
    values = {
        "IH": z.IH, "IW": z.IW, "PW": z.PW, "WS": z.WS, "LINES": z.PLANE // (z.SW * z.WS), "LINE_STEP": 1,
    }  # fmt: skip
    extents = np.array([values.get(name, 0) for name in EXTENTS], np.intp)
    arrays = {"extents": extents, "calls": calls, "places": places, **setup.scratch}
    record = _channels.record(
        **z._asdict(), ITEM=p.itemsize,
        clear=clear_rows.address(copy) if z.COPIED else 0, copy=copy_rows.address(copy) if z.COPIED else 0,
        SOURCE=arrays["source"].shape[1], SIZE=size, SUMS=arrays["sums"].shape[1],
        store=store_taps.address(vectors),
        sum_plane=sum_plane.address(vectors) if p.bias else 0,
        **{name: address_of(array) for name, array in arrays.items()},
    )  # fmt: skip
    return Launch(_channels, record, threads, keep=tuple(arrays.values()))
