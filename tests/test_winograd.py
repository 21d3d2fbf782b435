"""The transform matrices are identities in exact arithmetic, and the promised error holds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kernels import Algorithm, Conv2dProblem, algorithms, conv2d_reference, get_algorithm, plan
from kernels.algorithms.cook_toom import Matrix, shortened, transform_matrices
from kernels.algorithms.transform.product_tile import _TILES
from kernels.algorithms.transform.products import ProductSpec, products
from kernels.machine.compile import CompileCounter
from kernels.machine.cpu import lanes_of, vector_registers
from kernels.machine.tile_shape import TileShape
from kernels.phases import profile

_HALF = Fraction(1, 2)
_CASES = [(2, 3, (0, 1, -1)), (4, 3, (0, 1, -1, 2, -2)), (6, 3, (0, 1, -1, 2, -2, _HALF, -_HALF))]
#: Near sqrt(1/2) and sqrt(2): no point is refused for being long.
_LONG = (0, *(sign * Fraction(n, 10**30) for n in (707106781186547524, 1414213562373095048) for sign in (1, -1)))


def _apply(matrix: Matrix, vector: list[Fraction]) -> list[Fraction]:
    return [sum((x * y for x, y in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


def _filtered(m: int, r: int) -> tuple[list[Fraction], list[Fraction], list[Fraction]]:
    """Data, taps and what the definition makes of them."""
    data = [Fraction(3 * i * i - 7 * i + 2, 5) for i in range(m + r - 1)]
    taps = [Fraction(2 * k + 1, 3 + k) for k in range(r)]
    return data, taps, [sum((taps[k] * data[i + k] for k in range(r)), Fraction(0)) for i in range(m)]


@pytest.mark.parametrize(
    ("m", "r", "points"), [*_CASES, (4, 3, _LONG), (4, 5, _CASES[2][2]), (2, 7, _CASES[2][2]), (2, 1, (0,))]
)
def test_minimal_filtering_is_exact_in_rationals(m: int, r: int, points: tuple[Fraction | int, ...]) -> None:
    at, g, bt = transform_matrices(m, r, points)
    data, taps, expected = _filtered(m, r)
    products = [a * b for a, b in zip(_apply(g, taps), _apply(bt, data), strict=True)]
    assert _apply(at, products) == expected


@pytest.mark.parametrize("short", [1, 2, 3, 4, 5, 6])
def test_short_tiles_are_exact_over_the_taps_of_whole_ones(short: int) -> None:
    m, r, points = _CASES[2]
    at, bt = shortened(m, short, r, points)
    data, taps, expected = _filtered(short, r)
    whole = _apply(transform_matrices(m, r, points)[1], taps)
    products = [a * b for a, b in zip(whole[: short + r - 1], _apply(bt, data), strict=True)]
    assert _apply(at, products) == expected


@pytest.mark.parametrize("short", [0, 5])
def test_a_short_tile_is_not_longer_than_a_whole_one(short: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 4"):
        shortened(*_CASES[1][:1], short, *_CASES[1][1:])


@pytest.mark.parametrize("points", [(0, 1, 1, 2, -2), (0, 1, -1)])
def test_wrong_points_are_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected 5 distinct ones for F\(4, 3\)"):
        transform_matrices(4, 3, points)


each_winograd = pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param(each, marks=pytest.mark.xdist_group(each.name), id=each.name)
        for each in algorithms()
        if each.family == "winograd"
    ],
)

#: The comment says for what a line is there; the kernel's size is that of the algorithm.
_SHAPES = (
    "ic64ih14oc64",  # last tiles short both ways
    "mb5ic32ih7oc33b1",  # small images that share a block
    "g2mb9ic34ih15oc48",  # more of them than one block takes, groups, and channels that do not fill vectors
)
#: Kernel and padding, by the number of taps: the first where both dimensions are supported.
_KERNELS = {
    2: ("kh2ph1", "kh1kw2ph0pw1", "kh2kw1ph1pw0", "kh2ph1pb0pr1"),
    3: ("kh3ph1", "kh1kw3ph0pw1", "kh3kw1ph1pw0", "kh3ph1pb2pr0"),
    5: ("kh5ph2", "kh1kw5ph0pw2", "kh5kw1ph2pw0", "kh5ph1pb3"),
    7: ("kh1kw7ph0pw3", "kh7kw1ph3pw0", "kh1kw7ph0pw2pr5"),
}


#: Shapes whose kernels are dilated: sub-grids of which some are a row or a column shorter, several blocks
#: of one row of them, and small images that share a block.
_DILATED = ("ic64ih23iw30oc64{}dh3dw2", "ic18ih75oc16{}dh12dw9", "mb5ic32ih13oc33{}dh2b1")
#: By the number of taps: sub-grids without outputs.
_FAR = {
    2: "ic20ih15iw16oc20kh2ph1dh7",
    3: "ic20ih15iw16oc20kh3ph1dh7",
    5: "ic20ih25iw26oc20kh5ph2dh7",
    7: "ic20ih3iw40oc20kh1kw7ph0pw3dh7",
}
#: Of stride 2: short last tiles both ways and neither way, one dimension alone, and unequal padding.
_STRIDED = (
    "ic64ih28oc64{}sh2pb0",
    "mb5ic32ih16oc33{}sh2b1",
    "g2mb3ic34ih15oc48{}sh2sw1",
    "ic512ih15iw21oc16{}sw2sh1pr3",
)


def _problems(algorithm: Algorithm) -> list[Conv2dProblem]:
    """Every shape with the first kernel, one shape with those down a column and with unequal padding."""
    first, *others = _KERNELS[int(algorithm.name[-1])]
    texts = [shape.removesuffix("b1") + first + "b1" * shape.endswith("b1") for shape in _SHAPES]
    return [Conv2dProblem.parse(text) for text in (*texts, *("ic33ih57iw11oc20" + kernel for kernel in others[1:]))]


#: Who is tried on every spread shape; each compiles anew, and the loops are the same for all.
_THOROUGH = "winograd_f4x3"


def _spread_problems(algorithm: Algorithm) -> list[Conv2dProblem]:
    """Dilated and strided shapes with the first kernel, as far as they are supported."""
    taps = int(algorithm.name[-1])
    texts = (*_DILATED, *_STRIDED, _FAR[taps]) if algorithm.name == _THOROUGH else (_DILATED[0], _STRIDED[0])
    found = [Conv2dProblem.parse(text.format(_KERNELS[taps][0])) for text in texts]
    return [p for p in found if algorithm.unsupported(p) is None]


def _normal(p: Conv2dProblem, seed: int = 11) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(seed)
    src, wei, bia = (rng.standard_normal(s, np.float32) for s in (p.input_shape, p.weight_shape, (p.oc,)))
    return src, wei, bia if p.bias else None


def _relative(result: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(result - exact) / np.linalg.norm(exact))


@each_winograd
def test_error_keeps_the_promise_beside_the_registration(algorithm: Algorithm) -> None:
    for p in (*_problems(algorithm), *_spread_problems(algorithm)):
        src, wei, bia = _normal(p)
        bound = plan(p, wei, bia, algorithm=algorithm.name, threads=1)
        bound.poison()
        exact = conv2d_reference(p, src, wei, bia)
        yardstick = _relative(conv2d_reference(p, src, wei, bia, dtype="float32"), exact)
        assert _relative(bound(src, out=np.full(p.output_shape, np.nan, np.float32)), exact) <= (
            algorithm.error_factor * yardstick
        ), str(p)


@pytest.mark.xdist_group(_THOROUGH)
def test_same_bits_for_any_number_of_threads_where_kernels_are_spread() -> None:
    algorithm = get_algorithm(_THOROUGH)
    for p in _spread_problems(algorithm):
        src, wei, bia = _normal(p)
        one, two = (plan(p, wei, bia, algorithm=algorithm.name, threads=threads)(src) for threads in (1, 2))
        assert one.tobytes() == two.tobytes(), str(p)


def test_stride_2_is_kept_where_it_won() -> None:
    texts = ("ic16ih12oc16kh3sh2", "ic16ih12oc16kh5sh2", "ic16ih12oc16kh3sh2dh2", "ic16ih12oc16kh3kw1sh2")
    problems = [Conv2dProblem.parse(text) for text in texts]
    supported = {
        each.name: [each.unsupported(p) is None for p in problems] for each in algorithms() if each.family == "winograd"
    }
    square, never = [True, False, False, False], [False] * 4
    assert supported == {
        "winograd_f2x3": square, "winograd_f4x3": square, "winograd_f6x3": never, "winograd_f2x5": never,
        "winograd_f4x5": [False, True, False, False], "winograd_f5x2": never,
        "winograd_f4x7": never, "winograd_f6x7": never,
    }  # fmt: skip


def _pieces_for(text: str, algorithm: str) -> int:
    """Pieces that a problem needs and that no plan before it did."""
    p = Conv2dProblem.parse(text)
    before = CompileCounter.pieces + CompileCounter.loaded
    plan(p, np.zeros(p.weight_shape, p.dtype), algorithm=algorithm, threads=1)
    return CompileCounter.pieces + CompileCounter.loaded - before


def test_no_extent_that_a_user_can_vary_is_compiled_for() -> None:
    # Every residue, and every tile of the products: there are five shapes.
    for residue in range(4):
        _pieces_for(f"ic16ih{20 + residue}oc16kh3ph1", "winograd_f4x3")
    for MR, NV in _TILES[vector_registers()]:
        products.address(ProductSpec("float32", TileShape(MR, NV, lanes_of("float32")), lanes_of("float32"), 1, 1))
    again = (
        "ic16ih32oc16kh3ph2dh2", "mb3ic24ih21iw28oc16kh3ph1", "g2ic32ih19oc32kh3", "ic16ih75iw50oc16kh3ph12dh12dw9",
    )  # fmt: skip
    assert [_pieces_for(text, "winograd_f4x3") for text in again] == [0, 0, 0, 0]
    assert [_pieces_for(f"ic16ih{ih}oc16kh3ph1", "winograd_f4x3") for ih in range(24, 64)] == [0] * 40


@each_winograd
def test_error_stays_in_proportion_on_unfriendly_data(algorithm: Algorithm) -> None:
    """A large mean, a wide range, a smooth picture: the error is judged against what the sums are made of."""
    p = _problems(algorithm)[0].replace(bias=True)
    src, wei, bia = _normal(p)
    assert bia is not None
    rows, columns = np.mgrid[: p.ih, : p.iw]
    for data in (src + 100, src * np.exp(3 * src), np.broadcast_to(np.sin(rows / 9) * columns, src.shape)):
        data = np.ascontiguousarray(data, np.float32)
        exact = conv2d_reference(p, data, wei, bia)
        magnitude = np.linalg.norm(conv2d_reference(p, np.abs(data), np.abs(wei), np.abs(bia)))
        error = np.linalg.norm(plan(p, wei, bia, algorithm=algorithm.name, threads=1)(data) - exact)
        # Tiles mix large and small pixels: up to twice what normal values cost.
        assert error <= 2 * algorithm.error_factor * 2.0**-24 * magnitude


#: Most relative L2 error in times that of a direct sum in float32, at 64 to 512 input channels.
_VERSUS_DIRECT = {"winograd_f2x3": 1.0, "winograd_f4x3": 3.0, "winograd_f6x3": 10.0}


@pytest.mark.parametrize("name", _VERSUS_DIRECT)
@pytest.mark.parametrize("ic", [64, 512])
def test_error_against_a_direct_sum(name: str, ic: int) -> None:
    p = Conv2dProblem.parse(f"ic{ic}ih12oc16kh3ph1")
    src, wei, _ = _normal(p)
    exact = conv2d_reference(p, src, wei, None)
    direct, ours = (_relative(plan(p, wei, algorithm=each, threads=1)(src), exact) for each in ("direct_naive", name))
    assert ours <= _VERSUS_DIRECT[name] * direct


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_spreads_over_its_tiles_and_no_further(value: float) -> None:
    p = Conv2dProblem.parse("ic16ih24oc16kh3ph1")
    src, wei, _ = _normal(p)
    src[0, 3, 9, 9] = value
    dst = plan(p, wei, algorithm="winograd_f4x3", threads=1)(src)
    bad = ~np.isfinite(dst[0]).all(axis=0)
    # Padded, the pixel is (10, 10): under the tiles of outputs 8 to 11 alone, which read 8 to 13.
    expected = np.zeros_like(bad)
    expected[8:12, 8:12] = True
    np.testing.assert_array_equal(bad, expected)


def test_a_profile_has_every_phase_and_counts_what_is_multiplied() -> None:
    p = Conv2dProblem.parse("ic16ih8oc16kh3ph1")
    phases = profile(p, "winograd_f4x3")
    assert [each.name for each in phases] == ["input transform", "products", "output transform"]
    assert all(0 < each.seconds < 1 for each in phases)
    # Four tiles of 36 points at least.
    assert phases[1].flops >= 2 * 36 * 4 * 16 * 16
    assert phases[0].flops == phases[2].flops == 0
