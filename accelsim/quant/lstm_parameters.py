"""From scales, zero points and raw biases to the integers of one quantized LSTM layer.

The quantizer and whoever reads somebody else's integer LSTM both end here, so the float set-up arithmetic of the
kernel exists once.

Source: TensorFlow Lite `PopulateQuantizedLstmParams8x8_16` and `PrecomputeZeroPointTimesWeightWithBias`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.quant.model import (
    Int8Array,
    Int32Array,
    QLstm,
    QTensor,
    Requantizer,
    fold_zero_point,
    gate_requantizer,
    hidden_requantizer,
    quantized_cell_clip,
)

CELL_SCALE_LOG2_MIN, CELL_SCALE_LOG2_MAX = -15, -9
"""The cell scales the kernel has a tanh for: integer bits 0 to 6 of the cell state."""

GATES = 4


def lstm_from_scales(
    name: str,
    x: QTensor,
    y: QTensor,
    *,
    input_weights: Int8Array,
    input_weight_scales: Sequence[float] | NDArray[np.float32],
    recurrent_weights: Int8Array,
    recurrent_weight_scales: Sequence[float] | NDArray[np.float32],
    bias: Int32Array,
    input_scale: float,
    input_zero_point: int,
    recurrent_scale: float,
    recurrent_zero_point: int,
    hidden_scale: float,
    hidden_zero_point: int,
    cell_scale_log2: int,
    cell_clip: float,
    reverse: bool = False,
) -> QLstm:
    """Fold zero points into biases and scales into requantizers.

    Parameters
    ----------
    name : str
    x, y : QTensor
        (T, inputs), (T, units). Their own scales are not read: an input with one scale a feature has them folded
        into `input_weights`, and `input_scale` is what remains.
    input_weights : int8[4, units, inputs]
        Gate order `graph.Gate`.
    input_weight_scales : float32[4]
        One scale a gate.
    recurrent_weights : int8[4, units, units]
    recurrent_weight_scales : float32[4]
    bias : int32[4, units]
        Scale ``input_weight_scales[gate] * input_scale``; the zero point not yet folded in.
    input_scale, input_zero_point
        Of the input bytes.
    recurrent_scale, recurrent_zero_point
        With which the recurrent product consumes the hidden state; the state starts at this zero point.
    hidden_scale, hidden_zero_point
        With which the hidden state is produced; usually the same two.
    cell_scale_log2 : int
        n: the cell state is int16 with scale 2**n; in [-15, -9].
    cell_clip : float
        Bound of the real cell state, 0 for none.
    reverse : bool
        It takes the steps from the last to the first.

    Raises
    ------
    InputError
        A cell scale the kernel has no tanh for, a scale that is not a positive number, an array of another shape.

    Source: TensorFlow Lite `PopulateQuantizedLstmParams8x8_16` (unidirectional_sequence_lstm.cc).
    """
    units = input_weights.shape[1] if input_weights.ndim == 3 else 0
    check_shapes(
        name,
        {
            "input_weights": (input_weights.shape, (GATES, units, x.features)),
            "recurrent_weights": (recurrent_weights.shape, (GATES, units, units)),
            "bias": (bias.shape, (GATES, units)),
            "input_weight_scales": (np.shape(input_weight_scales), (GATES,)),
            "recurrent_weight_scales": (np.shape(recurrent_weight_scales), (GATES,)),
        },
    )
    check_scales(
        name,
        {
            "input_weight_scales": input_weight_scales,
            "recurrent_weight_scales": recurrent_weight_scales,
            "input_scale": [input_scale],
            "recurrent_scale": [recurrent_scale],
            "hidden_scale": [hidden_scale],
        },
    )
    if not CELL_SCALE_LOG2_MIN <= cell_scale_log2 <= CELL_SCALE_LOG2_MAX:
        raise InputError(
            f"layer {name}",
            "cell_scale_log2",
            str(cell_scale_log2),
            f"{CELL_SCALE_LOG2_MIN} to {CELL_SCALE_LOG2_MAX}, as the kernel has no tanh beyond",
        )

    def requantizers(
        weight_scales: Sequence[float] | NDArray[np.float32], operand_scale: float
    ) -> tuple[Requantizer, Requantizer, Requantizer, Requantizer]:
        first, second, third, fourth = (gate_requantizer(float(scale), operand_scale) for scale in weight_scales)
        return first, second, third, fourth

    return QLstm(
        name=name,
        x=x,
        y=y,
        input_weights=input_weights,
        recurrent_weights=recurrent_weights,
        input_bias=fold_zero_point(input_weights, bias, input_zero_point),
        recurrent_bias=fold_zero_point(recurrent_weights, np.zeros_like(bias), recurrent_zero_point),
        input_requantizers=requantizers(input_weight_scales, input_scale),
        recurrent_requantizers=requantizers(recurrent_weight_scales, recurrent_scale),
        cell_scale_log2=cell_scale_log2,
        cell_clip=quantized_cell_clip(cell_clip, cell_scale_log2),
        hidden_requantizer=hidden_requantizer(hidden_scale),
        hidden_zero_point=hidden_zero_point,
        initial_hidden=recurrent_zero_point,
        reverse=reverse,
    )


def check_shapes(layer: str, shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    """Refuse the first array whose shape is not the expected one.

    Parameters
    ----------
    layer : str
        For the message.
    shapes : mapping of str to (found, expected)

    Raises
    ------
    InputError
        Names the field.
    """
    for field, (found, expected) in shapes.items():
        if found != expected:
            raise InputError(f"layer {layer}", field, f"shape {found}", f"shape {expected}")


def check_scales(layer: str, scales: Mapping[str, Sequence[float] | NDArray[np.float32]]) -> None:
    """Refuse scales that are not positive numbers.

    Raises
    ------
    InputError
        Names the field.
    """
    for field, values in scales.items():
        if not all(np.isfinite(value) and value > 0 for value in values):
            raise InputError(f"layer {layer}", field, f"{[float(value) for value in values]}", "positive numbers")
