"""The checker: the one place that decides 'correct'."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from kernels import Algorithm, Conv2dProblem, conv2d_exact, conv2d_reference, error_unit
from suite.check.bound import bind
from suite.check.inputs import Inputs, make_inputs
from suite.check.tolerance import Tolerance

__all__ = ["LEAST_ERROR", "Check", "Errors", "Expected", "ExpectedConvolution", "Oracle", "verify"]

#: NumPy's own error can be nearly nothing on few taps; as a unit of errors it is at least one rounding.
LEAST_ERROR = {"float32": 2.0**-24, "float64": 2.0**-53}


@dataclass(frozen=True)
class Check:
    """The verdict on one result.

    Attributes
    ----------
    status : {"ok", "skipped", "wrong"}
    rel_error : float
        Relative L2 error against float64 on normal values; NaN if it was not computed.
    reason : str
        Why it is skipped or wrong; empty for ok.
    """

    status: str
    rel_error: float
    reason: str


@dataclass(frozen=True)
class Errors:
    """How far a result is from float64: its relative L2 error, and the most that one element errs by."""

    relative: float
    largest: float


class Expected:
    """An expected result, which any number of others are compared with.

    Parameters
    ----------
    exact : ndarray
        In float64.
    rest : ndarray, optional
        What ``exact`` lacks, if results in float64 are compared with it.
    """

    def __init__(self, exact: np.ndarray, rest: np.ndarray | None = None) -> None:
        self.exact, self._rest = exact, rest

    @functools.cached_property
    def _magnitude(self) -> float:
        return float(np.abs(self.exact).max(initial=0.0))

    @functools.cached_property
    def _size(self) -> float:
        return float(np.linalg.norm(self.exact))

    def errors(self, dst: np.ndarray) -> Errors:
        """Errors of a result that has the right shape."""
        difference = dst.astype(np.float64) - self.exact
        if self._rest is not None:
            difference -= self._rest
        return Errors(
            float(np.linalg.norm(difference)) / (self._size or 1.0), float(np.abs(difference).max(initial=0.0))
        )

    def _finite(self, dst: np.ndarray) -> str | None:
        if dst.shape != self.exact.shape:
            return f"result has shape {dst.shape}, expected {self.exact.shape}"
        bad = int(dst.size - np.count_nonzero(np.isfinite(dst)))
        return f"{bad} of {dst.size} elements are not finite" if bad else None

    def equal(self, dst: np.ndarray, *, rounded: bool = False) -> Check:
        """Check a result on the integer fill: every element equal, after rounding if ``rounded``."""
        reason = self._finite(dst)
        if reason is None:
            wrong = int(np.count_nonzero((np.rint(dst) if rounded else dst) != self.exact))
            reason = f"{wrong} of {dst.size} elements differ from the exact integers" if wrong else None
        return Check("wrong" if reason else "ok", float("nan"), reason or "")

    def within(self, dst: np.ndarray, limit: float) -> Check:
        """Check a result on normal values by its relative L2 error.

        No element errs by more than the limit times the largest expected magnitude times
        eight, so that one wrong element cannot hide in the norm.
        """
        reason = self._finite(dst)
        if reason is not None:
            return Check("wrong", float("nan"), reason)
        found = self.errors(dst)
        error, worst, most = found.relative, found.largest, 8 * limit * self._magnitude
        if error > limit:
            return Check("wrong", error, f"relative L2 error is {error:.3g}, expected at most {limit:.3g}")
        if worst > most:
            return Check("wrong", error, f"one element errs by {worst:.3g}, expected at most {most:.3g}")
        return Check("ok", error, "")


class ExpectedConvolution(Expected):
    """The expected results of one problem on one fill.

    Parameters
    ----------
    problem : Conv2dProblem
    inputs : Inputs
    """

    def __init__(self, problem: Conv2dProblem, inputs: Inputs) -> None:
        given = problem, inputs.first, inputs.second, inputs.bia
        # Float64 errs as much as what it would judge.
        super().__init__(*(conv2d_exact(*given) if problem.dtype == "float64" else (conv2d_reference(*given),)))
        self.problem = problem
        self._inputs = inputs

    @functools.cached_property
    def numpy_errors(self) -> Errors:
        """Errors of NumPy's own arithmetic of the problem's precision, one rounding at least."""
        inputs = self._inputs
        found = self.errors(
            conv2d_reference(self.problem, inputs.first, inputs.second, inputs.bia, dtype=self.problem.dtype)
        )
        least = LEAST_ERROR[self.problem.dtype]
        return Errors(max(found.relative, least), max(found.largest, least * self._magnitude))

    @property
    def numpy_error(self) -> float:
        """Relative L2 error of NumPy's own arithmetic."""
        return self.numpy_errors.relative

    def close(self, dst: np.ndarray, error_factor: float) -> Check:
        """Check a result on normal values.

        The relative L2 error is at most ``error_factor`` times `kernels.error_unit`, or NumPy's own error if that is
        more, as it is on values that are not normal.
        """
        return self.within(dst, error_factor * max(self.numpy_error, self._cancelled * error_unit(self.problem)))

    @functools.cached_property
    def _cancelled(self) -> float:
        """How much smaller the result is than it is expected to be of independent values and without padding.

        Of few outputs all may be small by chance, or lie on padding; errors are not smaller for that.
        """
        inputs, outputs = self._inputs, self.exact.size
        if not (outputs and inputs.first.size and inputs.second.size):
            return 1.0
        products = self.problem.macs_nominal / outputs
        squares = [float(np.mean(each.astype(np.float64) ** 2)) for each in (inputs.first, inputs.second)]
        return max(1.0, float(np.sqrt(products * outputs * squares[0] * squares[1])) / (self._size or 1.0))


