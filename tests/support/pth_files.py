"""PyTorch weight files written opcode by opcode, so that no test of the reader needs PyTorch."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
STORAGE_NAMES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values: Any) -> bytes:
    return b"(" + b"".join(number(int(value)) for value in values) + b"t"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


EMPTY_ORDERED_DICT = named("collections", "OrderedDict") + b")R"


def storage_identity(key: str, kind: str, elements: int, legacy: bool = True) -> bytes:
    """``BINPERSID`` of a storage."""
    head = b"(" + text("storage") + named("torch", kind) + text(key) + text("cpu") + number(elements)
    return head + (b"N" if legacy else b"") + b"tQ"


def tensor(storage: bytes, shape: Any, strides: Any, offset: int = 0) -> bytes:
    """``_rebuild_tensor_v2(storage, offset, shape, strides, False, OrderedDict())``."""
    arguments = storage + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + EMPTY_ORDERED_DICT
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def state_dict(entries: Mapping[str, bytes]) -> bytes:
    """An OrderedDict with `_metadata`, as a module's `state_dict` is."""
    items = b"".join(text(name) + value for name, value in entries.items())
    metadata = b"}" + text("_metadata") + EMPTY_ORDERED_DICT + b"s"
    return b"\x80\x02" + EMPTY_ORDERED_DICT + b"(" + items + b"u" + metadata + b"b."


def strides_of(shape: tuple[int, ...]) -> list[int]:
    return [int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape))]


def entries_of(tensors: Mapping[str, NDArray[Any]], legacy: bool) -> dict[str, bytes]:
    return {
        name: tensor(
            storage_identity(str(index), STORAGE_NAMES[array.dtype.str[1:]], array.size, legacy),
            array.shape,
            strides_of(array.shape),
        )
        for index, (name, array) in enumerate(tensors.items())
    }


def legacy_bytes(pickled: bytes, storages: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A legacy file: `storages` maps keys to element counts and raw elements."""
    head = b"".join(pickle.dumps(item, protocol=2) for item in (MAGIC, 1001, SYSTEM))
    tail = pickle.dumps(list(storages), protocol=2)
    return head + pickled + tail + b"".join(struct.pack("<q", count) + data for count, data in storages.values())


def zip_bytes(pickled: bytes, storages: Mapping[str, bytes], **others: bytes) -> bytes:
    """A zip file; `others` are more entries of the archive's folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickled)
        for name, data in {"byteorder": b"little", "version": b"3\n", **others}.items():
            archive.writestr(f"model/{name}", data)
        for key, data in storages.items():
            archive.writestr(f"model/data/{key}", data)
    return buffer.getvalue()


def file_of(tensors: Mapping[str, NDArray[Any]], legacy: bool = True) -> bytes:
    """What ``torch.save`` of these tensors is, in either container."""
    pickled = state_dict(entries_of(tensors, legacy))
    arrays = {str(index): array for index, array in enumerate(tensors.values())}
    if legacy:
        return legacy_bytes(pickled, {key: (array.size, array.tobytes()) for key, array in arrays.items()})
    return zip_bytes(pickled, {key: array.tobytes() for key, array in arrays.items()})


def lstm_tensors(
    rng: np.random.Generator,
    prefix: str,
    inputs: int,
    units: int,
    layers: int = 1,
    *,
    gates: int = 4,
    bias: bool = True,
    bidirectional: bool = False,
) -> dict[str, NDArray[Any]]:
    """The parameters of an `nn.LSTM` (or, with other `gates`, `nn.GRU` and `nn.RNN`)."""
    tensors: dict[str, NDArray[Any]] = {}
    directions = ("", "_reverse") if bidirectional else ("",)
    for layer in range(layers):
        for direction in directions:
            features = inputs if layer == 0 else units * len(directions)
            shapes = {"weight_ih": (gates * units, features), "weight_hh": (gates * units, units)}
            if bias:
                shapes |= {"bias_ih": (gates * units,), "bias_hh": (gates * units,)}
            for role, shape in shapes.items():
                tensors[f"{prefix}{role}_l{layer}{direction}"] = rng.normal(size=shape).astype(np.float32) / 4
    return tensors


def linear_tensors(rng: np.random.Generator, prefix: str, inputs: int, outputs: int) -> dict[str, NDArray[Any]]:
    """The parameters of an `nn.Linear`."""
    weight = rng.normal(size=(outputs, inputs)).astype(np.float32)
    return {f"{prefix}weight": weight, f"{prefix}bias": rng.normal(size=outputs).astype(np.float32)}
