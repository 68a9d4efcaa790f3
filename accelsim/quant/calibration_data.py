"""Frames from a file: what calibration measures and what a run is fed.

Three formats, chosen by the file's suffix: `.npz`, `.npy` and `.bin` (raw little-endian float32 without a header).
Nothing that could execute is ever read: pickles are refused, alone or inside an array file. Every byte count is
checked against the header before an array is made, so a truncated or altered file is an error, not a shorter or
another array; the checksums of a `.npz` cover its values too, those of the arrays that nobody asked for included.
"""

from __future__ import annotations

import math
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, overload

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from accelsim.errors import InputError

PREFERRED_KEY = "features"
"""The array of a `.npz` that holds the frames, where there are several."""

_CHUNK_BYTES = 1 << 20
_PICKLE_SUFFIXES = (".pkl", ".pickle")

# All that the standard library's zip and numpy's header parser raise on a damaged file.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
    MemoryError,
    RecursionError,
)


@overload
def load_frames(
    path: str | Path,
    *,
    key: str | None = None,
    frame_shape: tuple[int, ...] | None = None,
    allow_int8: Literal[False] = False,
) -> NDArray[np.float32]: ...


@overload
def load_frames(
    path: str | Path,
    *,
    key: str | None = None,
    frame_shape: tuple[int, ...] | None = None,
    allow_int8: bool,
) -> NDArray[np.float32] | NDArray[np.int8]: ...


def load_frames(
    path: str | Path,
    *,
    key: str | None = None,
    frame_shape: tuple[int, ...] | None = None,
    allow_int8: bool = False,
) -> NDArray[np.float32] | NDArray[np.int8]:
    """Read frames, the frame axis first.

    Parameters
    ----------
    path : str or Path
        A `.npz` (its `features` array, else its only one, else `key`), `.npy` or `.bin` file.
    key : str, optional
        Name of the array in a `.npz`.
    frame_shape : tuple of int, optional
        Shape of one frame; a `.bin` file has none of its own and needs it, the others are checked against it.
    allow_int8 : bool
        Whether int8 frames, quantized already, are welcome; they are returned as they are.

    Returns
    -------
    float32[N, ...] or int8[N, ...]
        In this machine's byte order, whatever the file's.

    Raises
    ------
    InputError
        The file is missing, empty, truncated, altered, a pickle, of another format, type or shape; or a value is
        NaN or infinite.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _PICKLE_SUFFIXES:
        raise InputError(
            path,
            "",
            "a pickle can run code when it is read and is not opened",
            "the same array saved with numpy.savez as .npz",
        )
    if suffix not in (".npz", ".npy", ".bin"):
        raise InputError(path, "", f"suffix {suffix!r}", ".npz, .npy or .bin")
    if key is not None and suffix != ".npz":
        raise InputError(path, "key", f"{key!r} given for a {suffix} file", "a .npz file, which alone has keys")
    if suffix == ".npz":
        field, array = _read_npz(path, key)
    else:
        try:
            with path.open("rb") as stream:
                if suffix == ".bin":
                    field, array = "", _read_raw(path, stream, frame_shape)
                else:
                    field, array = "", _read_npy(path, "", stream, path.stat().st_size)
        except OSError as error:
            raise InputError(path, "", _reason(error), "a readable file") from error
    return _checked(path, field, array, frame_shape, allow_int8)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "is a directory"
    return f"can't be read ({error.strerror or error})"


def _read_raw(path: Path, stream: IO[bytes], frame_shape: tuple[int, ...] | None) -> NDArray[np.float32]:
    if frame_shape is None:
        raise InputError(path, "frame shape", "not known", "the shape of one frame, since a .bin file has no header")
    frame_bytes = 4 * math.prod(frame_shape)
    data = stream.read()
    if not data or frame_bytes == 0 or len(data) % frame_bytes:
        shape = "x".join(str(size) for size in frame_shape)
        raise InputError(
            path, "size", f"{len(data):,} bytes", f"a multiple of {frame_bytes:,} (frames of {shape} float32)"
        )
    return np.frombuffer(data, dtype="<f4").reshape(-1, *frame_shape)


def _read_npz(path: Path, key: str | None) -> tuple[str, NDArray[Any]]:
    with _opened_npz(path) as (archive, members):
        name = _choose(path, sorted(members), key)
        array = _read_member(path, name, archive, members[name])
        # Reading a member to its end compares its checksum; so does this of the others.
        for other in archive.infolist():
            if other is not members[name]:
                _check_member(path, archive, other)
        return name, array


def load_companions(path: str | Path, expected: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Read arrays that stand beside the frames in a `.npz`, such as labels.

    Parameters
    ----------
    path : str or Path
    expected : mapping of str to str
        What each array should hold, in words, by its name.

    Returns
    -------
    dict of str to ndarray
        Those that are there.

    Raises
    ------
    InputError
        The file or one of the arrays is damaged, or an array holds Python objects.
    """
    path = Path(path)
    with _opened_npz(path) as (archive, members):
        return {
            name: _read_member(path, name, archive, members[name], held)
            for name, held in expected.items()
            if name in members
        }


