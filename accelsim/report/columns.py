"""Tables of a page: columns with titles and units, their values as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    key : str
        Of its values.
    title : str
    unit : str
        Empty for text and plain counts.
    kind : str
        "number" or "text".
    decimals : int or None
        Places after the point that all its numbers have; None for numbers as they are.
    shown : bool
        Whether it is there at first; all can be switched on.
    help : str
        What it means, in a sentence.
    """

    key: str
    title: str
    unit: str = ""
    kind: Literal["number", "text"] = "number"
    decimals: int | None = 0
    shown: bool = True
    help: str = ""


def table_of(
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    total: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A table as the scripts read it.

    Parameters
    ----------
    columns : sequence of Column
    rows : sequence of mapping
        By the columns' keys.
    total : mapping, optional
        A last row, that neither sorting nor filters move.
    """
    return {
        "columns": [asdict(column) for column in columns],
        "count": len(rows),
        "values": {column.key: [row[column.key] for row in rows] for column in columns},
        "total": None if total is None else {column.key: total.get(column.key) for column in columns},
    }


def decimals_for(largest: float) -> int:
    """Places after the point for quantities up to `largest`: about four digits, alike in all of a column."""
    if not math.isfinite(largest) or largest >= 1000:
        return 0
    if largest <= 0:
        return 1
    return min(6, max(0, 3 - math.floor(math.log10(largest))))
