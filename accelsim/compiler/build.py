"""The compiler's one entry: quantized graph and chip in, program out."""

from __future__ import annotations

from accelsim.chip import Chip
from accelsim.compiler.lowering import lower
from accelsim.compiler.placement import PlacedStage, Placement, place, plan_residency
from accelsim.compiler.schedule import choose, describe
from accelsim.compiler.stages import build_plan, frame_bytes
from accelsim.isa import encode, opcodes
from accelsim.isa.program import HostTensor, LayerInfo, Program
from accelsim.quant.model import QGraph, QTensor


def compile_graph(graph: QGraph, chip: Chip) -> Program:
    """Compile a quantized graph for a chip.

    Parameters
    ----------
    graph : QGraph
    chip : Chip

    Returns
    -------
    Program
        Handles one frame: weights are loaded, the state starts anew.

    Raises
    ------
    CapacityError
        The model does not fit: which memory or table, how much is needed, how much is there.
    InputError
        The graph has a form that can't be compiled.
    """
    plan = build_plan(graph)
    products = [product for segment in plan.segments for stage in segment.stages for product in stage.products]
    blocks = plan_residency(products, chip)
    plan, slots = choose(plan, blocks, chip)
    placement = place(plan, blocks, slots, frame_bytes(graph), chip)
    instructions, layers = lower(plan, placement, chip).finish()
    steps = plan.output.last - plan.output.first
    output_shape = (steps, plan.output.row_bytes) if len(graph.output.shape) == 2 else (plan.output.row_bytes,)
    program = Program(
        name=graph.name,
        isa_version=opcodes.ISA_VERSION,
        chip=chip,
        schedule=describe(plan),
        words=tuple(encode(instruction) for instruction in instructions),
        inputs=(_host_tensor(graph.input, graph.input.shape, placement.sequences[plan.input.name]),),
        outputs=(_host_tensor(graph.output, output_shape, placement.sequences[plan.output.name]),),
        regions=tuple(placement.regions),
        layers=_layer_table(placement, layers),
        image=placement.image,
        image_address=0,
    )
    program.validate()
    return program


def _host_tensor(tensor: QTensor, shape: tuple[int, ...], address: int) -> HostTensor:
    return HostTensor(
        name=tensor.name,
        dtype="int8",
        shape=shape,
        scale=tuple(float(value) for value in tensor.scale),
        zero_point=tensor.zero_point,
        address=address,
    )


def _layer_table(placement: Placement, layers: list[int | None]) -> tuple[LayerInfo, ...]:
    table = []
    for index, placed in enumerate(placed for segment in placement.segments for placed in segment):
        ranges: list[tuple[int, int]] = []
        for at, layer in enumerate(layers):
            if layer != index:
                continue
            if ranges and ranges[-1][1] == at:
                ranges[-1] = ranges[-1][0], at + 1
            else:
                ranges.append((at, at + 1))
        table.append(
            LayerInfo(
                name=placed.stage.layer.name,
                kind=placed.stage.cell.kind,
                macs=placed.stage.macs,
                parameters_bytes=_model_bytes(placed),
                instructions=tuple(ranges),
            )
        )
    return tuple(table)


def _model_bytes(placed: PlacedStage) -> int:
    """Weights and constants as the model has them, without padding."""
    return sum(one.product.weights.size + 4 * one.product.rows for one in placed.products)
