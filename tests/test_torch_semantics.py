"""`conv2d` against torch itself, where that is installed: the same numbers, or the same sentence."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_cases import Case, draw  # noqa: E402
from torch_oracle import ask, border_of  # noqa: E402

import kernels  # noqa: E402
from kernels import Conv2dProblem, algorithms, conv2d, conv2d_reference  # noqa: E402
from kernels.arguments import Asked, read_ints, read_padding  # noqa: E402
from kernels.geometry import describe  # noqa: E402

#: One worker: it compiles each kernel once.
pytestmark = pytest.mark.xdist_group("torch_semantics")

_CASES = draw(2400, seed=20)

#: Most calls of an algorithm, ``auto`` included: many are compiled anew for a kernel, stride or dilation.
_QUOTA = 3
_COMPILED_ONCE = "direct_naive"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        # Of copies that padding='same' makes.
        warnings.simplefilter("ignore")
        yield
    torch.set_num_threads(before)


def test_every_combination_gives_torchs_numbers_or_torchs_sentence() -> None:
    counts: Counter[str] = Counter()
    called: Counter[str] = Counter()
    wrong = [f"{case.given()}: {said}" for case in _CASES if (said := _difference(case, counts, called))]
    assert not wrong, f"{len(wrong)} of {len(_CASES)} differ:\n" + "\n".join(wrong[:20])
    # That nothing of this was for nothing.
    assert counts["numbers"] > 1000 and counts["sentence"] > 500 and counts["kind"] > 100, counts
    assert {name for name, count in called.items() if count >= 3} == {each.name for each in algorithms("fwd")} | {
        "auto"
    }


def _difference(case: Case, counts: Counter[str], called: Counter[str]) -> str | None:
    """In what our answer differs from torch's."""
    try:
        expected = ask(case)
    except Exception as theirs:
        return _refused_likewise(case, theirs, counts)
    counts["numbers"] += 1
    src, wei, bia = case.arrays()
    problem, padded = _problem(case)
    name = _next_algorithm(problem, called)
    try:
        result = conv2d(src, wei, bia, **case.numbers(), algorithm=name, threads=1)
    except Exception as ours:
        return f"torch computes {list(expected.shape)}, and {name} raises {ours!r}"
    if result.shape != tuple(expected.shape) or result.dtype != expected.numpy().dtype:
        return f"torch gives {list(expected.shape)} {expected.dtype}, and {name} {result.shape} {result.dtype}"
    if result.size == 0:
        return None
    assert problem is not None
    return _too_far(case, problem, padded, result, name)


def _problem(case: Case) -> tuple[Conv2dProblem | None, np.ndarray]:
    """What is computed behind the padding, and its input."""
    src, wei, bia = case.arrays()
    numbers = case.numbers()
    if case.padding_mode != "zeros":
        border = border_of(case)
        src = torch.nn.functional.pad(torch.from_numpy(src), border, mode=case.padding_mode).numpy()
        numbers["padding"] = 0
    steps, taps = read_ints("stride", numbers["stride"]), read_ints("dilation", numbers["dilation"])
    asked = Asked(steps, read_padding(numbers["padding"]), taps, numbers["groups"])
    return describe(src, wei, bia, asked).problem, src


def _next_algorithm(problem: Conv2dProblem | None, called: Counter[str]) -> str:
    """Whoever takes the problem and was called least, within his quota."""
    if problem is None:
        return "auto"
    able = [each.name for each in algorithms("fwd") if each.unsupported(problem) is None]
    within = [name for name in ("auto", *able) if called[name] < _QUOTA or name == _COMPILED_ONCE]
    name = min(within, key=lambda each: called[each])
    called[name] += 1
    return name


def _too_far(case: Case, problem: Conv2dProblem, padded: np.ndarray, result: np.ndarray, name: str) -> str | None:
    """The algorithm's stated error against torch in float64, in norms of sums without cancellation."""
    _, wei, bia = case.arrays()
    exact = ask(case, torch.float64).numpy()
    numpys = conv2d_reference(problem, padded.reshape(problem.input_shape), wei, bia, dtype=problem.dtype)
    sizes = ask(case, torch.float64, [None if each is None else np.abs(each) for each in case.arrays()]).numpy()
    rounding = float(np.finfo(problem.dtype).eps) / 2 * float(np.linalg.norm(sizes))
    yardstick = max(float(np.linalg.norm(numpys.reshape(exact.shape) - exact)), rounding)
    factor = max(each.error_factor for each in algorithms("fwd") if name in (each.name, "auto"))
    error = float(np.linalg.norm(result - exact))
    return None if error <= factor * yardstick else f"{name} errs by {error:.3g}, expected {factor * yardstick:.3g}"


