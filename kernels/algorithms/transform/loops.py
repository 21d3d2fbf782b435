"""Convolution by transform, elementwise products summed over channels, inverse transform: the macrokernel.

One loop nest for Winograd and for FFT: they differ in their one-dimensional codelets only, which are microkernels.

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

A row of tiles is transformed a side at a time. Into points, columns come first: those that neighbouring tiles share
are transformed once. In a row of short tiles rows come first, where tiles are short across as well: points of one
column then go to places of their own. Out of points, columns come first.
"""

from __future__ import annotations

from kernels.algorithms.transform.geometry import Sizes, block_of, points_of, tile_start, tiles_at
from kernels.machine.compile import inner
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import share_of

__all__ = ["FIELDS", "loops"]

#: Fields of the record beside the extents: addresses of microkernels, of arrays, and of tables of distances.
FIELDS = (
    "ITEM",  # bytes of an element
    "CALLED",  # the phases that are done, a bit each: all but in a profile
    "gather", "products", "scatter",
    "down_in", "across_in", "down_out", "across_out",
    "short_down_in", "short_across_in", "short_down_out", "short_across_out",
    "U", "bias", "slope", "local", "V", "M",
    "zero",  # a table of one distance, which is none
    "corners",  # of tile columns in ``pixels``
    "edges",  # of tile columns in ``rows``
    "points",  # of tile columns in the scratch, a point along a row after another
    "sums",  # the same of sums
    "places",  # of tiles in V
    "places_out",  # of tiles in M
)  # fmt: skip

_INPUT, _PRODUCTS, _OUTPUT = 0, 1, 2


@inner
def _of_tiles(z, whole, short, a, corners, short_corners, a_next, a_step, c, places, short_places, c_next, c_step,
              begin, end, count):  # fmt: skip
    """Lines of tile columns ``begin`` to ``end``; the first short ones' distances are at ``short_...``."""
    last = min(end, z.FULL_TW)
    if begin < last:
        here = 8 * begin
        call(whole, (a, corners + here, a_next, a_step, 0, c, places + here, c_next, c_step, 0, last - begin, count))
    first = max(begin, z.FULL_TW)
    if first < end:
        here = 8 * (first - z.FULL_TW)
        call(
            short,
            (a, short_corners + here, a_next, a_step, 0, c, short_places + here, c_next, c_step, 0, end - first, count),
        )


@inner
def _numbers(z, block, image, row):
    """Among the tiles of a block, the first whole and the first short one of a row."""
    if row < block.full_rows:
        row += image * block.full_rows
        return row * z.FULL_TW, block.whole + row * (z.TW - z.FULL_TW)
    row += image * (block.rows - block.full_rows) - block.full_rows
    first = block.whole + block.across
    return first + row * z.FULL_TW, first + block.down + row * (z.TW - z.FULL_TW)


@inner
def _steps_in(z, pixels, middle, V, number):
    """V of a row of tiles, a tile at a time, rows first."""
    VECTOR, W = z.LANES, z.W * z.LANES
    for column in range(z.TW):
        corner, place = z.corners + 8 * column, z.places + 8 * (number + column)
        call(
            z.across_in,
            (pixels, corner, z.WP * VECTOR, VECTOR, 0, middle, z.zero, z.C * W, W, VECTOR, 1, z.NH),
        )
        call(
            z.down_in,
            (middle, z.zero, W, z.C * W, VECTOR, V, place, z.VSTEP, z.C * z.VSTEP, z.MR * VECTOR, 1, z.C),
        )


