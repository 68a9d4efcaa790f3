"""The cell of a layer on a chip: fused where the vector unit can do it, gate by gate elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.chip import Chip
from accelsim.compiler.cells import INPUT, RESULT, Cell, CellProduct, Step, Sums
from accelsim.compiler.fused_cells import fused_cell
from accelsim.compiler.gatewise_cells import gatewise_cell, padded
from accelsim.compiler.layout import int8_block
from accelsim.errors import InputError
from accelsim.isa.opcodes import Addend
from accelsim.isa.stages import place_operations
from accelsim.quant.model import QLinear, QRecurrent

_ZEROS = "zeros8"


def cell_of(layer: QRecurrent | QLinear, batch: int, chip: Chip) -> Cell:
    """The cell of a layer, for `batch` vectors that lie element beside element.

    Raises
    ------
    InputError
        The chip's vector unit has no row of stages that can do an instruction of the layer.
    """
    if isinstance(layer, QLinear):
        cell = _linear(layer, batch, chip)
    else:
        cell = fused_cell(layer)
        if not _fits(cell, chip):
            cell = gatewise_cell(layer, _units(layer.units, chip))
        if chip.schedule.constants_loaded:
            cell = _with_constants(cell)
    for step in cell.steps:
        if not _can_do(step, chip):
            raise InputError(
                chip.name, "vector.stages", f"can't do the {step.name} of {layer.name} in one pass",
                "stages that add, apply an activation and multiply in this order, or multiply and add",
            )  # fmt: skip
    return cell


def _with_constants(cell: Cell) -> Cell:
    """The cell with a source for the steps that do without."""
    if all(step.source is not None for step in cell.steps):
        return cell
    steps = tuple(replace(step, source=step.source or _ZEROS) for step in cell.steps)
    return replace(cell, steps=steps, constants=(_ZEROS,))


def _linear(layer: QLinear, batch: int, chip: Chip) -> Cell:
    rows = _units(len(layer.weights), chip)
    scales = np.repeat(padded(np.asarray(layer.output_scale), rows), batch)
    block = int8_block(zero_point=layer.y.zero_point, channels=scales)
    product = CellProduct("weights", padded(layer.weights, rows), padded(layer.bias, rows), INPUT)
    step = Step(RESULT, block, Sums(0, 0), RESULT, takes_sums=0, real=True)
    return Cell("linear", rows, (product,), (step,))


def _units(units: int, chip: Chip) -> int:
    """Rows of a gate: whole row tiles, at least as many as take turns, where the chip hands over whole ones."""
    if not chip.vector.whole_row_tiles:
        return units
    tiles = max(-(-units // chip.mac.rows), chip.mac.accumulate_interval_cycles)
    return tiles * chip.mac.rows


def _fits(cell: Cell, chip: Chip) -> bool:
    takes_sums = chip.vector.adds_sums or not any(step.addend_type == Addend.INT32 for step in cell.steps)
    # Elements pass from one vector instruction to the next, or not at all: fused steps rely on one order in one stage.
    one_stage = len(chip.vector.pipeline) == 1
    return takes_sums and one_stage and not chip.vector.whole_row_tiles and all(_can_do(s, chip) for s in cell.steps)


def _can_do(step: Step, chip: Chip) -> bool:
    fields = {
        "addend_type": int(step.addend_type),
        "activation": int(step.activation),
        "multiply": int(step.factor is not None),
        "accumulate": int(step.term is not None),
    }
    return place_operations(fields, chip.vector.pipeline) is not None
