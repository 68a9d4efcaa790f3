"""Names of chip keys as Python's keyword arguments: the dot written as an underscore."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from accelsim.chip.settings import nearest_key, setting_keys
from accelsim.errors import InputError


def dotted_settings(
    settings: Mapping[str, Any], keywords: Mapping[str, Any], where: str, keys: Iterable[str] | None = None
) -> dict[str, Any]:
    """Settings by dotted key.

    Parameters
    ----------
    settings : mapping of str to int, float, bool or str
        By dotted key: ``mac.rows``.
    keywords : mapping of str to int, float, bool or str
        By keyword: ``mac_rows``, ``sram_weights_banks``.
    where : str
        Names them in messages.
    keys : iterable of str, optional
        The dotted keys that there are; a chip's by default.

    Returns
    -------
    dict of str to int, float, bool or str
        Those of `settings`, then those of `keywords`; numpy's scalars as Python's.

    Raises
    ------
    InputError
        Settings that are no mapping of texts; a keyword that is no key, with the nearest one, or that is more than
        one; a key that is given twice.
    """
    by_keyword: dict[str, list[str]] = {}
    for key in setting_keys() if keys is None else keys:
        by_keyword.setdefault(key.replace(".", "_"), []).append(key)
    if not (isinstance(settings, Mapping) and all(isinstance(key, str) for key in settings)):
        raise InputError(where, "settings", f"found {settings!r}", 'keys and values, as {"mac.rows": 32}')
    found = {key: plain(value) for key, value in settings.items()}
    for keyword, value in keywords.items():
        meant = by_keyword.get(keyword, [])
        if not meant:
            near = difflib.get_close_matches(keyword, by_keyword, n=1, cutoff=0.5)
            hint = f"; nearest: {near[0]}" if near else nearest_key(keyword)
            raise InputError(where, keyword, "unknown key" + hint, "a chip's key, its dots written as _")
        if len(meant) > 1:
            raise InputError(where, keyword, f"may be {' or '.join(meant)}", f'{{"{meant[0]}": {value!r}}}')
        if meant[0] in found:
            raise InputError(where, meant[0], f"given twice, once as {keyword}", "one value")
        found[meant[0]] = plain(value)
    return found


def plain(value: Any) -> Any:
    """numpy's scalars as Python's: a loop over an array hands them over."""
    return value.item() if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0 else value
