"""One convolution as an ONNX model, for the libraries that are fed with such files.

Written straight in the protocol buffers' wire format, so that nobody needs the ``onnx``
package to time a library that reads it. Field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kernels import Conv2dProblem
from suite.inputs import Inputs

__all__ = ["INPUT", "OUTPUT", "onnx_model"]

#: Names of the model's input and output.
INPUT, OUTPUT = "x", "y"

_IR_VERSION, _OPSET = 8, 13

#: ``TensorProto.DataType`` and ``AttributeProto.AttributeType``.
_ELEMENT = {"float32": 1, "float64": 11}
_INT, _INTS = 2, 7


def onnx_model(problem: Conv2dProblem, inputs: Inputs) -> bytes:
    """The file of a model with one ``Conv`` node, its weights and bias as initializers, every shape fixed."""
    p = problem
    tensors = [("w", inputs.wei)] + ([] if inputs.bia is None else [("b", inputs.bia)])
    attributes = (
        _ints("kernel_shape", (p.kh, p.kw)),
        _ints("strides", (p.sh, p.sw)),
        _ints("pads", _pads(p)),
        _ints("dilations", (p.dh, p.dw)),
        _message((1, b"group"), (3, p.g), (20, _INT)),
    )
    names = [INPUT, *(name for name, _ in tensors)]
    node = _message(*((1, name.encode()) for name in names), (2, OUTPUT.encode()), (4, b"Conv"), *_all(5, attributes))
    graph = _message(
        (1, node),
        (2, b"convolution"),
        *_all(5, (_tensor(name, array) for name, array in tensors)),
        (11, _value(INPUT, p.input_shape, p.dtype)),
        (12, _value(OUTPUT, p.output_shape, p.dtype)),
    )
    return _message((1, _IR_VERSION), (7, graph), (8, _message((2, _OPSET))))


def _pads(problem: Conv2dProblem) -> tuple[int, int, int, int]:
    assert problem.pb is not None and problem.pr is not None
    return problem.ph, problem.pw, problem.pb, problem.pr


def _tensor(name: str, array: np.ndarray) -> bytes:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return _message(*_all(1, array.shape), (2, _ELEMENT[array.dtype.name]), (8, name.encode()), (9, little.tobytes()))


def _value(name: str, shape: tuple[int, ...], dtype: str) -> bytes:
    dimensions = _message(*_all(1, (_message((1, extent)) for extent in shape)))
    kind = _message((1, _message((1, _ELEMENT[dtype]), (2, dimensions))))
    return _message((1, name.encode()), (2, kind))


def _ints(name: str, values: Iterable[int]) -> bytes:
    return _message((1, name.encode()), *_all(8, values), (20, _INTS))


def _all(field: int, values: Iterable[int | bytes]) -> Iterable[tuple[int, int | bytes]]:
    return ((field, value) for value in values)


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_varint(number << 3), _varint(value)]
        else:
            parts += [_varint(number << 3 | 2), _varint(len(value)), value]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