def _refused_likewise(case: Case, theirs: Exception, counts: Counter[str]) -> str | None:
    src, wei, bia = case.arrays()
    try:
        conv2d(src, wei, bia, **case.numbers(), threads=1)
    except Exception as ours:
        if isinstance(theirs, TypeError):
            counts["kind"] += 1
            return None if isinstance(ours, TypeError) else f"torch raises {_short(theirs)}, we {ours!r}"
        counts["sentence"] += 1
        wanted = ValueError if isinstance(theirs, ValueError) else RuntimeError
        if isinstance(theirs, IndexError):
            # An empty batch and a kernel of no extent: documented.
            same = str(ours).startswith("kernel size should be greater than zero")
        else:
            same = isinstance(ours, wanted) and isinstance(ours, ValueError) and str(ours) == str(theirs)
        return None if same else f"torch raises {_short(theirs)}, we {ours!r}"
    return f"torch raises {_short(theirs)}, and we compute"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}({str(error)[:300]!r})"


@pytest.mark.parametrize(
    "value", [np.int64(2), np.int8(2), [np.int32(1), 2], (2,), torch.tensor(2), [torch.tensor(1), 2], [np.array(1), 2]]
)
@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
def test_whole_numbers_of_others_are_numbers(name: str, value: Any) -> None:
    _same_result({name: value})


@pytest.mark.parametrize("value", [np.int64(1), np.array(1), torch.tensor(1), torch.tensor([1])])
def test_groups_is_any_whole_number(value: Any) -> None:
    _same_result({"groups": value})


def _same_result(numbers: dict[str, Any]) -> None:
    case = Case([2, 3, 9, 8], [4, 3, 3, 3], [4])
    src, wei, bia = case.arrays()
    expected = torch.nn.functional.conv2d(*(torch.from_numpy(each) for each in (src, wei, bia)), **numbers)
    result = conv2d(src, wei, bia, **numbers, algorithm="direct_naive", threads=1)
    np.testing.assert_allclose(result, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "value",
    [np.bool_(True), [np.bool_(True), 1], [1, np.bool_(True)], np.float32(1), [np.float32(1), 1], np.array([1, 1]),
     np.array([2]), torch.tensor([1, 1]), torch.tensor(1.0), range(1, 3), {1, 2}, {"a": 1}, b"", 1j, object()],
)  # fmt: skip
@pytest.mark.parametrize("name", ["stride", "dilation", "groups"])
def test_what_is_no_number_to_torch_is_none_here(name: str, value: Any) -> None:
    src, wei, _ = Case([1, 3, 9, 8], [4, 3, 3, 3]).arrays()
    with pytest.raises(TypeError):
        torch.nn.functional.conv2d(torch.from_numpy(src), torch.from_numpy(wei), **{name: value})
    with pytest.raises(kernels.ArgumentError, match=f"{name} is .*, expected an int") as caught:
        conv2d(src, wei, **{name: value})
    assert "\n" not in str(caught.value)


def test_an_unequal_dtype_is_the_fault_that_oneDNN_words_otherwise() -> None:
    """The documented difference is there still: if torch's backends agree one day, the note is to go."""
    src, wei, _ = Case([1, 32, 32, 32], [32, 32, 3, 3], dtypes=("float32", "float64", "float32")).arrays()
    with pytest.raises(RuntimeError, match=r"Input type .torch.FloatTensor. and weight type"):
        torch.nn.functional.conv2d(torch.from_numpy(src), torch.from_numpy(wei))
    with pytest.raises(kernels.DtypeError, match="expected scalar type Float but found Double"):
        conv2d(src, wei)


def test_a_tensor_is_read_where_it_lies() -> None:
    case = Case([2, 3, 9, 8], [4, 3, 3, 3], [4])
    src, wei, bia = (torch.from_numpy(each) for each in case.arrays())
    expected = torch.nn.functional.conv2d(src, wei, bia, padding=1).numpy()
    for given in (src, src.to(memory_format=torch.channels_last), src[:, :, :, :], torch.nn.Parameter(src, False)):
        np.testing.assert_allclose(conv2d(given, wei, bia, padding=1, algorithm="direct_naive"), expected, atol=1e-5)
    strided = torch.zeros(2, 3, 18, 8)[:, :, ::2]
    strided.copy_(src)
    np.testing.assert_allclose(conv2d(strided, wei, bia, padding=1, algorithm="direct_naive"), expected, atol=1e-5)
    from kernels.arguments import as_array

    assert as_array("input", src).ctypes.data == src.data_ptr()
    with pytest.raises(RuntimeError, match="requires grad"):
        conv2d(src.clone().requires_grad_(), wei)
