"""Backward weights as it is written: seven loops.

- ``bwd_w_naive``: the yardstick that every other kernel is compared with, and readable beside the formula.

Layout: NCHW, as the arrays come. Loops, outside in: output channel x input channel of its group, which threads share;
tap; image; output row; pixels. The sum of a row begins anew and is added to that of the image, and that to the tap's:
errors grow with the root of rows and of images, not with all pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.costs.amounts import Amounts, lines_of_layer, longest_share
from kernels.machine.microkernel import Elements, call, macrokernel, microkernel
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.problem import Conv2dProblem
from kernels.registry import Run, Setup, algorithm


class PairSpec(NamedTuple):
    """What a pair of channels is specialised by."""

    dtype: str


@microkernel
def naive_pair(
    spec, src: Elements, grad: Elements, wei: Elements, nothing: Elements, MB: int, IMAGE: int, OUTPUT: int,
    IH: int, IW: int, KH: int, KW: int, OH: int, OW: int,
    SH: int, SW: int, PH: int, PW: int, DH: int, DW: int,
):  # fmt: skip
    """The taps of one input channel for one output channel; planes of images are IMAGE and OUTPUT elements apart."""
    zero = nothing[0]
    for kh in range(KH):
        for kw in range(KW):
            shift = kw * DW - PW
            # Pixels whose tap lies on the source, not on padding.
            begin = max(0, -(shift // SW))
            end = min(OW, (IW - 1 - shift) // SW + 1)
            total = zero
            for n in range(MB):
                image = zero
                for oh in range(OH):
                    ih = oh * SH + kh * DH - PH
                    if 0 <= ih < IH:
                        at, row = n * OUTPUT + oh * OW, n * IMAGE + ih * IW + shift
                        line = zero
                        for ow in range(begin, end):
                            line += grad[at + ow] * src[row + ow * SW]
                        image += line
                total += image
            wei[kh * KW + kw] = total


@microkernel
def naive_bias(spec, grad: Elements, bia: Elements, nothing: Elements, MB: int, OUTPUT: int, PIXELS: int):
    """The sum of one output channel's gradient."""
    total = nothing[0]
    for n in range(MB):
        image = nothing[0]
        for i in range(PIXELS):
            image += grad[n * OUTPUT + i]
        total += image
    bia[0] = total


_SIZES = ("IH", "IW", "KH", "KW", "OH", "OW", "SH", "SW", "PH", "PW", "DH", "DW")


@macrokernel(("PAIRS", "BIASES", "MB", "IC", "OC", "ICG", "OCG", *_SIZES, "ITEM", "pair", "bias", "nothing"))
def _pairs(z, step, part, parts):
    begin, end = share_of(z.PAIRS + z.BIASES, part, parts)
    PLANE, PIXELS = z.IH * z.IW, z.OH * z.OW
    for item in range(begin, end):
        if item < z.PAIRS:
            oc, icg = item // z.ICG, item % z.ICG
            src = z.src + (oc // z.OCG * z.ICG + icg) * PLANE * z.ITEM
            grad, wei = z.residual + oc * PIXELS * z.ITEM, z.dst + item * z.KH * z.KW * z.ITEM
            sizes = (z.IH, z.IW, z.KH, z.KW, z.OH, z.OW, z.SH, z.SW, z.PH, z.PW, z.DH, z.DW)
            call(z.pair, (src, grad, wei, z.nothing, z.MB, z.IC * PLANE, z.OC * PIXELS, *sizes))
        else:
            oc = item - z.PAIRS
            bia = z.dst + (z.PAIRS * z.KH * z.KW + oc) * z.ITEM
            call(z.bias, (z.residual + oc * PIXELS * z.ITEM, bia, z.nothing, z.MB, z.OC * PIXELS, PIXELS))


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    """A multiply-add at a time: sums of a row wait for each other."""
    rows = p.mb * p.oc * p.oh * (p.ic // p.g) * p.kh * p.kw
    counts = {"strided pixels": float(rows * p.ow), "rows": float(rows), "calls": 1.0, **lines_of_layer(p)}
    return Amounts("seven loops", counts, longest_share(p.oc * (p.ic // p.g), threads))


@algorithm(
    "bwd_w_naive",
    family="backward_weights",
    directions=("bwd_w",),
    error_factor=8.0,
    exact_on_integers=True,
    window_only=True,
    amounts=_amounts,
)
def bwd_w_naive(setup: Setup) -> Run:
    """The seven loops of backward weights, parallel over pairs of channels."""
    p = setup.problem
    spec, nothing = PairSpec(p.dtype), np.zeros(1, p.dtype)
    record = _pairs.record(
        PAIRS=p.oc * (p.ic // p.g), BIASES=p.oc * p.bias, MB=p.mb, IC=p.ic, OC=p.oc, ICG=p.ic // p.g, OCG=p.oc // p.g,
        IH=p.ih, IW=p.iw, KH=p.kh, KW=p.kw, OH=p.oh, OW=p.ow, SH=p.sh, SW=p.sw, PH=p.ph, PW=p.pw, DH=p.dh, DW=p.dw,
        ITEM=p.itemsize, pair=naive_pair.address(spec), bias=naive_bias.address(spec), nothing=address_of(nothing),
    )  # fmt: skip
    return Launch(_pairs, record, setup.threads, keep=(nothing,))