@contextmanager
def _opened_npz(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The archive and its members by the names of their arrays; damage found while it is open is told in one line."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    except InputError:
        raise
    except OSError as error:
        raise InputError(path, "", _reason(error), "a readable file") from error
    except _DAMAGE as error:
        raise InputError(path, "", f"damaged or not a .npz file ({_brief(error)})") from error


def _read_member(
    path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, expected: str = "float32 numbers"
) -> NDArray[Any]:
    with archive.open(info) as member:
        return _read_npy(path, name, member, info.file_size, expected)


def _check_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """Compare a member's checksum with what it holds."""
    try:
        with archive.open(info) as member:
            while member.read(_CHUNK_BYTES):
                pass
    except _DAMAGE as error:
        name = info.filename.removesuffix(".npy")
        raise InputError(
            path, name, f"damaged ({_brief(error)})", "an array with the checksum it was saved with"
        ) from error


def _choose(path: Path, names: list[str], key: str | None) -> str:
    held = ", ".join(names) or "nothing"
    if key is not None:
        if key not in names:
            raise InputError(path, "key", f"no array {key!r}", f"one of: {held}")
        return key
    if PREFERRED_KEY in names:
        return PREFERRED_KEY
    if len(names) != 1:
        raise InputError(
            path, "key", f"no array {PREFERRED_KEY!r} and not exactly one array", f"the name of one of: {held}"
        )
    return names[0]


def _read_npy(path: Path, field: str, stream: IO[bytes], size: int, expected: str = "float32 numbers") -> NDArray[Any]:
    """Read one array of `size` bytes, header included; nothing is allocated before the sizes agree."""
    counted = _Counted(stream)
    try:
        version = npy_format.read_magic(counted)
        readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"format version {version}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of a header it had to repair; the sizes below decide
            shape, fortran_order, dtype = readers[version](counted)
        if dtype.hasobject:
            raise InputError(path, field, "an array of pickled Python objects, which is not opened", expected)
        count = math.prod(shape)
        held = size - counted.count
        if held != count * dtype.itemsize:
            raise InputError(
                path, field, f"{held:,} bytes of values", f"{count * dtype.itemsize:,} for {dtype} {_text(shape)}"
            )
        data = bytearray(stream.read(held))
        if len(data) != held:
            raise InputError(path, field, f"{len(data):,} bytes of values", f"{held:,}, as the file's directory says")
        array = np.frombuffer(data, dtype=dtype)
        return array.reshape(shape, order="F" if fortran_order else "C")
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(path, field, f"damaged or not a .npy array ({_brief(error)})") from error


class _Counted:
    """A stream that knows how many bytes were read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


def _brief(error: BaseException) -> str:
    """The first line of an error, kept short."""
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:120]


def _text(shape: tuple[object, ...]) -> str:
    return f"[{', '.join(str(size) for size in shape)}]"


def _checked(
    path: Path, field: str, array: NDArray[Any], frame_shape: tuple[int, ...] | None, allow_int8: bool
) -> NDArray[np.float32] | NDArray[np.int8]:
    if frame_shape is not None and array.shape[1:] != tuple(frame_shape):
        expected = _text(("N", *frame_shape))
        raise InputError(path, field, f"shape {_text(array.shape)}", f"{expected}, the frames first")
    if array.ndim < 2:
        raise InputError(path, field, f"shape {_text(array.shape)}", "a leading frame axis and at least one more")
    if array.size == 0:
        raise InputError(path, field, f"no values (shape {_text(array.shape)})", "at least one frame")
    if allow_int8 and array.dtype == np.int8:
        return np.ascontiguousarray(array)
    if array.dtype.newbyteorder("=") != np.float32:
        # Another width is another rounding, and whose it should be is not ours to choose.
        raise InputError(path, field, f"type {array.dtype}", "float32 or int8" if allow_int8 else "float32")
    frames = np.ascontiguousarray(array, dtype=np.float32)
    check_finite(path, field, frames)
    return frames


def check_finite(where: str | Path, field: str, frames: NDArray[np.float32]) -> None:
    """Refuse NaN and infinite values.

    Raises
    ------
    InputError
        Names the index of the first one.
    """
    finite = np.isfinite(frames)
    if not finite.all():
        index = tuple(int(axis[0]) for axis in np.nonzero(~finite))
        count = int(frames.size - finite.sum())
        raise InputError(where, field, f"{frames[index]} at index {_text(index)} ({count:,} in all)", "finite numbers")
