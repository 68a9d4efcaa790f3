"""From scales, zero points and raw biases to the integers of one quantized GRU or vanilla RNN layer.

The set-up arithmetic is that of `lstm_parameters`: float32 where TensorFlow Lite's kernel for the LSTM has float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.graph.model import GruGate
from accelsim.quant.lstm_parameters import check_scales, check_shapes
from accelsim.quant.model import (
    Int8Array,
    Int32Array,
    QGru,
    QRnn,
    QTensor,
    Requantizer,
    fold_zero_point,
    gate_requantizer,
    state_requantizer,
)

RNN_ACTIVATIONS = ("tanh", "relu")

STATE_SCALE = 2.0**-15
"""Of a GRU's int16 state and of tanh's results."""

TANH_PREACTIVATION_SCALE_LOG2 = -12
"""The argument of tanh is Q3.12, as that of every gate."""

PREACTIVATION_SCALE_LOG2_MIN, PREACTIVATION_SCALE_LOG2_MAX = -31, 31
"""For relu. Beyond them the factors would leave the shifts a requantization has."""


def gru_from_scales(
    name: str,
    x: QTensor,
    y: QTensor,
    *,
    input_weights: Int8Array,
    input_weight_scales: Sequence[float] | NDArray[np.float32],
    recurrent_weights: Int8Array,
    recurrent_weight_scales: Sequence[float] | NDArray[np.float32],
    input_bias: Int32Array,
    recurrent_bias: Int32Array,
    input_scale: float,
    input_zero_point: int,
    hidden_scale: float,
    hidden_zero_point: int,
    linear_before_reset: bool,
    reverse: bool = False,
) -> QGru:
    """Fold zero points into biases and scales into requantizers.

    Parameters
    ----------
    name : str
    x, y : QTensor
        (T, inputs), (T, units). Their own scales are not read, as for `lstm_from_scales`.
    input_weights : int8[3, units, inputs]
        Gate order `graph.GruGate`.
    input_weight_scales : float32[3]
        One scale a gate.
    recurrent_weights : int8[3, units, units]
    recurrent_weight_scales : float32[3]
    input_bias : int32[3, units]
        Scale ``input_weight_scales[gate] * input_scale``; the zero point not yet folded in.
    recurrent_bias : int32[3, units]
        Scale ``recurrent_weight_scales[gate] * hidden_scale``; likewise.
    input_scale, input_zero_point
        Of the input bytes.
    hidden_scale, hidden_zero_point
        Of the hidden state's bytes.
    linear_before_reset, reverse : bool
        As in `QGru`.

    Raises
    ------
    InputError
        A scale that is not a positive number, or an array of another shape.
    """
    gates = len(GruGate)
    units = input_weights.shape[1] if input_weights.ndim == 3 else 0
    check_shapes(
        name,
        {
            "input_weights": (input_weights.shape, (gates, units, x.features)),
            "recurrent_weights": (recurrent_weights.shape, (gates, units, units)),
            "input_bias": (input_bias.shape, (gates, units)),
            "recurrent_bias": (recurrent_bias.shape, (gates, units)),
            "input_weight_scales": (np.shape(input_weight_scales), (gates,)),
            "recurrent_weight_scales": (np.shape(recurrent_weight_scales), (gates,)),
        },
    )
    check_scales(
        name,
        {
            "input_weight_scales": input_weight_scales,
            "recurrent_weight_scales": recurrent_weight_scales,
            "input_scale": [input_scale],
            "hidden_scale": [hidden_scale],
        },
    )

    def requantizers(
        weight_scales: Sequence[float] | NDArray[np.float32], operand_scale: float
    ) -> tuple[Requantizer, Requantizer, Requantizer]:
        first, second, third = (gate_requantizer(float(scale), operand_scale) for scale in weight_scales)
        return first, second, third

    return QGru(
        name=name,
        x=x,
        y=y,
        input_weights=input_weights,
        recurrent_weights=recurrent_weights,
        input_bias=fold_zero_point(input_weights, input_bias, input_zero_point),
        recurrent_bias=fold_zero_point(recurrent_weights, recurrent_bias, hidden_zero_point),
        input_requantizers=requantizers(input_weight_scales, input_scale),
        recurrent_requantizers=requantizers(recurrent_weight_scales, hidden_scale),
        hidden_requantizer=state_requantizer(STATE_SCALE, hidden_scale),
        hidden_zero_point=hidden_zero_point,
        linear_before_reset=linear_before_reset,
        reverse=reverse,
    )


def rnn_from_scales(
    name: str,
    x: QTensor,
    y: QTensor,
    *,
    input_weights: Int8Array,
    input_weight_scale: float,
    recurrent_weights: Int8Array,
    recurrent_weight_scale: float,
    bias: Int32Array,
    input_scale: float,
    input_zero_point: int,
    hidden_scale: float,
    hidden_zero_point: int,
    activation: str,
    preactivation_scale_log2: int = TANH_PREACTIVATION_SCALE_LOG2,
    reverse: bool = False,
) -> QRnn:
    """Fold zero points into biases and scales into requantizers.

    Parameters
    ----------
    name : str
    x, y : QTensor
        (T, inputs), (T, units). Their own scales are not read, as for `lstm_from_scales`.
    input_weights : int8[units, inputs]
    input_weight_scale : float
    recurrent_weights : int8[units, units]
    recurrent_weight_scale : float
    bias : int32[units]
        Scale ``input_weight_scale * input_scale``; the zero point not yet folded in.
    input_scale, input_zero_point
        Of the input bytes.
    hidden_scale, hidden_zero_point
        Of the hidden state's bytes.
    activation : {"tanh", "relu"}
    preactivation_scale_log2 : int
        Of the argument of relu, in [-31, 31]; tanh has -12.
    reverse : bool
        As in `QRnn`.

    Raises
    ------
    InputError
        A scale that is not a positive number or out of its range, another activation, or an array of another shape.
    """
    units = input_weights.shape[0] if input_weights.ndim == 2 else 0
    check_shapes(
        name,
        {
            "input_weights": (input_weights.shape, (units, x.features)),
            "recurrent_weights": (recurrent_weights.shape, (units, units)),
            "bias": (bias.shape, (units,)),
        },
    )
    scales = {
        "input_weight_scale": input_weight_scale,
        "recurrent_weight_scale": recurrent_weight_scale,
        "input_scale": input_scale,
        "hidden_scale": hidden_scale,
    }
    check_scales(name, {field: [scale] for field, scale in scales.items()})
    if activation not in RNN_ACTIVATIONS:
        raise InputError(f"layer {name}", "activation", repr(activation), " or ".join(RNN_ACTIVATIONS))
    low, high = PREACTIVATION_SCALE_LOG2_MIN, PREACTIVATION_SCALE_LOG2_MAX
    if activation == "tanh":
        low = high = TANH_PREACTIVATION_SCALE_LOG2
    if not low <= preactivation_scale_log2 <= high:
        expected = f"{low} to {high}" if low < high else f"{low} for tanh"
        raise InputError(f"layer {name}", "preactivation_scale_log2", str(preactivation_scale_log2), expected)
    preactivation_scale = 2.0**preactivation_scale_log2
    result_scale = STATE_SCALE if activation == "tanh" else preactivation_scale
    return QRnn(
        name=name,
        x=x,
        y=y,
        input_weights=input_weights,
        recurrent_weights=recurrent_weights,
        input_bias=fold_zero_point(input_weights, bias, input_zero_point),
        recurrent_bias=fold_zero_point(recurrent_weights, np.zeros_like(bias), hidden_zero_point),
        input_requantizer=gate_requantizer(input_weight_scale, input_scale, preactivation_scale),
        recurrent_requantizer=gate_requantizer(recurrent_weight_scale, hidden_scale, preactivation_scale),
        preactivation_scale_log2=preactivation_scale_log2,
        activation=activation,
        hidden_requantizer=state_requantizer(result_scale, hidden_scale),
        hidden_zero_point=hidden_zero_point,
        reverse=reverse,
    )
