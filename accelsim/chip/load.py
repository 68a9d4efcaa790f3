"""Chip files in and out: every mistake at once, each with its key and the nearest right one."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from accelsim.chip.model import MISFIT, Chip, VectorStage
from accelsim.errors import InputError, ManyErrors
from accelsim.resources import resource_root


def _folder() -> Path:
    return resource_root() / "configs"


def chip_names() -> list[str]:
    """Names of the chips that ship with the package."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_chip(name_or_path: str | Path) -> Chip:
    """The chip of a name (`tx5368`) or of a TOML file (`my/chip.toml`).

    Raises
    ------
    InputError
        No such chip, an unreadable file, or (as `ManyErrors`) every wrong key of it.
    """
    text = str(name_or_path)
    if text in chip_names():
        path = _folder() / f"{text}.toml"
    elif text.endswith(".toml") or "/" in text:
        path = Path(text)
    else:
        near = difflib.get_close_matches(text, chip_names(), n=1, cutoff=0.4)
        hint = f" (nearest: {near[0]})" if near else ""
        raise InputError(
            "--chip", "", f"no chip named {text!r}{hint}", f"one of {', '.join(chip_names())}, or a .toml file"
        )
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(path, "", str(reason or error), "a chip file") from None
    return load_chip_text(content, path)


def load_chip_text(content: str, where: str | Path) -> Chip:
    """The chip a TOML text describes; `where` names it in messages."""
    try:
        data = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise InputError(where, "", f"not TOML: {error}") from None
    return check_chip(data, where)


def check_chip(data: dict[str, Any], where: str | Path) -> Chip:
    """The chip that plain data describes.

    Raises
    ------
    ManyErrors
        One error a wrong, missing or unknown key.
    """
    keys = set(_keys(Chip, ""))
    named = data.get("provenance")
    errors = [
        InputError(where, f'provenance."{key}"', "names no key" + _nearest(key, keys))
        for key in (named if isinstance(named, dict) else ())
        if key not in keys and not _is_table(key, keys)
    ]
    try:
        chip = Chip.model_validate(data)
    except ValidationError as error:
        errors = [_explain(item, where) for item in error.errors()] + errors
        raise ManyErrors(errors) from None
    if errors:
        raise ManyErrors(errors)
    return chip


def dump_chip(chip: Chip) -> dict[str, Any]:
    """Plain data that `check_chip` takes back; every key written out."""
    return chip.model_dump()


def describe_keys(chip: Chip) -> list[tuple[str, Any, str, str]]:
    """(key, value, meaning, provenance) of every key, in the file's order."""
    rows = []
    for key, field_text, value in _walk(chip, ""):
        source = chip.provenance.get(key.partition("[")[0], "")
        parts = key.split(".")
        while not source and len(parts) > 1:
            parts.pop()
            source = chip.provenance.get(".".join(parts) + ".*", "")
        rows.append((key, value, field_text, source))
    return rows


def _walk(section: BaseModel, prefix: str) -> Iterator[tuple[str, str, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _walk(value, f"{prefix}{name}.")
        elif name != "provenance":
            items = list(value) if isinstance(value, tuple) else []
            if items and isinstance(items[0], BaseModel):
                for number, item in enumerate(items):
                    yield from _walk(item, f"{prefix}{name}[{number}].")
            else:
                yield f"{prefix}{name}", field.description or "", items if isinstance(value, tuple) else value


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _is_table(pattern: str, keys: set[str]) -> bool:
    return pattern.endswith(".*") and any(key.startswith(pattern[:-1]) for key in keys)


def _nearest(key: str, keys: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(keys), n=1, cutoff=0.5)
    return f"; nearest: {near[0]}" if near else ""


def _explain(item: Any, where: str | Path) -> InputError:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])[1:] or "the file"
    if item["type"] == "extra_forbidden":
        keys = set(_keys(Chip, ""))
        tables = {known.rsplit(".", 1)[0] for known in keys}
        place = key.rpartition(".")[0]
        # Inside a list of tables the keys are those of its tables.
        inner = {f"{place}.{name}" for name in VectorStage.model_fields} if place.endswith("]") else set()
        return InputError(where, key, "unknown key" + _nearest(key, inner or keys | tables))
    if item["type"] == "missing":
        return InputError(where, key, "missing")
    context = item.get("ctx", {})
    if item["type"] == MISFIT:
        return InputError(where, f"{key}.{context['key']}", f"found {_shown(context['found'])}", context["expected"])
    return InputError(where, key, *explained(item))


def explained(item: Any) -> tuple[str, str]:
    """Of an error of pydantic's: what was found, and what was expected."""
    text = _EXPECTED.get(item["type"])
    # What a chip file can get wrong beyond these is said in the words of the library.
    expected = text.format(**item.get("ctx", {})) if text else str(item["msg"])
    return f"found {_shown(item['input'])}", expected


_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "literal_error": "one of {expected}",
    "string_type": "a text",
    "model_type": "a table",
    "dict_type": "a table",
    "greater_than": "a value greater than {gt:g}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-'; neither '.' nor '-' first",
}
"""What should stand there, by pydantic's types of error."""


def _shown(value: Any) -> str:
    """A value as a chip file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "a table" if isinstance(value, dict) else repr(value)
