"""What is wrong with a file of figures, in its own words: the key, what stands there, what should."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from accelsim.errors import InputError

MISFIT = "misfit"
"""Type of the error of a value that is in its range but does not fit the others of its table."""

_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "literal_error": "one of {expected}",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "too_short": "at least {min_length}",
    "model_type": "a table",
    "dict_type": "a table",
    "greater_than": "a value greater than {gt:g}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-'; neither '.' nor '-' first",
}
"""What should stand there, by pydantic's types of error."""
_PATTERNS = {r"\S": "a text that is not blank"}
"""The same, by the pattern that a text does not have; else it is that of a name."""
_LONG = 10**40


def explain(item: Any, where: str | Path, model: type[BaseModel], keys: set[str]) -> InputError:
    """One of pydantic's errors as a line of ours.

    Parameters
    ----------
    item : pydantic_core.ErrorDetails
    where : str or Path
        The file.
    model : type of BaseModel
        What the file holds.
    keys : set of str
        Other keys that an unknown one may be meant for, whole, beside those of its own table.
    """
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])[1:] or "the file"
    if item["type"] == "extra_forbidden":
        place = key.rpartition(".")[0]
        own = {f"{place}.{name}".removeprefix(".") for name in _fields_at(model, item["loc"][:-1])}
        # Inside a list of tables the keys are those of its tables.
        return InputError(where, key, "unknown key" + nearest(key, own if place.endswith("]") else own | keys))
    if item["type"] == "missing":
        return InputError(where, key, "missing")
    context = item.get("ctx", {})
    if item["type"] == MISFIT:
        place = f"{key}." if item["loc"] else ""
        return InputError(where, place + context["key"], f"found {shown(context['found'])}", context["expected"])
    return InputError(where, key, *explained(item))


def explained(item: Any) -> tuple[str, str]:
    """Of an error of pydantic's: what was found, and what was expected."""
    text = _EXPECTED.get(item["type"])
    if item["type"] == "string_pattern_mismatch":
        text = _PATTERNS.get(item["ctx"]["pattern"], text)
    # What such a file can get wrong beyond these is said in the words of the library.
    expected = text.format(**item.get("ctx", {})) if text else str(item["msg"])
    return f"found {shown(item['input'])}", expected


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message: which known name was meant, as far as one is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; nearest: {near[0]}" if near else ""


def shown(value: Any) -> str:
    """A value as a chip file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= _LONG:
        # Python writes no integer of more than some thousand digits.
        return "an integer of many digits"
    return "a table" if isinstance(value, dict) else repr(value)


def _fields_at(model: type[BaseModel], path: Iterable[str | int]) -> set[str]:
    """Names that can stand in the table at a path."""
    kind: Any = model
    for part in path:
        kind = _bare(kind)
        if get_origin(kind) in (dict, tuple):
            kind = [item for item in get_args(kind) if item is not Ellipsis][-1]
        else:
            kind = kind.model_fields[part].annotation
    return set(_bare(kind).model_fields)


def _bare(kind: Any) -> Any:
    """A type without its notes and without None."""
    while get_origin(kind) in (Annotated, Union, types.UnionType):
        kind = next(item for item in get_args(kind) if item is not type(None))
    return kind
