"""The quantized graph: the integers of numerics profile `tflite`, as the compiler and the ONNX writer read them.

Everything the machine needs is an integer here (but a fully connected layer's float64 requantization scales, which
are part of its definition); the float scales that led to them are kept for the host's conversions and for reports.

Source: TensorFlow Lite `lstm_eval.cc` (`LstmStepInteger8x8_16`), `unidirectional_sequence_lstm.cc`
(`PopulateQuantizedLstmParams8x8_16`), `reference/integer_ops/fully_connected.h`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.fixedpoint import GATE_SCALE, INT16_MAX, INT16_MIN, quantize_multiplier, wrap32

Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class QTensor:
    """An int8 tensor of one frame: ``real = scale * (value - zero_point)``.

    Parameters
    ----------
    name : str
    shape : tuple of int
        (T, F) or (F,).
    scale : float32[F] or float32[1]
        One scale a feature (an equalized input) or one for all.
    zero_point : int
        In [-128, 127].
    """

    name: str
    shape: tuple[int, ...]
    scale: NDArray[np.float32]
    zero_point: int

    @property
    def features(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]


@dataclass(frozen=True)
class Requantizer:
    """A factor as (multiplier, shift), applied by `fixedpoint.multiply_by_quantized_multiplier`."""

    multiplier: int
    shift: int

    @classmethod
    def of(cls, value: float) -> Requantizer:
        """The closest representable factor to `value`."""
        return cls(*quantize_multiplier(value))


@dataclass(frozen=True, eq=False)
class QLstm:
    """One LSTM layer in integers; gate order `graph.Gate`.

    Parameters
    ----------
    name : str
    x, y : QTensor
        (T, inputs), (T, units). `y`'s bytes are the hidden state's; the recurrent product reads the same bytes.
    input_weights : int8[4, units, inputs]
    recurrent_weights : int8[4, units, units]
    input_bias : int32[4, units]
        Bias minus input zero point times row sums: the whole constant of the input product.
    recurrent_bias : int32[4, units]
        Minus hidden zero point times row sums: the whole constant of the recurrent product.
    input_requantizers, recurrent_requantizers : 4 Requantizer
        To Q3.12, one a gate.
    cell_scale_log2 : int
        n: the cell state is int16 with scale 2**n; in [-15, -9].
    cell_clip : int
        The cell state is clamped to +-cell_clip after each update; 0 for no clamp.
    hidden_requantizer : Requantizer
        From the Q0.30 product o * tanh(c) to the hidden state's scale.
    hidden_zero_point : int
        Added after it.
    initial_hidden : int
        Every byte of the hidden state before the first step: the recurrent input's zero point.
    reverse : bool
        It takes the steps from the last to the first; `y` is in the order of time all the same.
    """

    name: str
    x: QTensor
    y: QTensor
    input_weights: Int8Array
    recurrent_weights: Int8Array
    input_bias: Int32Array
    recurrent_bias: Int32Array
    input_requantizers: tuple[Requantizer, Requantizer, Requantizer, Requantizer]
    recurrent_requantizers: tuple[Requantizer, Requantizer, Requantizer, Requantizer]
    cell_scale_log2: int
    cell_clip: int
    hidden_requantizer: Requantizer
    hidden_zero_point: int
    initial_hidden: int
    reverse: bool = False

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.input_weights.shape[1])


@dataclass(frozen=True, eq=False)
class QGru:
    """One direction of one GRU layer in integers; gate order `graph.GruGate`.

    TensorFlow Lite has no fused integer GRU; this definition uses the same primitives as its LSTM. MBQM is
    `fixedpoint.multiply_by_quantized_multiplier`, RDBPOT `rounding_divide_by_pot`, SAT16 and SAT8 saturate. For a
    gate g::

        a[g] = SAT16(MBQM(input_bias[g] + W[g] x, input_requantizers[g]))          Q3.12
        m[g] = MBQM(recurrent_bias[g] + R[g] v, recurrent_requantizers[g])         v = hidden state's bytes
        z = SIG(SAT16(m[UPDATE] + a[UPDATE]));  r = SIG(SAT16(m[RESET] + a[RESET]))                        Q0.15
        u = 32767 - z

        linear_before_reset:      n = TANH_3(SAT16(a[CANDIDATE] + RDBPOT(r * SAT16(m[CANDIDATE]), 15)))
        otherwise:                v' = SAT8(MBQM(RDBPOT(r * s, 15), hidden_requantizer) + hidden_zero_point)
                                  n = TANH_3(SAT16(m'[CANDIDATE] + a[CANDIDATE]))          m' from R v'

        s = SAT16(RDBPOT(n * u, 15) + RDBPOT(z * s, 15))                           state, Q0.15
        h = SAT8(MBQM(s, hidden_requantizer) + hidden_zero_point)

    The state s is carried in int16, as the LSTM's cell state is: an int8 state would lose every change of less than
    half a step, which is what an update gate near 1 makes. It starts at 0, the bytes h at `initial_hidden`.

    Parameters
    ----------
    name : str
    x, y : QTensor
        (T, inputs), (T, units).
    input_weights : int8[3, units, inputs]
    recurrent_weights : int8[3, units, units]
    input_bias, recurrent_bias : int32[3, units]
        With the zero points folded in.
    input_requantizers, recurrent_requantizers : 3 Requantizer
        To Q3.12.
    hidden_requantizer : Requantizer
        From Q0.15 to the hidden state's scale.
    hidden_zero_point : int
        `y`'s zero point.
    linear_before_reset : bool
    reverse : bool
        It takes the steps from the last to the first; `y` is in the order of time all the same.
    """

    name: str
    x: QTensor
    y: QTensor
    input_weights: Int8Array
    recurrent_weights: Int8Array
    input_bias: Int32Array
    recurrent_bias: Int32Array
    input_requantizers: tuple[Requantizer, Requantizer, Requantizer]
    recurrent_requantizers: tuple[Requantizer, Requantizer, Requantizer]
    hidden_requantizer: Requantizer
    hidden_zero_point: int
    linear_before_reset: bool
    reverse: bool = False

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.input_weights.shape[1])

    @property
    def initial_hidden(self) -> int:
        """Every byte of the hidden state before the first step."""
        return self.hidden_zero_point


@dataclass(frozen=True, eq=False)
class QRnn:
    """One direction of one vanilla RNN layer in integers, by the same primitives as `QGru`::

        a = SAT16(MBQM(input_bias + W x, input_requantizer))
        p = SAT16(MBQM(recurrent_bias + R h, recurrent_requantizer) + a)          scale 2**preactivation_scale_log2
        tanh:   h = SAT8(MBQM(TANH_3(p), hidden_requantizer) + hidden_zero_point)            p in Q3.12
        relu:   h = SAT8(MBQM(max(p, 0), hidden_requantizer) + hidden_zero_point)

    Parameters
    ----------
    name : str
    x, y : QTensor
        (T, inputs), (T, units).
    input_weights : int8[units, inputs]
    recurrent_weights : int8[units, units]
    input_bias, recurrent_bias : int32[units]
        With the zero points folded in.
    input_requantizer, recurrent_requantizer : Requantizer
        To the pre-activation's scale.
    preactivation_scale_log2 : int
        -12 for tanh; for relu from calibration, since its range has no bound.
    activation : str
        tanh or relu.
    hidden_requantizer : Requantizer
        From Q0.15 (tanh) or from the pre-activation's scale (relu) to the hidden state's.
    hidden_zero_point : int
        `y`'s zero point; also the bytes of the initial state.
    reverse : bool
        As `QGru.reverse`.
    """

    name: str
    x: QTensor
    y: QTensor
    input_weights: Int8Array
    recurrent_weights: Int8Array
    input_bias: Int32Array
    recurrent_bias: Int32Array
    input_requantizer: Requantizer
    recurrent_requantizer: Requantizer
    preactivation_scale_log2: int
    activation: str
    hidden_requantizer: Requantizer
    hidden_zero_point: int
    reverse: bool = False

    @property
    def units(self) -> int:
        """Hidden size."""
        return int(self.input_weights.shape[0])

    @property
    def initial_hidden(self) -> int:
        """Every byte of the hidden state before the first step."""
        return self.hidden_zero_point


@dataclass(frozen=True, eq=False)
class QLinear:
    """A fully connected layer in integers, on a vector or on each time step.

    ``y = clamp(round_half_away(acc * output_scale[row]) + y.zero_point)``, the product in float64.

    Parameters
    ----------
    name : str
    x, y : QTensor
    weights : int8[outputs, inputs]
    bias : int32[outputs]
        Bias minus input zero point times row sums.
    output_scale : float64[outputs]
        ``float64(x.scale) * weight_scale[row] / y.scale``, each factor a float32 widened.
    """

    name: str
    x: QTensor
    y: QTensor
    weights: Int8Array
    bias: Int32Array
    output_scale: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class QSelectStep:
    """``y = x[step]``, bytes copied."""

    name: str
    x: QTensor
    y: QTensor
    step: int


@dataclass(frozen=True, eq=False)
class QConcat:
    """``y`` is the parts side by side along the features, bytes copied: all have `y`'s scale and zero point."""

    name: str
    parts: tuple[QTensor, ...]
    y: QTensor


QRecurrent = QLstm | QGru | QRnn
QLayer = QRecurrent | QLinear | QSelectStep | QConcat


@dataclass(frozen=True, eq=False)
class QGraph:
    """A quantized model, layers in the order they run.

    Parameters
    ----------
    name : str
    input, output : QTensor
    layers : tuple of QLayer
    """

    name: str
    input: QTensor
    output: QTensor
    layers: tuple[QLayer, ...]


def layer_inputs(layer: QLayer) -> tuple[QTensor, ...]:
    """The tensors a layer reads."""
    return layer.parts if isinstance(layer, QConcat) else (layer.x,)


def fold_zero_point(weights: Int8Array, bias: Int32Array, zero_point: int) -> Int32Array:
    """``bias - zero_point * row sums`` in int32. Source: `PrecomputeZeroPointTimesWeightWithBias`.

    Parameters
    ----------
    weights : int8[..., rows, columns]
    bias : int32[..., rows]
    zero_point : int
    """
    folded = bias.astype(np.int64) - zero_point * weights.sum(axis=-1, dtype=np.int64)
    wrapped: Int32Array = wrap32(folded).astype(np.int32)
    return wrapped


def gate_requantizer(weight_scale: float, operand_scale: float, scale: float = GATE_SCALE) -> Requantizer:
    """The factor from a gate's accumulator to `scale`, Q3.12's if not another, in float32 steps as the kernel has."""
    product = np.float32(np.float32(weight_scale) * np.float32(operand_scale))
    return Requantizer.of(float(np.float32(product / np.float32(scale))))


def hidden_requantizer(hidden_scale: float) -> Requantizer:
    """The factor from the Q0.30 product to the hidden state; double inside, float32 when stored."""
    return Requantizer.of(float(np.float32(2.0**-15 / float(np.float32(hidden_scale)) * 2.0**-15)))


def state_requantizer(state_scale: float, hidden_scale: float) -> Requantizer:
    """The factor from an int16 state to the hidden state's bytes; double inside, float32 when stored."""
    return Requantizer.of(float(np.float32(state_scale / float(np.float32(hidden_scale)))))


def quantized_cell_clip(cell_clip: float, cell_scale_log2: int) -> int:
    """The clip in units of the cell state, 0 when there is none."""
    if cell_clip <= 0:
        return 0
    scaled = np.float32(cell_clip) / np.float32(2.0**cell_scale_log2)
    return int(min(max(float(scaled), INT16_MIN), INT16_MAX))
