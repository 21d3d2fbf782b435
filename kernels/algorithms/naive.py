"""Direct convolution as it is written: seven loops.

- ``direct_naive``: the yardstick that every other kernel is compared with, and readable beside the formula.

Layout: NCHW, OIHW, as the arrays come. Loops, outside in: image x output channel, which threads share; input channel,
tap, output row; pixels. The taps are outside the pixels, so that the innermost loop becomes vectors: it adds a row of
the source, times one weight, to a row of the result, which stays in L1 or L2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.costs.amounts import Amounts, ceil_div, lines_of_layer, longest_share
from kernels.epilogue import Epilogue
from kernels.machine.cpu import lanes_of
from kernels.machine.microkernel import Elements, call, macrokernel, microkernel
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.static import number
from kernels.problem import Conv2dProblem
from kernels.registry import Run, Setup, algorithm


class PlaneSpec(NamedTuple):
    """What a plane is specialised by; ``SW`` is 0 where it is given at run time."""

    dtype: str
    SW: int
    epilogue: Epilogue

    @property
    def leaky(self) -> bool:
        """Whether negative results keep a part."""
        return self.epilogue.slope > 0


@microkernel
def naive_plane(
    spec, src: Elements, wei: Elements, bia: Elements, dst: Elements, residual: Elements, slope: Elements,
    ICG: int, IH: int, IW: int, KH: int, KW: int, OH: int, OW: int,
    SH: int, SW: int, PH: int, PW: int, DH: int, DW: int,
):  # fmt: skip
    """One output plane, of the ICG planes of its group of channels."""
    if number(spec.SW) == 1:
        # A step that the compiler knows.
        SW = 1
    for i in range(OH * OW):
        dst[i] = bia[0]
    for ic in range(ICG):
        for kh in range(KH):
            for kw in range(KW):
                w = wei[(ic * KH + kh) * KW + kw]
                shift = kw * DW - PW
                # Pixels whose tap lies on the source, not on padding.
                begin = max(0, -(shift // SW))
                end = min(OW, (IW - 1 - shift) // SW + 1)
                for oh in range(OH):
                    ih = oh * SH + kh * DH - PH
                    if 0 <= ih < IH:
                        row = (ic * IH + ih) * IW + shift
                        for ow in range(begin, end):
                            dst[oh * OW + ow] += w * src[row + ow * SW]
    if number(spec.epilogue.residual) or number(spec.epilogue.relu):
        factor = slope[0]
        for i in range(OH * OW):
            value = dst[i]
            if number(spec.epilogue.residual) and not number(spec.epilogue.residual_last):
                value += residual[i]
            if number(spec.epilogue.relu) and value < 0:
                # Without a slope the factor is the zero: a product with it is NaN for infinity.
                value = factor * value if number(spec.leaky) else factor
            if number(spec.epilogue.residual_last):
                value += residual[i]
            dst[i] = value


_SIZES = ("ICG", "IH", "IW", "KH", "KW", "OH", "OW", "SH", "SW", "PH", "PW", "DH", "DW")


@macrokernel(("PLANES", "OC", "OCG", "IC", *_SIZES, "ITEM", "plane", "wei", "bia", "slope"))
def _planes(z, step, part, parts):
    begin, end = share_of(z.PLANES, part, parts)
    for plane in range(begin, end):
        n, oc = plane // z.OC, plane % z.OC
        src = z.src + (n * z.IC + oc // z.OCG * z.ICG) * z.IH * z.IW * z.ITEM
        wei = z.wei + oc * z.ICG * z.KH * z.KW * z.ITEM
        out = plane * z.OH * z.OW * z.ITEM
        sizes = (z.ICG, z.IH, z.IW, z.KH, z.KW, z.OH, z.OW, z.SH, z.SW, z.PH, z.PW, z.DH, z.DW)
        call(z.plane, (src, wei, z.bia + oc * z.ITEM, z.dst + out, z.residual + out, z.slope, *sizes))


def naive_amounts(p: Conv2dProblem, threads: int) -> Amounts:
    """A row of the result is read and written once a tap."""
    lanes = lanes_of(p.dtype)
    rows = p.mb * p.oc * p.oh * (p.ic // p.g) * p.kh * p.kw
    vectors = rows * ceil_div(p.ow, lanes)
    counts = {
        "row vectors": float(vectors) if p.sw == 1 else 0.0,
        "strided pixels": float(rows * p.ow) if p.sw > 1 else 0.0,
        "rows": float(rows),
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("seven loops", counts, longest_share(p.mb * p.oc, threads))


@algorithm(
    "direct_naive",
    family="direct",
    error_factor=8.0,
    exact_on_integers=True,
    window_only=True,
    amounts=naive_amounts,
)
def direct_naive(setup: Setup) -> Run:
    """The seven loops, parallel over images x output channels."""
    p, (wei, bia), epilogue = setup.problem, setup.packed, setup.epilogue
    spec = PlaneSpec(p.dtype, 1 if p.sw == 1 else 0, epilogue.kind)
    slope = np.array([epilogue.slope], p.dtype)
    sizes = {
        "PLANES": p.mb * p.oc, "OC": p.oc, "OCG": p.oc // p.g, "IC": p.ic, "ICG": p.ic // p.g, "IH": p.ih, "IW": p.iw,
        "KH": p.kh, "KW": p.kw, "OH": p.oh, "OW": p.ow, "SH": p.sh, "SW": p.sw, "PH": p.ph, "PW": p.pw,
        "DH": p.dh, "DW": p.dw, "ITEM": p.itemsize,
    }  # fmt: skip
    addresses = {"wei": address_of(wei), "bia": address_of(bia), "slope": address_of(slope)}
    record = _planes.record(**sizes, **addresses, plane=naive_plane.address(spec))
    return Launch(_planes, record, setup.threads, keep=(wei, bia, slope))
