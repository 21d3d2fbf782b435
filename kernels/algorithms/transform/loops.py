"""Convolution by transform, elementwise products summed over channels, inverse transform: the macrokernel.

One loop nest for Winograd and for FFT: they differ in their one-dimensional codelets, which are microkernels, and in
the calls that transform a row of tiles. Those are a *program*, a table that `kernels.algorithms.transform.program`
writes when a convolution is bound: a dozen calls at most for Winograd, two a tile for an FFT. What else follows from a
problem's sizes, of blocks, rows of tiles, pieces and sums, are tables too: so the loops are short, and soon compiled.

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

from typing import Any

from llvmlite import ir
from numba import types

from kernels.machine.microkernel import call, macrokernel, word
from kernels.machine.parallel import share_of
from kernels.machine.static import intrinsic

__all__ = [
    "BLOCK_FIELDS",
    "CALL_FIELDS",
    "FIELDS",
    "INPUT",
    "OUTPUT",
    "PIECE_FIELDS",
    "PRODUCTS",
    "ROW_FIELDS",
    "SUM_FIELDS",
    "loops",
    "perform",
]

#: Phases, a bit each.
INPUT, PRODUCTS, OUTPUT = 1, 2, 4

#: Fields of the record; distances are in bytes where no other unit is said.
FIELDS = (
    "PHASES",  # steps a block, see `geometry.Sizes`
    "ITEMS",  # blocks of all images and groups
    "CALLED",  # the phases that are done: all but in a profile
    "LANES", "ICG", "OCG", "IH", "IW", "PW", "WP", "OW", "OHW", "SW", "MR", "SUMS", "OCB",
    "FULL_TW",  # tiles of a row that are not short
    "SHORT_TW",  # those that are
    "GRIDS_H", "DH",  # as in `geometry.Sizes`
    "K",  # input channels, of all pieces
    "PIECES",
    "IN_VECTORS",  # vectors of input channels
    "OUT_VECTORS",  # of output channels a block of them
    "ROW_STEP",  # elements from a stored row to the next, in ``rows`` and in dst
    "DST_STEP",
    "POINT_DOWN",  # elements from a point to the next in V
    "POINT_ACROSS",
    "LOCAL", "V_BYTES", "M_BYTES", "U_BYTES",  # of a thread, and of weights of a block of output channels
    "SRC_VECTOR", "SRC_IMAGE", "DST_VECTOR", "DST_IMAGE",  # from a vector of channels, or an image, to the next
    "V_VECTOR",
    "M_VECTOR",
    "BIAS_VECTOR",
    "gather", "products", "scatter",  # addresses of microkernels
    "U", "scale", "bias", "slope", "local", "V", "M",  # of arrays
    "masks",  # of tables: the phases of a step
    "blocks", "rows", "pieces", "sums",
    "programs",  # address of a program and calls in it: for input, for short rows of it, and the same for output
)  # fmt: skip

#: What is known of a block: see `geometry.Block`; where its arrays begin, and which rows of the source are under it.
BLOCK_FIELDS = (
    "src", "dst", "bias", "U", "images", "first", "rows", "full_rows", "whole", "across", "down", "both",
    "source_row", "source_rows", "pixels",
)  # fmt: skip
_BLOCK_BYTES = 8 * len(BLOCK_FIELDS)

#: What is known of a row of tiles: where it begins in ``pixels`` of a block at the top, and of what is stored of it the
#: first line in a thread's scratch, the place in a plane of dst, and how many lines.
ROW_FIELDS = ("pixels", "line", "dst", "count")
_ROW_BYTES = 8 * len(ROW_FIELDS)

#: Where a piece begins in ``pixels``, and in V.
PIECE_FIELDS = ("pixels", "V")

#: What a call of a program is: what it reads from is the byte ``a`` + ``a_local`` times the address of a thread's
#: scratch + ``a_far`` times that of V or M + ``a_row`` times the bytes to a row of tiles, and what it writes to
#: likewise; tables of distances are counted on by ``.._whole``, ``.._short`` and ``.._across`` times the number of the
#: first whole and the first short tile of the row, and that of the tiles that are short across only.
CALL_FIELDS = (
    "kernel",
    "a", "a_local", "a_far", "a_row", "corners", "a_whole", "a_short", "a_across", "a_next", "a_step", "a_part",
    "c", "c_local", "c_far", "places", "c_whole", "c_short", "c_across", "c_next", "c_step", "c_part",
    "tiles", "count",
)  # fmt: skip
_CALL_BYTES = 8 * len(CALL_FIELDS)

#: Words of a call that are added to one another word, each times one of the numbers of `perform`.
_SUMMED = {
    "a": ("a_local", "a_far", "a_row"), "corners": ("a_whole", "a_short", "a_across"),
    "c": ("c_local", "c_far"), "places": ("c_whole", "c_short", "c_across"),
}  # fmt: skip
_NUMBERS = ("local", "far", "row", "whole", "short", "across")

#: What is known of a sum: bytes to its points in V, its weights in a block of U, and in M, how many points down and
#: across, and whether tiles that are short across, and down, have it.
SUM_FIELDS = ("V", "U", "M", "ROWS", "COLUMNS", "short_across", "short_down")
_SUM_BYTES = 8 * len(SUM_FIELDS)


@intrinsic
def perform(typingctx: Any, entry: Any, local: Any, far: Any, row: Any, whole: Any, short: Any, across: Any) -> Any:
    """Make the call of a program whose words, as in `CALL_FIELDS`, stand at address ``entry``."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        integer = context.get_value_type(types.intp)
        words = builder.inttoptr(values[0], integer.as_pointer())
        numbers = dict(zip(_NUMBERS, values[1:], strict=True))

        def read(name: str) -> Any:
            loaded = builder.load(builder.gep(words, [integer(CALL_FIELDS.index(name))]))
            loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
            return loaded

        summed = [name for names in _SUMMED.values() for name in names]
        passed = []
        for name in CALL_FIELDS[1:]:
            if name not in summed:
                total = read(name)
                for each in _SUMMED.get(name, ()):
                    total = builder.add(total, builder.mul(read(each), numbers[each[2:]]))
                passed.append(total)
        target = ir.FunctionType(ir.VoidType(), [integer] * len(passed)).as_pointer()
        builder.call(builder.inttoptr(read("kernel"), target), passed)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 7), codegen


