"""A pickle reader that can build plain data and what its caller lists, and nothing else.

Python's own `pickle.Unpickler` imports what a file names and lets a file choose its memory use (a memo index of four
bytes). This one interprets the few opcodes that tensor files are written with, from `pickletools.genops`, calls only
the callables it was given, and keeps everything in proportion to the bytes it read.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

MAX_PICKLE_BYTES = 4 << 20
"""A state_dict needs about 300 bytes of pickle a tensor: more than this is no model this package could run."""


class PickleError(Exception):
    """The pickle is damaged, too large, or asks for something that is not allowed."""


class ForbiddenGlobalError(PickleError):
    """The pickle names a global that is not on the list."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"global {name!r} is not allowed in a file of weights")


_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset({"BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"BINGET", "LONG_BINGET"})


class PickleMachine:
    """Interpreter of one pickle.

    Parameters
    ----------
    constructors : mapping of str to object
        What ``module.name`` may stand for. REDUCE calls a callable with one argument, the tuple of the pickled
        arguments; it raises `PickleError` for arguments that do not suit it.
    persistent_load : callable, optional
        Turns a persistent id into an object; without it persistent ids are refused.
    """

    def __init__(
        self, constructors: Mapping[str, Any] | None = None, persistent_load: Callable[[Any], Any] | None = None
    ) -> None:
        self._constructors = dict(constructors or {})
        self._persistent_load = persistent_load
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self, data: bytes) -> tuple[Any, int]:
        """Read the pickle at the start of `data`.

        Returns
        -------
        object, int
            What it holds and how many bytes it took.

        Raises
        ------
        PickleError
            Whatever is wrong with it; no other exception.
        """
        self._stack, self._memo = [], {}
        end = 0
        try:
            with warnings.catch_warnings():
                # Of text escapes in opcodes that are refused anyway.
                warnings.simplefilter("ignore", DeprecationWarning)
                for opcode, argument, position in pickletools.genops(data[:MAX_PICKLE_BYTES]):
                    # genops ends with STOP, and fails where there is none.
                    end = int(position or 0) + 1
                    if opcode.name != "STOP":
                        self._step(opcode.name, argument)
        except (ValueError, OverflowError) as error:
            if len(data) > MAX_PICKLE_BYTES:
                raise PickleError(f"it is longer than {MAX_PICKLE_BYTES:,} bytes") from error
            raise PickleError(f"it is damaged ({error})") from error
        result = self._pop()
        if self._stack:
            raise PickleError("objects are left over at its end")
        return result, end

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise PickleError("an object is missing")
        return self._stack.pop()

    def _pop_mark(self) -> list[Any]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                items = self._stack[index + 1 :]
                del self._stack[index:]
                return items
        raise PickleError("a mark is missing")

    def _top(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise PickleError(f"a {kind.__name__} is missing")
        return self._stack[-1]

    def _step(self, name: str, argument: Any) -> None:
        push = self._stack.append
        if name in ("PROTO", "FRAME"):
            return
        if name in _VALUES:
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _PUTS:
            self._remember(argument)
        elif name == "MEMOIZE":
            self._remember(len(self._memo))
        elif name in _GETS:
            if argument not in self._memo:
                raise PickleError(f"it refers to object {argument}, which it does not hold")
            push(self._memo[argument])
        elif name == "MARK":
            push(_MARK)
        elif name in _TUPLES:
            items = [self._pop() for _ in range(_TUPLES[name])]
            push(tuple(reversed(items)))
        elif name == "TUPLE":
            push(tuple(self._pop_mark()))
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            push([] if name == "EMPTY_LIST" else {})
        elif name in ("APPEND", "APPENDS"):
            items = [self._pop()] if name == "APPEND" else self._pop_mark()
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            self._set_items([self._pop(), self._pop()][::-1] if name == "SETITEM" else self._pop_mark())
        else:
            self._build(name, argument)

    def _build(self, name: str, argument: Any) -> None:
        """The opcodes through which a pickle makes objects of a class."""
        if name == "GLOBAL":
            self._stack.append(self._global(str(argument).replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            attribute, module = self._pop(), self._pop()
            self._stack.append(self._global(f"{module}.{attribute}"))
        elif name == "REDUCE":
            arguments, function = self._pop(), self._pop()
            if not isinstance(arguments, tuple) or not callable(function):
                raise PickleError("it calls what can't be called")
            self._stack.append(function(arguments))
        elif name == "BUILD":
            # torch gives a state_dict's OrderedDict an attribute `_metadata` (module versions): not weights.
            self._pop()
            self._top(dict)
        elif name == "BINPERSID":
            if self._persistent_load is None:
                raise PickleError("it refers to data outside itself")
            self._stack.append(self._persistent_load(self._pop()))
        else:
            raise PickleError(f"opcode {name} is not allowed in a file of weights")

    def _remember(self, index: int) -> None:
        if not self._stack or self._stack[-1] is _MARK:
            raise PickleError("an object is missing")
        self._memo[index] = self._stack[-1]

    def _global(self, name: str) -> Any:
        if name not in self._constructors:
            raise ForbiddenGlobalError(name)
        return self._constructors[name]

    def _set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise PickleError("a key has no value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise PickleError(f"a key is a {type(key).__name__}")
            if key in target:
                raise PickleError(f"the key {key!r} stands twice")
            target[key] = value
