"""The compiler's one entry: quantized graph and chip in, program out."""

from __future__ import annotations

from accelsim.chip import Chip
from accelsim.compiler.lowering import lower
from accelsim.compiler.placement import PlacedStage, Placement, place, plan_residency
from accelsim.compiler.schedule import choose, describe
from accelsim.compiler.stages import Pipeline, build_pipeline
from accelsim.isa import encode, opcodes
from accelsim.isa.program import HostTensor, LayerInfo, Program
from accelsim.quant.model import QGraph, QLstm, QTensor


def compile_graph(graph: QGraph, chip: Chip) -> Program:
    """Compile a quantized graph for a chip.

    Parameters
    ----------
    graph : QGraph
        A chain of LSTM, Linear and SelectStep layers.
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
        The graph is no chain of layers.
    """
    pipeline = build_pipeline(graph)
    products = [product for stage in pipeline.stages for product in stage.products]
    blocks = plan_residency(products, chip)
    pipeline, input_slots = choose(pipeline, blocks, chip)
    placement = place(pipeline, blocks, input_slots, chip)
    instructions, layers = lower(pipeline, placement, chip).finish()
    last = pipeline.stages[-1].layer.y
    steps = pipeline.output_last - pipeline.output_first
    output_shape = (steps, last.features) if len(graph.output.shape) == 2 else (last.features,)
    program = Program(
        name=graph.name,
        isa_version=opcodes.ISA_VERSION,
        chip=chip,
        schedule=describe(pipeline),
        words=tuple(encode(instruction) for instruction in instructions),
        inputs=(_host_tensor(graph.input, graph.input.shape, placement.input_dram),),
        outputs=(_host_tensor(graph.output, output_shape, placement.output_dram),),
        regions=tuple(placement.regions),
        layers=_layer_table(pipeline, placement, layers),
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


def _layer_table(pipeline: Pipeline, placement: Placement, layers: list[int | None]) -> tuple[LayerInfo, ...]:
    table = []
    for index, (stage, placed) in enumerate(zip(pipeline.stages, placement.stages, strict=True)):
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
                name=stage.layer.name,
                kind="lstm" if isinstance(stage.layer, QLstm) else "linear",
                macs=stage.macs,
                parameters_bytes=_model_bytes(placed),
                instructions=tuple(ranges),
            )
        )
    return tuple(table)


def _model_bytes(placed: PlacedStage) -> int:
    """Weights and constants as the model has them, without padding."""
    return sum(one.product.weights.size + 4 * one.product.rows for one in placed.products)