class Oracle:
    """The fills of one problem and the results expected on them, made once and shared by every contender.

    Contenders are given copies of the arrays: one that writes into its inputs is wrong, and
    spoils nothing for those after it.

    Parameters
    ----------
    problem : Conv2dProblem

    Attributes
    ----------
    fills : tuple of str
        What a whole verification computes on; times are those of the last.
    """

    fills = ("integer", "normal")

    def __init__(self, problem: Conv2dProblem) -> None:
        self.problem = problem
        self._filled: dict[str, tuple[Inputs, ExpectedConvolution]] = {}

    @property
    def most_bytes(self) -> int:
        """What it holds once it was asked for all `fills`: inputs, and results in float64."""
        p = self.problem
        read = sum(math.prod(shape) for shape in (*p.operand_shapes, p.bias_shape))
        return len(self.fills) * (p.itemsize * read + 8 * math.prod(p.result_shape))

    @property
    def integer(self) -> tuple[Inputs, ExpectedConvolution]:
        """Whole numbers, and the result expected on them."""
        return self.filled("integer")

    @property
    def normal(self) -> tuple[Inputs, ExpectedConvolution]:
        """Normal values, and the result expected on them."""
        return self.filled("normal")

    def filled(self, fill: str) -> tuple[Inputs, ExpectedConvolution]:
        """The arrays that `make_inputs` gives for a fill, and the result expected on them."""
        if fill not in self._filled:
            inputs = make_inputs(self.problem, fill)
            self._filled[fill] = inputs, ExpectedConvolution(self.problem, inputs)
        return self._filled[fill]

    def compare(self, tolerance: Tolerance, fill: str, dst: np.ndarray) -> Check:
        """Check a result that was computed of the arrays that `make_inputs` gives for ``fill``."""
        if fill == "integer":
            return self.integer[1].equal(dst, rounded=tolerance.integers == "rounded")
        if tolerance.rel_error is not None:
            return self.normal[1].within(dst, tolerance.rel_error)
        assert tolerance.error_factor is not None
        return self.normal[1].close(dst, tolerance.error_factor)

    def check(self, algorithm: Algorithm, threads: int = 1) -> Check:
        """Run one algorithm on both fills, with result and workspace poisoned before.

        Returns
        -------
        Check
            ``skipped`` with the algorithm's own reason if it refuses the problem.
        """
        refusal = algorithm.unsupported(self.problem)
        if refusal is not None:
            return Check("skipped", float("nan"), refusal)
        check = self._check_fill("integer", algorithm, threads)
        return check if check.status == "wrong" else self._check_fill("normal", algorithm, threads)

    def _check_fill(self, fill: str, algorithm: Algorithm, threads: int) -> Check:
        """Check one run, on condition that it left its inputs as they were."""
        dst, spoilt = self.compute(fill, algorithm, threads)
        return Check("wrong", float("nan"), spoilt) if spoilt else self.compare(Tolerance.of(algorithm), fill, dst)

    def compute(self, fill: str, algorithm: Algorithm, threads: int = 1) -> tuple[np.ndarray, str]:
        """Run one algorithm on one fill, with result and workspace poisoned before.

        Returns
        -------
        dst : ndarray
        spoilt : str
            Which of its inputs it wrote to, as a reason to call it wrong; empty for none.
        """
        inputs, _ = self.filled(fill)
        given = inputs.copy()
        dst = bind(self.problem, given, algorithm=algorithm.name, threads=threads).call()
        for name, before in inputs.named.items():
            if not np.array_equal(before, given.named[name]):
                return dst, f"{name} was written to, expected to be only read"
        return dst, ""


def verify(problem: Conv2dProblem, algorithm: Algorithm, threads: int = 1) -> Check:
    """Check one algorithm on one problem; for several on the same, keep a `Oracle`."""
    return Oracle(problem).check(algorithm, threads)
