"""The one description of a convolution that every room of the project shares."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kernels.errors import ProblemError, UnsupportedProblem
from kernels.problem_text import KEYS, problem_text, read_problem_text

__all__ = ["Conv2dProblem", "ProblemError", "UnsupportedProblem"]

_DTYPES = {"float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class Conv2dProblem:
    """A two-dimensional convolution with every extent fixed.

    Letters are oneDNN's. All extents are in elements; dilation 1 is dense.

    Parameters
    ----------
    ic, ih, iw : int
        Input channels, height and width. ``src`` has shape ``(mb, ic, ih, iw)``.
    oc, kh, kw : int
        Output channels, kernel height and width. ``wei`` has shape
        ``(oc, ic // g, kh, kw)``.
    mb : int
        Batch. Zero is allowed and gives an empty result.
    g : int
        Groups; must divide ``ic`` and ``oc``.
    sh, sw : int
        Stride.
    ph, pw : int
        Zeros above and to the left.
    pb, pr : int, optional
        Zeros below and to the right; ``None`` copies ``ph`` and ``pw``.
    dh, dw : int
        Dilation.
    bias : bool
        Whether a vector of ``oc`` numbers is added.
    dtype : {"float32", "float64"}
        Element type of every array.

    Raises
    ------
    ProblemError
        An extent is out of range, ``g`` does not divide, or the kernel is larger
        than the padded input.
    """

    ic: int
    ih: int
    iw: int
    oc: int
    kh: int
    kw: int
    mb: int = 1
    g: int = 1
    sh: int = 1
    sw: int = 1
    ph: int = 0
    pw: int = 0
    pb: int | None = None
    pr: int | None = None
    dh: int = 1
    dw: int = 1
    bias: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.pb is None:
            object.__setattr__(self, "pb", self.ph)
        if self.pr is None:
            object.__setattr__(self, "pr", self.pw)
        for key in KEYS:
            value = getattr(self, key)
            least = 0 if key in ("mb", "ph", "pw", "pb", "pr") else 1
            if isinstance(value, bool) or not isinstance(value, int):
                raise ProblemError(f"{key} is {value!r}, expected an integer")
            if value < least:
                raise ProblemError(f"{key} is {value}, expected at least {least}")
        if self.dtype not in _DTYPES:
            raise ProblemError(f"dtype is {self.dtype!r}, expected one of {', '.join(_DTYPES)}")
        for key in ("ic", "oc"):
            if getattr(self, key) % self.g:
                raise ProblemError(f"{key} is {getattr(self, key)}, expected a multiple of g={self.g}")
        padded, kernel = self.padded_shape, self.kernel_extent
        if kernel[0] > padded[0] or kernel[1] > padded[1]:
            raise ProblemError(
                f"kernel extent {kernel[0]}x{kernel[1]} (dilation included) is larger than "
                f"the padded input {padded[0]}x{padded[1]}"
            )

    # -- geometry ---------------------------------------------------------

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Height and width of one source plane with its padding."""
        assert self.pb is not None and self.pr is not None
        return self.ih + self.ph + self.pb, self.iw + self.pw + self.pr

    @property
    def kernel_extent(self) -> tuple[int, int]:
        """Height and width that a kernel spans, its dilation included."""
        return (self.kh - 1) * self.dh + 1, (self.kw - 1) * self.dw + 1

    @property
    def oh(self) -> int:
        """Output height."""
        return (self.padded_shape[0] - self.kernel_extent[0]) // self.sh + 1

    @property
    def ow(self) -> int:
        """Output width."""
        return (self.padded_shape[1] - self.kernel_extent[1]) // self.sw + 1

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``src``: ``(mb, ic, ih, iw)``."""
        return self.mb, self.ic, self.ih, self.iw

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``wei``: ``(oc, ic // g, kh, kw)``."""
        return self.oc, self.ic // self.g, self.kh, self.kw

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``dst``: ``(mb, oc, oh, ow)``."""
        return self.mb, self.oc, self.oh, self.ow

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return _DTYPES[self.dtype]

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel is a group of its own."""
        return self.g == self.ic and self.g > 1

    # -- work -------------------------------------------------------------

    @property
    def macs_nominal(self) -> int:
        """Multiply-adds by the usual formula, taps that fall on padding included."""
        return self.mb * self.oc * self.oh * self.ow * (self.ic // self.g) * self.kh * self.kw

    @property
    def macs_useful(self) -> int:
        """Multiply-adds of taps that fall inside the input."""
        rows = _inside_taps(self.oh, self.kh, self.sh, self.dh, self.ph, self.ih)
        columns = _inside_taps(self.ow, self.kw, self.sw, self.dw, self.pw, self.iw)
        return self.mb * self.oc * (self.ic // self.g) * rows * columns

    # -- text -------------------------------------------------------------

    def __str__(self) -> str:
        return problem_text({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def parse(cls, text: str) -> Conv2dProblem:
        """Read a problem from its text form; the inverse of ``str``.

        Keys are the parameter names, each followed by its number and joined without a
        separator. ``iw kw sw pw dw`` copy ``ih kh sh ph dh`` where they are missing,
        ``pb pr`` copy ``ph pw``; ``b1`` adds a bias and ``f64`` selects float64.

        Parameters
        ----------
        text : str
            For instance ``"g32mb1ic128ih56oc128kh3sh1ph1"``.

        Returns
        -------
        Conv2dProblem

        Raises
        ------
        ProblemError
            The text does not parse, names an unknown or repeated key, or describes
            an impossible convolution.

        Examples
        --------
        >>> str(Conv2dProblem.parse("ic64ih56iw56oc64kh3kw3ph1"))
        'ic64ih56oc64kh3ph1'
        """
        return cls(**read_problem_text(text))

    def replace(self, **changes: object) -> Conv2dProblem:
        """Return a copy with some extents changed and every other one kept."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Conv2dProblem(**{**values, **changes})


def _inside_taps(out: int, kernel: int, stride: int, dilation: int, pad: int, extent: int) -> int:
    """Count pairs (output position, tap) along one axis that read a real input element."""
    total = 0
    for tap in range(kernel):
        # 0 <= o * stride + tap * dilation - pad < extent
        shift = tap * dilation - pad
        first = max(0, -(shift // stride))
        last = min(out - 1, (extent - 1 - shift) // stride)
        total += max(0, last - first + 1)
    return total
