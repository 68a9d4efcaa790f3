"""Energies and areas as they are printed: each figure with its source."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accelsim.cli.console import say, show, table

if TYPE_CHECKING:
    from accelsim.costs import Costs

_ONE = {"mac": "multiply-accumulate", "vector": "element"}


def print_costs(costs: Costs) -> None:
    """A chip's energies and areas by its cost table, and where each comes from.

    Parameters
    ----------
    costs : Costs
    """
    from accelsim.profile.labels import component_name

    say(f"energy and area by {costs.basis}")
    rows = [
        (component_name(name), f"pJ a {_ONE.get(name, 'byte')}", _number(figure.value), figure.source)
        for name, figure in costs.action_pj.items()
    ]
    rows.append(("leakage", "mW", _number(costs.leakage_mw.value), costs.leakage_mw.source))
    headers = ("energy of", "unit", "value", "from")
    show(table(headers, rows, left=("energy of", "unit", "from"), wrapped=("from",)))
    rows = [
        (component_name(name), "mm²", _number(figure.value), figure.source) for name, figure in costs.area_mm2.items()
    ]
    rows.append(("total", "mm²", _number(costs.total_area_mm2), "what the parts above cover"))
    headers = ("area of", "unit", "value", "from")
    show(table(headers, rows, left=("area of", "unit", "from"), wrapped=("from",)))


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.4g}"
