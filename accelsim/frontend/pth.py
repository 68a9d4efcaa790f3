"""PyTorch `state_dict` files, read without PyTorch and without executing anything they hold.

Two containers are in use. The legacy one is a row of pickles (magic number, protocol, system information, the
objects, the storage keys) followed by each storage as an int64 element count and its raw elements. The newer one is
an uncompressed zip archive of ``NAME/data.pkl``, ``NAME/byteorder`` and one ``NAME/data/KEY`` a storage.

Source: PyTorch `torch/serialization.py` (`_legacy_save`, `_save`).
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.frontend.pickle_machine import PickleError, PickleMachine

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_ZIP_START = b"PK\x03\x04"
_EXPECTED = "a PyTorch state_dict (torch.save(model.state_dict(), file))"
_COUNT_BYTES = 8
_MAX_RANK = 8
_EXPANDED_ELEMENTS = 1 << 24
_SHARED_TIMES = 4
"""Tensors may overlap, as an expanded one or tied weights do, and a few bytes could stand for any number of elements:
beyond this many elements in all, a file may not have more than this many times what it stores."""

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


@dataclass(frozen=True)
class _StorageType:
    """What a storage's elements are; `dtype` is numpy's name, or bfloat16, which numpy lacks."""

    dtype: str

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype its bytes are read as."""
        return np.dtype("<u2" if self.dtype == "bfloat16" else self.dtype)


@dataclass(frozen=True)
class _Storage:
    key: str
    type: _StorageType
    elements: int


@dataclass(frozen=True)
class _Strided:
    """A tensor as the pickle describes it, a window onto a storage; sizes in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a PyTorch `state_dict` file, legacy or zip.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to ndarray
        In file order. Floating point tensors (float64, float32, float16, bfloat16) as float32, integer and bool
        tensors in their own type.

    Raises
    ------
    InputError
        If the file can't be read, is no `state_dict`, is damaged, holds anything but tensors, or holds NaN or
        infinity.
    """
    data = _read_file(Path(path))
    try:
        described, storages = _read_zip(data) if data.startswith(_ZIP_START) else _read_legacy(data)
        if not described:
            raise _DamageError("it holds no tensor", _EXPECTED)
        _check_size(described.values())
        return {name: _tensor(name, tensor, storages) for name, tensor in described.items()}
    except _DamageError as damage:
        raise InputError(path, damage.field, damage.found, damage.expected) from damage
    except PickleError as error:
        raise InputError(path, "pickle", str(error), _EXPECTED) from error


class _DamageError(Exception):
    """An `InputError` before it knows its file."""

    def __init__(self, found: str, expected: str = "", field: str = "") -> None:
        self.found, self.expected, self.field = found, expected, field
        super().__init__(found)


def _read_file(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, "", f"can't be read ({error.strerror or error})", "a PyTorch state_dict file") from error
    if not data:
        raise InputError(path, "", "the file is empty", _EXPECTED)
    return data