@macrokernel(FIELDS)
def loops(z, step, part, parts):
    """What one of ``parts`` threads does in one step.

    A step is everything, for blocks of its own, where there are blocks enough. Else it is one
    phase of one block: its share of the input, then for channel blocks of its own products
    and outputs, one block of channels after another in an M of its own; or, where there are
    too few of those too, its share of the products, then of the outputs, and M holds all of
    them.
    """
    phases = z.CALLED & word(z.masks, step % z.PHASES)
    local, V, M = z.local + part * z.LOCAL, z.V, z.M
    items, end_item = share_of(z.ITEMS, part, parts)
    vectors, end_vector = share_of(z.IN_VECTORS, part, parts)
    first, last = share_of(z.OCB, part, parts)
    if z.PHASES == 1:
        V += part * z.V_BYTES
        vectors, end_vector, first, last = 0, z.IN_VECTORS, 0, z.OCB
    else:
        items = step // z.PHASES
        end_item = items + 1
    if z.PHASES < 3:
        M += part * z.M_BYTES
    # Sums of all blocks of channels.
    begin, end = first * z.SUMS, last * z.SUMS
    if z.PHASES == 3 and phases == PRODUCTS:
        begin, end = share_of(z.OCB * z.SUMS, part, parts)
    for item in range(items, end_item):
        b = z.blocks + item * _BLOCK_BYTES
        images, top, rows, full_rows = word(b, 4), word(b, 5), word(b, 6), word(b, 7)
        whole, across, down = word(b, 8), word(b, 9), word(b, 10)
        # The input comes before the first sum, and the output of a block of channels behind its last.
        for q in range(begin - 1, end):
            is_output = q >= begin
            low, high, channels, far = vectors, end_vector, z.ICG, V
            if is_output:
                oc, f = q // z.SUMS, q % z.SUMS
                far = M + oc * z.M_BYTES if z.PHASES == 3 else M
                if phases & PRODUCTS != 0:
                    # Whole panels: what fills the last one is multiplied and not read.
                    e = z.sums + f * _SUM_BYTES
                    tiles = whole + word(e, 5) * across + word(e, 6) * (down + word(e, 5) * word(b, 11)) + z.MR - 1
                    weights = z.U + word(b, 3) + oc * z.U_BYTES + word(e, 1)
                    call(z.products, (V + word(e, 0), weights, far + word(e, 2), tiles // z.MR, z.K, word(e, 3),
                                      word(e, 4), z.POINT_DOWN, z.POINT_ACROSS))  # fmt: skip
                if phases & OUTPUT == 0 or f < z.SUMS - 1:
                    continue
                low, channels = oc * z.OUT_VECTORS, z.OCG
                high = min(low + z.OUT_VECTORS, (channels + z.LANES - 1) // z.LANES)
            elif phases & INPUT == 0:
                continue
            pieces = 1 if is_output else z.PIECES
            for of in range(low * images, high * images):
                vector, image = of // images, of % images
                live = min(z.LANES, channels - vector * z.LANES)
                if not is_output:
                    source = z.src + word(b, 0) + vector * z.SRC_VECTOR + image * z.SRC_IMAGE
                    call(z.gather, (source, z.IH, z.IW, word(b, 12), word(b, 13), z.PW, live, local, z.WP,
                                    z.DH, z.GRIDS_H, top, rows))  # fmt: skip
                to = word(b, 1) + vector * z.DST_VECTOR + image * z.DST_IMAGE
                bias = word(b, 2) + vector * z.BIAS_VECTOR
                at = far + (vector - low) * z.M_VECTOR if is_output else far + vector * z.V_VECTOR
                for row in range(rows):
                    e, line = z.programs + 32 * is_output, z.rows + (top + row) * _ROW_BYTES
                    r, first, first_short = image * full_rows + row, 0, whole
                    if row >= full_rows:
                        e, first = e + 16, whole + across
                        r, first_short = image * (rows - full_rows) + row - full_rows, first + down
                    first, first_short = first + r * z.FULL_TW, first_short + r * z.SHORT_TW
                    for piece in range(pieces):
                        p = z.pieces + 16 * piece
                        pixels, place = word(line, 0) + word(p, 0) - word(b, 14), at + word(p, 1)
                        for number in range(word(e, 1)):
                            entry = word(e, 0) + _CALL_BYTES * number
                            perform(entry, local, place, pixels, first, first_short, across)
                    if is_output:
                        plane = to + word(line, 2)
                        call(z.scatter, (local + word(line, 1), z.ROW_STEP, z.SW, word(line, 3), z.scale + bias,
                                         z.bias + bias, z.dst + plane, z.residual + plane, z.DST_STEP, z.OW, z.OHW,
                                         live, z.slope))  # fmt: skip
