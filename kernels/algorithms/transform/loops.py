"""Convolution by transform, elementwise products summed over channels, inverse transform: the macrokernel.

One loop nest for Winograd and for FFT: they differ in their one-dimensional codelets, which are microkernels, and in
the calls that transform a row of tiles. Those are a *program*, a table of calls that `kernels.algorithms.transform.program`
writes when a convolution is bound: a dozen at most for Winograd, two a tile for an FFT.

Layout (vectors run over channels, f numbers the points of the transform, row by row)
    pixels  [row][column][lanes]: the rows under a block of tiles, one vector of channels, padded
    middle  between the sides of a transform: of a row of tiles, or of one tile of an FFT
    V       [f][tile / MR][piece, ic / lanes][part][MR][lanes]
    U       [g][oc block][f of a sum after those of another][piece, ic][NR], read from first to last
    M       [sum][tile][NR]
    rows    [row][column][lanes]: output rows of one row of tiles, before they become NCHW
A *part* is real or imaginary (one part where numbers are real); a *piece* is a part of a
kernel that is larger than a tile takes: its source tile is the same one, shifted. Sums (as many
as points, but for stride 2), sub-grids (of dilated kernels), which tiles have which points, and
their order are in `kernels.algorithms.transform.geometry`. Sub-grids interleave in ``pixels`` and
``rows`` as in the source and in the result: to transforms they are a distance from vector to vector.

Loops, outside in: images, group, block of tile rows; input transform; block of output
channels: products of every f, output transform. V and M of a block are sized for L2, a vector of pixels, the
scratch in the middle and the rows for L1. Threads
share blocks; where those are too few, first a block's input channels and then its blocks of
output channels; and where those are, every phase. Either way each number is computed by the
same steps, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from kernels.algorithms.transform.geometry import Sizes
from kernels.machine.compile import inner
from kernels.machine.microkernel import call, macrokernel, word
from kernels.machine.parallel import share_of

__all__ = ["CALL_FIELDS", "FIELDS", "SUM_FIELDS", "loops"]

#: Fields of the record beside the extents: addresses of microkernels, of arrays and of tables.
FIELDS = (
    "ITEM",  # bytes of an element
    "CALLED",  # the phases that are done, a bit each: all but in a profile
    "LOCAL",  # bytes of a thread's scratch, of V and of M
    "V_BYTES",
    "M_BYTES",
    "ROWS_AT",  # byte of a thread's scratch where its rows begin
    "CALLS_IN",  # calls for a row of tiles
    "SHORT_CALLS_IN",  # the same where tiles are short down
    "CALLS_OUT",
    "SHORT_CALLS_OUT",
    "gather", "products", "scatter",
    "U", "bias", "slope", "local", "V", "M",
    "program_in", "short_program_in", "program_out", "short_program_out",
    "sums",  # what of V, U and M belongs to a sum
)  # fmt: skip

#: What a call of a program is: what it reads from is the byte ``a`` + ``a_local`` times the address of a thread's scratch
#: + ``a_far`` times that of V or M + ``a_row`` times the bytes to a row of tiles, and what it writes to likewise; tables
#: of distances are counted on by ``.._whole``, ``.._short`` and ``.._across`` times the number of the first whole
#: and the first short tile of the row, and that of the tiles that are short across only.
CALL_FIELDS = (
    "kernel", "a", "a_local", "a_far", "a_row", "corners", "a_whole", "a_short", "a_across", "a_next", "a_step", "a_part",
    "c", "c_local", "c_far", "places", "c_whole", "c_short", "c_across", "c_next", "c_step", "c_part", "tiles", "count",
)  # fmt: skip
_CALL_WORDS = len(CALL_FIELDS)

#: What is known of a sum: bytes to its points in V, its weights in a block of U, and in M, how many points down and across,
#: and whether tiles that are short across, and down, have it.
SUM_FIELDS = ("V", "U", "M", "ROWS", "COLUMNS", "short_across", "short_down")
_SUM_WORDS = len(SUM_FIELDS)

_INPUT, _PRODUCTS, _OUTPUT = 0, 1, 2


@inner
def _perform(program, calls, local, far, row, whole, short, across):
    """The calls of a program for one row of tiles."""
    for number in range(calls):
        e = program + 8 * _CALL_WORDS * number
        call(word(e, 0), (
            word(e, 1) + word(e, 2) * local + word(e, 3) * far + word(e, 4) * row,
            word(e, 5) + word(e, 6) * whole + word(e, 7) * short + word(e, 8) * across,
            word(e, 9), word(e, 10), word(e, 11),
            word(e, 12) + word(e, 13) * local + word(e, 14) * far,
            word(e, 15) + word(e, 16) * whole + word(e, 17) * short + word(e, 18) * across,
            word(e, 19), word(e, 20), word(e, 21), word(e, 22), word(e, 23),
        ))  # fmt: skip


@macrokernel((*Sizes._fields, *FIELDS))
def loops(z, step, part, parts):
    """What one of ``parts`` threads does in one step.

    A step is everything, for blocks of its own, where there are blocks enough. Else it is one
    phase of one block: its share of the input, then for channel blocks of its own products
    and outputs, one block of channels after another in an M of its own; or, where there are
    too few of those too, its share of the products, then of the outputs, and M holds all of
    them. Each phase stands here once for all ways.
    """
    LANES, ITEM = z.LANES, z.ITEM
    VECTOR = LANES * ITEM
    begin, end = share_of(z.ITEMS, part, parts)
    first, last = share_of(z.OCB, part, parts)
    if z.PHASES == 1:
        first, last = 0, z.OCB
    lead, stages = 1, 1 + 2 * (last - first)
    if z.PHASES > 1:
        begin, end = step // z.PHASES, step // z.PHASES + 1
        lead, stages = 0, 2 * (last - first) if z.PHASES == 2 and step % 2 == 1 else 1
    own_M, slot = z.PHASES < 3, part if z.PHASES == 1 else 0
    local, V = z.local + part * z.LOCAL, z.V + slot * z.V_BYTES
    for item in range(begin, end):
        # The block, see `geometry.block_of`.
        image, group, number = item // (z.BLOCKS * z.G) * z.IMAGES, item // z.BLOCKS % z.G, item % z.BLOCKS
        top = number * z.TH // z.BLOCKS
        images, rows = min(z.IMAGES, z.MB - image), (number + 1) * z.TH // z.BLOCKS - top
        full_rows = max(0, min(z.FULL_TH - top, rows))
        short_rows, SHORT_TW = rows - full_rows, z.TW - z.FULL_TW
        whole, across, down = images * full_rows * z.FULL_TW, images * full_rows * SHORT_TW, images * short_rows * z.FULL_TW
        both = images * short_rows * SHORT_TW
        for stage in range(stages):
            phase, own = step % z.PHASES, first + (stage - lead) // 2
            if z.PHASES == 1 and stage > 0:
                phase = _PRODUCTS + (stage - 1) % 2
            elif z.PHASES == 2 and phase > 0:
                phase = _PRODUCTS + stage % 2
            if z.CALLED >> phase & 1 == 0:
                continue
            if phase == _PRODUCTS:
                # Whole panels: what fills the last one is multiplied and not read.
                K = z.PIECES_H * z.PIECES_W * z.ICP
                low, high = share_of(z.OCB * z.SUMS, part, parts)
                if own_M:
                    low, high = own * z.SUMS, (own + 1) * z.SUMS
                for q in range(low, high):
                    oc, e = q // z.SUMS, z.sums + 8 * _SUM_WORDS * (q % z.SUMS)
                    is_across, is_down = word(e, 5), word(e, 6)
                    tiles = whole + is_across * across + is_down * down + is_across * is_down * both
                    weights = z.U + (group * z.OCB + oc) * z.F * K * z.NR * ITEM + word(e, 1)
                    M = z.M + (part if own_M else oc) * z.M_BYTES + word(e, 2)
                    call(
                        z.products,
                        (V + word(e, 0), weights, M, (tiles + z.MR - 1) // z.MR, K, word(e, 3), word(e, 4),
                         z.C * z.VSTEP, z.VSTEP),
                    )  # fmt: skip
                continue
            # Vectors of input channels, or of output channels of some blocks, of every image.
            CHANNELS, vectors = z.ICG, z.ICP // LANES
            low, high = share_of(vectors, part, parts)
            if z.PHASES == 1:
                low, high = 0, vectors
            if phase == _OUTPUT:
                CHANNELS, vectors = z.OCG, z.CHANNELS // LANES
                low, high = first * vectors, last * vectors
                if own_M:
                    low, high = own * vectors, (own + 1) * vectors
                high = min(high, (z.OCG + LANES - 1) // LANES)
            for vector in range(low * images, high * images):
                channel, i = vector // images * LANES, vector % images
                live = min(LANES, CHANNELS - channel)
                plane = ((image + i) * z.G + group) * CHANNELS + channel
                if phase == _INPUT:
                    # Rows under the block; where it has some of the sub-grids only, one at a time.
                    set_ = top // z.GRIDS_H
                    source_rows = (
                        ((top + rows - 1) // z.GRIDS_H - set_) * z.STEP_H + (z.NH - 1) * z.DH + z.GRIDS_H
                        + (z.PIECES_H - 1) * z.TAP_H
                    )  # fmt: skip
                    together = source_rows if rows >= z.GRIDS_H else 1
                    source = z.src + plane * z.IH * z.IW * ITEM
                    for row in range(0, source_rows, together):
                        if together > 1 or (row % z.DH - top) % z.GRIDS_H < rows:
                            begin_row, pixels = set_ * z.STEP_H + row - z.PH, local + row * z.WP * VECTOR
                            call(z.gather, (source, z.IH, z.IW, begin_row, together, z.PW, live, pixels, z.WP))
                    for piece in range(z.PIECES_H * z.PIECES_W):
                        shift = piece // z.PIECES_W * z.TAP_H * z.WP + piece % z.PIECES_W * z.TAP_W
                        to = V + (piece * z.ICP + channel) * z.MR * z.W * ITEM
                        for row in range(rows):
                            grid = top + row
                            pixel_row = (grid // z.GRIDS_H - set_) * z.STEP_H + grid % z.GRIDS_H
                            at = (pixel_row * z.WP + shift) * VECTOR
                            if row < full_rows:
                                r = i * full_rows + row
                                _perform(z.program_in, z.CALLS_IN, local, to, at,
                                         r * z.FULL_TW, whole + r * SHORT_TW, across)  # fmt: skip
                            else:
                                r = i * short_rows + row - full_rows
                                _perform(z.short_program_in, z.SHORT_CALLS_IN, local, to, at, whole + across + r * z.FULL_TW,
                                         whole + across + down + r * SHORT_TW, across)  # fmt: skip
                    continue
                oc, lane = channel // z.CHANNELS, channel % z.CHANNELS
                sums = z.M + (part if own_M else oc) * z.M_BYTES + lane * ITEM
                bias = z.bias + (group * z.OCB * z.CHANNELS + channel) * ITEM
                for row in range(rows):
                    if row < full_rows:
                        r, lines = i * full_rows + row, z.MH
                        _perform(z.program_out, z.CALLS_OUT, local, sums, 0, r * z.FULL_TW, whole + r * SHORT_TW, across)
                    else:
                        r, lines = i * short_rows + row - full_rows, z.SHORT_MH
                        _perform(z.short_program_out, z.SHORT_CALLS_OUT, local, sums, 0, whole + across + r * z.FULL_TW,
                                 whole + across + down + r * SHORT_TW, across)  # fmt: skip
                    grid = top + row
                    start = grid // z.GRIDS_H * z.MH * z.DH + grid % z.GRIDS_H
                    # Outputs that a stride leaves out lie between the lines that are stored: one at a time.
                    together = 1
                    if z.SH == 1:
                        lines = together = min(lines, (z.OH - start + z.DH - 1) // z.DH)
                    for line in range(0, lines, max(1, together)):
                        oh = (start + line * z.DH) // z.SH
                        if (start + line * z.DH) % z.SH == 0 and oh < z.OH:
                            to = (plane * z.OH + oh) * z.OW * ITEM
                            at = local + z.ROWS_AT + line * z.WR * VECTOR
                            call(
                                z.scatter,
                                (at, z.WR * LANES, z.SW, together, bias, z.dst + to, z.residual + to, z.DH * z.OW, z.OW,
                                 z.OH * z.OW, live, z.slope),
                            )  # fmt: skip
