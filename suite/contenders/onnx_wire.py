"""ONNX models, for the libraries that are fed with such files.

Written straight in the protocol buffers' wire format, so that the ``onnx`` package
is not needed to time a library that reads it. Field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

import numpy as np

__all__ = ["Value", "model_bytes", "node_bytes"]

#: A value's name and shape.
Value = tuple[str, tuple[int, ...]]

_IR_VERSION, _OPSET = 8, 13

#: ``TensorProto.DataType``.
_ELEMENT = {"float32": 1, "int64": 7, "float64": 11}

#: ``AttributeProto.AttributeType``.
_FLOAT, _INT, _INTS = 1, 2, 7

#: A field's number, and what is in it; of a float the message has 32 bits.
_Field = tuple[int, "int | float | bytes"]


def node_bytes(
    operator: str, sources: Iterable[str], result: str, attributes: Mapping[str, int | float | tuple[int, ...]] = {}
) -> bytes:
    """One node with one result."""
    return _message(
        *_all(1, (name.encode() for name in sources)),
        (2, result.encode()),
        (4, operator.encode()),
        *_all(5, (_attribute(name, value) for name, value in attributes.items())),
    )


def model_bytes(
    nodes: Iterable[bytes],
    initializers: Mapping[str, np.ndarray],
    inputs: Iterable[Value],
    outputs: Iterable[Value],
    dtype: str = "float32",
) -> bytes:
    """The file of a model whose inputs and outputs are of ``dtype``, every shape fixed."""
    graph = _message(
        *_all(1, nodes),
        (2, b"convmark"),
        *_all(5, (_tensor(name, array) for name, array in initializers.items())),
        *_all(11, (_value(name, shape, dtype) for name, shape in inputs)),
        *_all(12, (_value(name, shape, dtype) for name, shape in outputs)),
    )
    return _message((1, _IR_VERSION), (7, graph), (8, _message((2, _OPSET))))


def _attribute(name: str, value: int | float | tuple[int, ...]) -> bytes:
    named = (1, name.encode())
    if isinstance(value, tuple):
        return _message(named, *_all(8, value), (20, _INTS))
    number, kind = (2, _FLOAT) if isinstance(value, float) else (3, _INT)
    return _message(named, (number, value), (20, kind))


def _tensor(name: str, array: np.ndarray) -> bytes:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return _message(*_all(1, array.shape), (2, _ELEMENT[array.dtype.name]), (8, name.encode()), (9, little.tobytes()))


def _value(name: str, shape: tuple[int, ...], dtype: str) -> bytes:
    dimensions = _message(*_all(1, (_message((1, extent)) for extent in shape)))
    kind = _message((1, _message((1, _ELEMENT[dtype]), (2, dimensions))))
    return _message((1, name.encode()), (2, kind))


def _all(field: int, values: Iterable[int | bytes]) -> Iterable[_Field]:
    return ((field, value) for value in values)


def _message(*fields: _Field) -> bytes:
    parts = []
    for number, value in fields:
        # The lowest three bits say how the value is written: as a varint, 32 bits, or bytes after their count.
        if isinstance(value, float):
            parts += [_varint(number << 3 | 5), struct.pack("<f", value)]
        elif isinstance(value, bytes):
            parts += [_varint(number << 3 | 2), _varint(len(value)), value]
        else:
            parts += [_varint(number << 3), _varint(value)]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    # Negative numbers are written as the 64 bits that they have.
    value &= 2**64 - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