@inner
def _row_in(z, pixels, middle, V, number, short_number, is_short, across):
    """V of a row of tiles; ``across``: tiles of the block that are short across only."""
    VECTOR, BYTES = z.LANES, z.LANES * z.ITEM
    places, short_places, short_corners = z.places + 8 * number, z.places + 8 * short_number, z.corners + 8 * z.FULL_TW
    next_row, next_column, V_row = z.DH * z.WP * VECTOR, z.DW * VECTOR, z.C * z.VSTEP
    down, rows = (z.short_down_in, z.SHORT_R) if is_short else (z.down_in, z.F // z.C)
    if z.NH == 1:
        _of_tiles(z, z.across_in, z.short_across_in, pixels, z.corners, short_corners, 0, next_column,
                  V, places, short_places, 0, z.VSTEP, 0, z.TW, 1)  # fmt: skip
        return
    if z.NW == 1:
        _of_tiles(z, down, down, pixels, z.corners, short_corners, 0, next_row,
                  V, places, short_places, 0, V_row, 0, z.TW, 1)  # fmt: skip
        return
    for begin in range(0, z.TW, z.CHUNK):
        end = min(z.TW, begin + z.CHUNK)
        if not (is_short and z.FULL_TW < z.TW):
            corner = begin // z.GRIDS_W * z.STEP_W
            columns = tile_start(end - 1, z.GRIDS_W, z.STEP_W) + (z.NW - 1) * z.DW + 1 - corner
            pitch = z.MID_W * VECTOR
            call(
                down,
                (pixels + corner * BYTES, z.zero, VECTOR, next_row, 0, middle, z.zero, VECTOR, pitch, 0, 1, columns),
            )
            _of_tiles(z, z.across_in, z.short_across_in, middle - corner * BYTES, z.corners, short_corners, pitch,
                      next_column, V, places, short_places, V_row, z.VSTEP, begin, end, rows)  # fmt: skip
            continue
        pitch, points = z.CHUNK * z.C * VECTOR, z.points - 8 * begin
        short_points = points + 8 * z.FULL_TW
        _of_tiles(z, z.across_in, z.short_across_in, pixels, z.corners, short_corners, next_row, next_column,
                  middle, points, short_points, pitch, VECTOR, begin, end, z.SHORT_NH)  # fmt: skip
        _of_tiles(z, down, down, middle, points, short_points, VECTOR, pitch,
                  V, places, short_places, z.VSTEP, V_row, begin, end, z.SHORT_C)  # fmt: skip
        # The points that short tiles lack: here only tiles that have them.
        _of_tiles(z, down, down, middle + z.SHORT_C * BYTES, points, short_points, VECTOR, pitch,
                  V + z.SHORT_C * z.VSTEP * z.ITEM, places - 8 * across, short_places, z.VSTEP, V_row,
                  begin, min(end, z.FULL_TW), z.C - z.SHORT_C)  # fmt: skip


@inner
def _input_transform(z, block, begin, end, local, V):
    """V of a block, for vectors ``begin`` to ``end`` of input channels."""
    LANES, BYTES = z.LANES, z.LANES * z.ITEM
    middle = local + z.PIXELS * z.ITEM
    top = block.first // z.GRIDS_H
    sets = (block.first + block.rows - 1) // z.GRIDS_H - top
    source_rows = sets * z.STEP_H + (z.NH - 1) * z.DH + z.GRIDS_H + (z.PIECES_H - 1) * z.TAP_H
    # A block of few tile rows has some of the sub-grids only.
    some = block.rows < z.GRIDS_H
    for vector in range(begin * block.images, end * block.images):
        ic, image = vector // block.images * LANES, vector % block.images
        plane = ((block.image + image) * z.G + block.group) * z.ICG + ic
        source, channels = z.src + plane * z.IH * z.IW * z.ITEM, min(LANES, z.ICG - ic)
        for row in range(0, source_rows, 1 if some else source_rows):
            if not some or (row % z.DH - block.first) % z.GRIDS_H < block.rows:
                first, count, pixels = top * z.STEP_H + row - z.PH, 1 if some else source_rows, row * z.WP * BYTES
                call(z.gather, (source, z.IH, z.IW, first, count, z.PW, channels, local + pixels, z.WP))
        for piece in range(z.PIECES_H * z.PIECES_W):
            shift = piece // z.PIECES_W * z.TAP_H * z.WP + piece % z.PIECES_W * z.TAP_W
            to = V + (piece * z.ICP + ic) * z.MR * z.W * z.ITEM
            for row in range(block.rows):
                pixel_row = tile_start(block.first + row, z.GRIDS_H, z.STEP_H) - top * z.STEP_H
                pixels = local + (pixel_row * z.WP + shift) * BYTES
                number, short_number = _numbers(z, block, image, row)
                if z.STEPS:
                    _steps_in(z, pixels, middle, to, number)
                else:
                    _row_in(z, pixels, middle, to, number, short_number, row >= block.full_rows, block.across)


@inner
def _products(z, block, oc, f, V, M):
    """M of block ``oc`` of output channels at sum ``f``: a matrix product over input channels.

    Whole panels: what fills the last one is multiplied and not read.
    """
    K = z.PIECES_H * z.PIECES_W * z.ICP
    row, ROWS, column, COLUMNS = points_of(z, f)
    panels = (tiles_at(z, block, f) + z.MR - 1) // z.MR
    at, to = (row * z.C + column) * z.VSTEP, f * z.MSTEP
    weights = ((block.group * z.OCB + oc) * z.F + row * z.C + ROWS * column) * K * z.NR
    call(
        z.products,
        (V + at * z.ITEM, z.U + weights * z.ITEM, M + to * z.ITEM, panels, K, ROWS, COLUMNS, z.C * z.VSTEP, z.VSTEP),
    )


@inner
def _steps_out(z, M, middle, rows, number):
    """Outputs of a row of tiles, a tile at a time."""
    VECTOR, W = z.LANES, z.W * z.LANES
    for column in range(z.TW):
        place, edge = z.places_out + 8 * (number + column), z.edges + 8 * column
        call(z.down_out, (M, place, z.MSTEP, z.C * z.MSTEP, z.CHANNELS, middle, z.zero, W, z.C * W, VECTOR, 1, z.C))
        call(
            z.across_out,
            (middle, z.zero, z.C * W, W, VECTOR, rows, edge, z.WR * VECTOR, VECTOR, 0, 1, z.MH),
        )


@inner
def _row_out(z, M, middle, rows, number, short_number, is_short, across):
    """Outputs of a row of tiles; ``across``: tiles of the block that are short across only."""
    VECTOR = z.LANES
    places, short_places, short_edges = (
        z.places_out + 8 * number,
        z.places_out + 8 * short_number,
        z.edges + 8 * z.FULL_TW,
    )
    next_row, next_column, M_row = z.WR * VECTOR, z.DW * VECTOR, z.SUMS_C * z.MSTEP
    down, lines = (z.short_down_out, z.SHORT_MH) if is_short else (z.down_out, z.MH)
    if z.NH == 1:
        _of_tiles(z, z.across_out, z.short_across_out, M, places, short_places, 0, z.MSTEP,
                  rows, z.edges, short_edges, 0, next_column, 0, z.TW, 1)  # fmt: skip
        return
    if z.NW == 1:
        _of_tiles(z, down, down, M, places, short_places, 0, M_row, rows, z.edges, short_edges, 0, next_row, 0, z.TW, 1)
        return
    moved = across if is_short else 0
    for begin in range(0, z.TW, z.CHUNK):
        end = min(z.TW, begin + z.CHUNK)
        pitch, sums = z.CHUNK * z.SUMS_C * VECTOR, z.sums - 8 * begin
        short_sums = sums + 8 * z.FULL_TW
        _of_tiles(z, down, down, M, places, short_places, z.MSTEP, M_row,
                  middle, sums, short_sums, VECTOR, pitch, begin, end, z.SHORT_SUMS_W)  # fmt: skip
        # The sums that short tiles lack: there only tiles that have them.
        if z.SHORT_SUMS_W < z.SUMS_C:
            _of_tiles(z, down, down, M + z.SHORT_SUMS_W * z.MSTEP * z.ITEM, places - 8 * moved, short_places, z.MSTEP,
                      M_row, middle + z.SHORT_SUMS_W * VECTOR * z.ITEM, sums, short_sums, VECTOR, pitch,
                      begin, min(end, z.FULL_TW), z.SUMS_C - z.SHORT_SUMS_W)  # fmt: skip
        _of_tiles(z, z.across_out, z.short_across_out, middle, sums, short_sums, pitch, VECTOR,
                  rows, z.edges, short_edges, next_row, next_column, begin, end, lines)  # fmt: skip


@inner
def _output_transform(z, M, block, oc, local):
    """The rows of dst under a block of tiles, for block ``oc`` of output channels."""
    LANES, OHW = z.LANES, z.OH * z.OW
    middle, rows = local + z.PIXELS * z.ITEM, local + (z.PIXELS + z.MID) * z.ITEM
    live = min(z.CHANNELS, z.OCG - oc * z.CHANNELS)
    for item in range((live + LANES - 1) // LANES * block.images):
        vector, image = item // block.images * LANES, item % block.images
        plane = ((block.image + image) * z.G + block.group) * z.OCG + oc * z.CHANNELS + vector
        bias, channels = z.bias + ((block.group * z.OCB + oc) * z.CHANNELS + vector) * z.ITEM, min(LANES, live - vector)
        for row in range(block.rows):
            number, short_number = _numbers(z, block, image, row)
            sums = M + vector * z.ITEM
            if z.STEPS:
                _steps_out(z, sums, middle, rows, number)
            else:
                _row_out(z, sums, middle, rows, number, short_number, row >= block.full_rows, block.across)
            count = z.MH if row < block.full_rows else z.SHORT_MH
            start = tile_start(block.first + row, z.GRIDS_H, z.MH * z.DH)
            # Outputs that a stride leaves out lie between the lines that are stored: one at a time.
            together = 1
            if z.SH == 1:
                count = together = min(count, (z.OH - start + z.DH - 1) // z.DH)
            for line in range(0, count, max(1, together)):
                oh = (start + line * z.DH) // z.SH
                if (start + line * z.DH) % z.SH == 0 and oh < z.OH:
                    to, at = (plane * OHW + oh * z.OW) * z.ITEM, rows + line * z.WR * LANES * z.ITEM
                    call(
                        z.scatter,
                        (at, z.WR * LANES, z.SW, together, bias, z.dst + to, z.residual + to, z.DH * z.OW, z.OW, OHW,
                         channels, z.slope),
                    )  # fmt: skip


@macrokernel((*Sizes._fields, *FIELDS))
def loops(z, step, part, parts):
    """What one of ``parts`` threads does in one step.

    A step is everything, for blocks of its own, where there are blocks enough. Else it is one
    phase of one block: its share of the input, then for channel blocks of its own products
    and outputs, one block of channels after another in an M of its own; or, where there are
    too few of those too, its share of the products, then of the outputs, and M holds all of
    them. Each phase has one call in here for all ways, because each is long and compiled once a call.
    """
    begin, end = share_of(z.ITEMS, part, parts)
    first, last = share_of(z.OCB, part, parts)
    if z.PHASES == 1:
        first, last = 0, z.OCB
    lead, stages = 1, 1 + 2 * (last - first)
    if z.PHASES > 1:
        begin, end = step // z.PHASES, step // z.PHASES + 1
        lead, stages = 0, 2 * (last - first) if z.PHASES == 2 and step % 2 == 1 else 1
    whole, slot = z.PHASES < 3, part if z.PHASES == 1 else 0
    local = z.local + part * (z.PIXELS + z.MID + z.MH * z.WR * z.LANES) * z.ITEM
    V, M_BYTES = z.V + slot * z.F * z.VSTEP * z.ITEM, z.SUMS * z.MSTEP * z.ITEM
    for item in range(begin, end):
        block = block_of(z, item)
        for stage in range(stages):
            phase, own = step % z.PHASES, first + (stage - lead) // 2
            if z.PHASES == 1 and stage > 0:
                phase = _PRODUCTS + (stage - 1) % 2
            elif z.PHASES == 2 and phase > 0:
                phase = _PRODUCTS + stage % 2
            if z.CALLED >> phase & 1 == 0:
                continue
            if phase == _INPUT:
                low, high = share_of(z.ICP // z.LANES, part, parts)
                if z.PHASES == 1:
                    low, high = 0, z.ICP // z.LANES
                _input_transform(z, block, low, high, local, V)
            elif phase == _PRODUCTS:
                low, high = share_of(z.OCB * z.SUMS, part, parts)
                if whole:
                    low, high = own * z.SUMS, (own + 1) * z.SUMS
                for q in range(low, high):
                    oc = q // z.SUMS
                    _products(z, block, oc, q % z.SUMS, V, z.M + (part if whole else oc) * M_BYTES)
            else:
                low, high = first, last
                if whole:
                    low, high = own, own + 1
                for oc in range(low, high):
                    _output_transform(z, z.M + (part if whole else oc) * M_BYTES, block, oc, local)
