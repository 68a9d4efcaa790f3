"""What stands before a function that is to be compiled."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cached_property
from threading import Lock
from types import FunctionType
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np

from accelsim.jit import load
from accelsim.jit.cache import Entry

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])

# The address of the first of some numbers; from Python, a contiguous array of them.
Int8s: TypeAlias = Any
UInt8s: TypeAlias = Any
Int16s: TypeAlias = Any
Int32s: TypeAlias = Any
Int64s: TypeAlias = Any
Float64s: TypeAlias = Any

ADDRESSES: Final = {
    "Int8s": "int8",
    "UInt8s": "uint8",
    "Int16s": "int16",
    "Int32s": "int32",
    "Int64s": "int64",
    "Float64s": "float64",
}
"""numpy's type of the numbers, by the annotation."""
_NUMBERS: Final = {"int": ctypes.c_int64, "float": ctypes.c_double}


class Part:
    """A function that compiled ones call; called from Python, it is the Python function.

    Parameters
    ----------
    function : callable
        Of numbers, and of addresses as kernels hand them on. Compiled for each combination of their types.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.type: Any = None
        """What `build` knows it by."""

    def __call__(self, *arguments: Any) -> Any:
        """Call the Python function."""
        return self.function(*arguments)


def part(function: _Function) -> _Function:
    """`function` as a part of kernels, compiled with each of them."""
    return cast(_Function, Part(function))


class Kernel(Generic[_Arguments, _Result]):
    """A function that Python calls, and that is compiled, or found compiled, when it is first called.

    It must not raise, nor make arrays: neither can stand alone. The globals it reads, and those its parts read, are
    numbers, parts, or modules with such in them.

    Parameters
    ----------
    function : callable
        Its arguments are annotated `Int8s`, `UInt8s`, `Int16s`, `Int32s`, `Int64s`, `Float64s`, `int` (64 bits) or
        `float`; its result is `int`, `float` or None.
    """

    def __init__(self, function: Callable[_Arguments, _Result]) -> None:
        self.function = function
        *self.arguments, self.result = function.__annotations__.values()
        known = {*ADDRESSES, *_NUMBERS}
        if not (known.issuperset(self.arguments) and {*_NUMBERS, "None"} >= {self.result}):
            raise TypeError(f"{self.name} is annotated {function.__annotations__}")
        self._dtypes = [np.dtype(ADDRESSES[kind]) if kind in ADDRESSES else None for kind in self.arguments]
        self._lock = Lock()
        self._address: int | None = None
        self._compiled: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """Where the function is: ``module:name``."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @cached_property
    def entry(self) -> Entry:
        """Its place on disk."""
        return Entry(cast(FunctionType, self.function))

    @property
    def is_ready(self) -> bool:
        """Whether it can be called without being compiled first."""
        return self._address is not None or self.entry.read() is not None

    def prepare(self) -> None:
        """Have it compiled, or found compiled, and loaded."""
        with self._lock:
            if self._address is None:
                code = self.entry.read() or self._build()
                self._address = load.address(code, self.name)

    @property
    def address(self) -> int:
        """Of the machine code."""
        if self._address is None:
            self.prepare()
        return cast(int, self._address)

    def _build(self) -> bytes:
        with self.entry.locked():
            # Whoever was waited for has done it.
            code = self.entry.read()
            if code is None:
                # Numba is imported here alone.
                from accelsim.jit.build import object_code, settings_are_known

                code = object_code(self)
                if settings_are_known():
                    self.entry.write(code)
        return code

    def __call__(self, *arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> _Result:
        """Call the compiled function.

        Raises
        ------
        TypeError
            An array of another type, or one that is not contiguous; an argument by keyword.
        """
        if keywords:
            raise TypeError(f"{self.name} takes no argument by keyword, found {', '.join(keywords)}")
        if self._compiled is None:
            kinds: list[Any] = [_NUMBERS.get(kind, ctypes.c_void_p) for kind in self.arguments]
            result: Any = None if self.result == "None" else _NUMBERS[self.result]
            self._compiled = ctypes.CFUNCTYPE(result, *kinds)(self.address)
        words = [
            argument if dtype is None else _address_of(argument, dtype)
            for argument, dtype in zip(arguments, self._dtypes, strict=True)
        ]
        return cast(_Result, self._compiled(*words))


def kernel(function: Callable[_Arguments, _Result]) -> Kernel[_Arguments, _Result]:
    """`function` as a `Kernel`."""
    return Kernel(function)


class AddressCall:
    """In compiled code, a call of the kernel at an address: of five addresses of int64 and an integer, without result.

    What calls it is compiled without it.
    """

    def __call__(self, _address: int, *_: Any) -> None:
        """There is no such call in Python."""
        raise TypeError("an address can be called in compiled code alone")


call: Final = AddressCall()


def _address_of(array: Any, dtype: np.dtype[Any]) -> int:
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"expected contiguous {dtype} numbers, found {array.dtype}, strides {array.strides}")
    address: int = array.ctypes.data
    return address
