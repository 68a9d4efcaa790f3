"""What a chip's actions take and its parts cover: a cost table applied to a chip's sizes.

Pure functions of a chip and a table (`accelsim.chip.cost_table`); `accelergy` makes a table of another tool's.
"""

from accelsim.chip.cost_table import DEFAULT_COST_TABLE, CostTable, cost_table_names, load_cost_table
from accelsim.costs.figures import (
    ACTIONS,
    AREAS,
    Costs,
    Figure,
    area_mm2,
    cost_table_of,
    costs_of,
    known,
    with_cost_table,
)

__all__ = [
    "ACTIONS",
    "AREAS",
    "DEFAULT_COST_TABLE",
    "CostTable",
    "Costs",
    "Figure",
    "area_mm2",
    "cost_table_names",
    "cost_table_of",
    "costs_of",
    "known",
    "load_cost_table",
    "with_cost_table",
]
