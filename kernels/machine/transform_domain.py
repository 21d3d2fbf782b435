"""What Winograd and FFT are made of: a transform, its sizes for a problem, its packed weights.

The loops over it, with layout and caches, are in `kernels.machine.transform_kernels`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernels.machine.blocking import TileShape, lanes_of, pick_tile
from kernels.machine.codelets import Codelet
from kernels.machine.packing import fill_bias_blocks
from kernels.machine.static import static
from kernels.machine.transform_kernels import PHASES, Codes, Sizes, share, shares
from kernels.machine.workspace import carve
from kernels.machine.workspace import workspace_bytes as total_bytes
from kernels.problem import Conv2dProblem
from kernels.registry import Packed

__all__ = ["Transform", "prepare", "run", "weight_bytes", "workspace_bytes"]

#: Blocks a thread from which on threads take blocks of their own: with fewer, some would wait.
_BLOCKS_A_THREAD = 4


@dataclass(frozen=True)
class Transform:
    """A two-dimensional transform of tiles of ``n`` pixels to tiles of ``m`` outputs.

    ``rows_in`` runs along each of the n[0] rows of a tile, ``columns_in`` down each of its
    results; the inverses in the opposite order. ``tap`` is how many taps a kernel piece has a
    side; ``weights`` maps float64 taps (..., tap[0], tap[1]) to points (..., R, C), which are
    complex where ``width`` is 2. ``block_tiles`` is how many tiles a block aims at.
    """

    n: tuple[int, int]
    m: tuple[int, int]
    tap: tuple[int, int]
    rows_in: Codelet
    columns_in: Codelet
    columns_out: Codelet
    rows_out: Codelet
    width: int
    block_tiles: int
    weights: Callable[[np.ndarray], np.ndarray]


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, t: Transform, threads: int) -> tuple[Sizes, TileShape]:
    lanes = lanes_of(p.dtype)
    # Outputs between those that a stride keeps are computed and not stored.
    dense_h, dense_w = (p.oh - 1) * p.sh + 1, (p.ow - 1) * p.sw + 1
    TH, TW = -(-dense_h // t.m[0]), -(-dense_w // t.m[1])
    # Blocks of equal size, so that the last one is not nearly empty.
    BLOCKS = -(-TH // max(1, min(TH, round(t.block_tiles / TW))))
    R = -(-TH // BLOCKS)
    BLOCKS = -(-TH // R)
    OCG = p.oc // p.g
    shape = pick_tile(R * TW, OCG * t.width, lanes, complex_numbers=t.width == 2)
    channels = shape.NR // t.width
    extent = p.kernel_extent
    pieces = [-(-extent[i] // t.tap[i]) for i in (0, 1)]
    ICP = -(-(p.ic // p.g) // lanes) * lanes
    C = t.rows_in.outputs
    F = t.columns_in.outputs * C
    tiles = -(-R * TW // shape.MR) * shape.MR
    WP = (TW - 1) * t.m[1] + t.n[1] + (pieces[1] - 1) * t.tap[1]
    WP = -(-WP // lanes) * lanes
    own = threads == 1 or p.mb * p.g * BLOCKS >= _BLOCKS_A_THREAD * threads
    return Sizes(
        OWN=own, MB=p.mb,
        G=p.g, ICG=p.ic // p.g, OCG=OCG, ICP=ICP,
        OCB=-(-OCG // channels), TH=TH, TW=TW, R=R, BLOCKS=BLOCKS, NH=t.n[0], MH=t.m[0],
        MW=t.m[1], C=C, F=F, W=t.width, PIECES_H=pieces[0], PIECES_W=pieces[1], TAP_H=t.tap[0], TAP_W=t.tap[1],
        IH=p.ih, IW=p.iw, PH=p.ph, PW=p.pw, WP=WP, WR=max(TW * t.m[1] + t.n[1], -(-p.ow // lanes) * lanes * p.sw),
        # One vector more, so that the points of a tile do not all fall into one set of the L1 cache.
        VSTEP=tiles * pieces[0] * pieces[1] * ICP * t.width + lanes, MSTEP=tiles * shape.NR + lanes,
        LANES=lanes, MR=shape.MR, NR=shape.NR, CHANNELS=channels, OH=p.oh, OW=p.ow, SH=p.sh, SW=p.sw,
        PIXELS=((R - 1) * t.m[0] + t.n[0] + (pieces[0] - 1) * t.tap[0]) * WP * lanes,
        ONE=max(t.n[0], t.columns_out.outputs) * C * t.width * lanes,
    ), shape  # fmt: skip


def weight_bytes(p: Conv2dProblem, t: Transform) -> int:
    """Bytes of the transformed weights U."""
    z, _ = _sizes(p, t, 1)
    return z.G * z.F * z.OCB * z.PIECES_H * z.PIECES_W * z.ICP * z.NR * p.itemsize


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
    z, shape = _sizes(p, t, 1)
    ICG, pieces = p.ic // p.g, z.PIECES_H * z.PIECES_W
    U = np.zeros((z.G, z.F, z.OCB, pieces, z.ICP, z.W, z.CHANNELS), p.dtype)
    grouped = wei.reshape(z.G, z.OCG, ICG, p.kh, p.kw)
    for block in range(z.OCB):
        taken = grouped[:, block * z.CHANNELS : (block + 1) * z.CHANNELS]
        spread = np.zeros((*taken.shape[:3], z.PIECES_H * z.TAP_H, z.PIECES_W * z.TAP_W), np.float64)
        spread[..., : p.kernel_extent[0] : p.dh, : p.kernel_extent[1] : p.dw] = taken
        cut = spread.reshape(*taken.shape[:3], z.PIECES_H, z.TAP_H, z.PIECES_W, z.TAP_W).swapaxes(4, 5)
        points = t.weights(cut).reshape(*taken.shape[:3], pieces, z.F)
        ordered = points.transpose(0, 4, 3, 2, 1)  # g, f, piece, ic, oc
        U[:, :, block, :, :ICG, 0, : taken.shape[1]] = ordered.real
        if z.W == 2:
            U[:, :, block, :, :ICG, 1, : taken.shape[1]] = ordered.imag
    codelets = (t.rows_in, t.columns_in, t.columns_out, t.rows_out)
    square = TileShape(z.LANES, 1, z.LANES)
    return (
        static(Codes(shape, square, z.LANES, z.W, *codelets)),
        U.reshape(-1),
        np.ones(1, p.dtype),
        np.zeros(z.NR, p.dtype),
    )


def _scratch_shapes(p: Conv2dProblem, t: Transform, threads: int) -> dict[str, tuple[int, ...]]:
    z, _ = _sizes(p, t, threads)
    local = z.PIXELS + z.ONE + z.MH * z.WR * z.LANES
    return {
        "bias": (z.G, z.OCB * z.CHANNELS),
        "local": (threads, local),
        "V": (threads if z.OWN else 1, z.F * z.VSTEP),
        "M": (threads if z.OWN else z.OCB, z.F * z.MSTEP),
    }


def workspace_bytes(p: Conv2dProblem, threads: int, t: Transform) -> int:
    """Bytes of scratch that `run` needs."""
    return total_bytes(_scratch_shapes(p, t, threads), p.dtype)


def run(
    p: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
    t: Transform,
) -> None:
    """Convolve; the arguments are those of `Algorithm.run`."""
    codes, U, ones, zeros = packed
    z, _ = _sizes(p, t, threads)
    arrays = carve(workspace, _scratch_shapes(p, t, threads), p.dtype)
    bias = arrays["bias"]
    fill_bias_blocks(bia, bias)
    shared = (src.reshape(-1), U, bias.reshape(-1), ones, zeros, dst.reshape(-1))
    scratch = (arrays["local"], arrays["V"], arrays["M"])
    if threads == 1:
        share(codes, z, 0, 0, 1, *shared, *scratch)
    else:
        steps = 1 if z.OWN else z.MB * z.G * z.BLOCKS * PHASES
        shares(codes, z, steps, threads, *shared, *scratch)