def _machine(storages: dict[str, _Storage]) -> PickleMachine:
    """A machine that knows tensors only; the storages it meets are collected in `storages`."""

    def persistent_load(identity: Any) -> _Storage:
        storage = _storage(identity)
        if storages.setdefault(storage.key, storage) != storage:
            raise PickleError(f"storage {storage.key!r} is described in two ways")
        return storage

    constructors: dict[str, Any] = {f"torch.{name}": _StorageType(dtype) for name, dtype in _DTYPES.items()}
    constructors["collections.OrderedDict"] = _ordered_dict
    constructors["torch._utils._rebuild_tensor_v2"] = _rebuild_tensor
    constructors["torch._utils._rebuild_parameter"] = _rebuild_parameter
    return PickleMachine(constructors, persistent_load)


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise PickleError("an OrderedDict is built with arguments")
    return {}


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _storage(identity: Any) -> _Storage:
    """A storage's persistent id: ("storage", type, key, device, elements), and a sixth, None, in legacy files."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise PickleError("a storage is not described as one")
    _, kind, key, _, elements = identity[:5]
    if not isinstance(kind, _StorageType) or not isinstance(key, str) or not _is_count(elements):
        raise PickleError("a storage is described with wrong types")
    if len(identity) == 6 and identity[5] is not None:
        raise PickleError(f"storage {key!r} is a view of another, which is not supported")
    return _Storage(key, kind, elements)


def _rebuild_tensor(arguments: tuple[Any, ...]) -> _Strided:
    """``(storage, offset, shape, strides, requires_grad, hooks[, metadata])``."""
    if len(arguments) not in (6, 7) or not isinstance(arguments[0], _Storage):
        raise PickleError("a tensor is described with wrong arguments")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or not len(shape) == len(strides) <= _MAX_RANK:
        raise PickleError("a tensor's shape and strides do not match")
    if not all(map(_is_count, (offset, *shape, *strides))):
        raise PickleError("a tensor's offset, shape or strides are no counts")
    return _Strided(storage, offset, shape, strides)


def _rebuild_parameter(arguments: tuple[Any, ...]) -> _Strided:
    if len(arguments) != 3 or not isinstance(arguments[0], _Strided):
        raise PickleError("a parameter is described with wrong arguments")
    return arguments[0]


def _state_dict(loaded: Any) -> dict[str, _Strided]:
    if not isinstance(loaded, dict):
        raise _DamageError(f"it holds a {type(loaded).__name__}", _EXPECTED)
    for name, value in loaded.items():
        if not isinstance(name, str):
            raise _DamageError(f"a key is {name!r}", "the names of tensors")
        if not isinstance(value, _Strided):
            raise _DamageError(f"is a {type(value).__name__}, not a tensor", _EXPECTED, f"entry {name!r}")
    return loaded


def _read_legacy(data: bytes) -> tuple[dict[str, _Strided], dict[str, bytes]]:
    position = 0

    def following(machine: PickleMachine) -> Any:
        nonlocal position
        loaded, size = machine.load(data[position:])
        position += size
        return loaded

    try:
        magic = following(PickleMachine())
    except PickleError as error:
        raise _DamageError(f"it starts with neither a zip archive nor a pickle ({error})", _EXPECTED) from error
    if type(magic) is not int or magic != _LEGACY_MAGIC:
        raise _DamageError("its first pickle is not PyTorch's magic number", _EXPECTED)
    protocol = following(PickleMachine())
    if type(protocol) is not int or protocol != _LEGACY_PROTOCOL:
        raise _DamageError("another protocol version", str(_LEGACY_PROTOCOL), "protocol version")
    system = following(PickleMachine())
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _DamageError("not little endian", "a file written on a little-endian machine", "system information")
    storages: dict[str, _Storage] = {}
    described = _state_dict(following(_machine(storages)))
    keys = following(PickleMachine())
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _DamageError("is no list of keys", field="storage list")
    if len(set(keys)) != len(keys) or set(keys) != set(storages):
        raise _DamageError("does not name the storages that the tensors use, each once", field="storage list")
    contents: dict[str, bytes] = {}
    for key in keys:
        storage, field = storages[key], f"storage {key!r}"
        count = int.from_bytes(data[position : position + _COUNT_BYTES], "little", signed=True)
        position += _COUNT_BYTES
        size = storage.elements * storage.type.stored.itemsize
        if position + size > len(data):
            raise _DamageError(f"{max(len(data) - position, 0)} bytes", f"{size} bytes (the file is truncated)", field)
        if count != storage.elements:
            raise _DamageError(f"{count} elements", f"{storage.elements}, as its tensors say", field)
        contents[key] = data[position : position + size]
        position += size
    if position != len(data):
        raise _DamageError(f"{len(data) - position} bytes after the last storage", "the end of the file")
    return described, contents


def _read_zip(data: bytes) -> tuple[dict[str, _Strided], dict[str, bytes]]:
    entries = _zip_entries(data)
    roots = [name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise _DamageError("the zip archive has no single NAME/data.pkl", _EXPECTED)
    root = roots[0]
    if f"{root}constants.pkl" in entries:
        raise _DamageError("a TorchScript archive (torch.jit.save)", _EXPECTED)
    order = entries.get(f"{root}byteorder", b"little")
    if order != b"little":
        raise _DamageError(repr(order.decode("latin-1")), "'little'", "byteorder")
    storages: dict[str, _Storage] = {}
    pickle = entries[f"{root}data.pkl"]
    loaded, size = _machine(storages).load(pickle)
    if size != len(pickle):
        raise PickleError(f"{len(pickle) - size} bytes follow it in data.pkl")
    described = _state_dict(loaded)
    folder = f"{root}data/"
    contents = {name[len(folder) :]: content for name, content in entries.items() if name.startswith(folder)}
    for key, storage in storages.items():
        size = storage.elements * storage.type.stored.itemsize
        if key not in contents:
            raise _DamageError("is missing from the archive", field=f"storage {key!r}")
        if len(contents[key]) != size:
            raise _DamageError(f"{len(contents[key])} bytes", f"{size} bytes", f"storage {key!r}")
    unused = sorted(contents.keys() - storages.keys())
    if unused:
        raise _DamageError("belongs to no tensor", field=f"storage {unused[0]!r}")
    return described, contents


def _zip_entries(data: bytes) -> dict[str, bytes]:
    """Every entry's content, its checksum verified.

    PyTorch stores its entries as they are, so an archive can't be larger than its file: a compressed entry is refused.
    """
    entries: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data):
                    raise _DamageError("is compressed", "entries stored as they are", f"entry {entry.filename!r}")
                if entry.filename in entries:
                    raise _DamageError("stands twice in the archive", field=f"entry {entry.filename!r}")
                entries[entry.filename] = archive.read(entry)
    # zipfile reports damage with all of these: bad offsets, checksums, encrypted or unknown entries, names.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, OverflowError) as error:
        raise _DamageError(f"the zip archive is damaged ({error})", _EXPECTED) from error
    return entries


def _check_size(tensors: Collection[_Strided]) -> None:
    asked = sum(math.prod(tensor.shape) for tensor in tensors)
    held = sum(storage.elements for storage in {tensor.storage for tensor in tensors})
    if asked > max(_EXPANDED_ELEMENTS, _SHARED_TIMES * held):
        most = f"at most {_SHARED_TIMES} times as many, or {_EXPANDED_ELEMENTS:,}"
        raise _DamageError(f"its tensors have {asked:,} elements, its storages {held:,}", most)


def _tensor(name: str, tensor: _Strided, storages: Mapping[str, bytes]) -> NDArray[Any]:
    field, storage = f"tensor {name!r}", tensor.storage
    elements = math.prod(tensor.shape)
    if elements == 0:
        raise _DamageError(f"is empty, of shape {tensor.shape}", "at least one element", field)
    # The stride of an axis of size 1 is never used, whatever stands there.
    strides = [stride if size > 1 else 0 for size, stride in zip(tensor.shape, tensor.strides, strict=True)]
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    if last >= storage.elements:
        raise _DamageError(
            f"shape {tensor.shape}, strides {tensor.strides} at {tensor.offset} exceed storage {storage.key!r}",
            f"{storage.elements} elements at most",
            field,
        )
    flat = np.frombuffer(storages[storage.key], storage.type.stored)
    byte_strides = tuple(stride * flat.itemsize for stride in strides)
    window = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, byte_strides, writeable=False)
    return _converted(field, window, storage.type)


def _converted(field: str, window: NDArray[Any], kind: _StorageType) -> NDArray[Any]:
    """A copy in the type the caller sees; numbers that float32 can't hold are refused as infinities are."""
    if kind.dtype == "bfloat16":
        values = (np.ascontiguousarray(window).astype(np.uint32) << np.uint32(16)).view(np.float32)
    elif window.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.array(window, np.float32)
    else:
        return np.array(window)
    if not np.isfinite(values).all():
        raise _DamageError("holds NaN or infinity", "finite float32 numbers", field)
    return values.reshape(window.shape)
