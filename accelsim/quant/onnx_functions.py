"""The bodies of the `accelsim` ONNX operators: our integer arithmetic spelled in standard ONNX operators.

A reader that knows the operators reads the nodes; any other ONNX runtime runs these bodies. They hold no float
operator but the fully connected layer's float64 scale, which is that layer's definition.

How the integer primitives are spelled, since ONNX has neither an arithmetic shift nor a floor division:

* A floor shift by 31 lifts the dividend above zero first, ``(x + 2**62) / 2**31 - 2**31``: `Div` truncates.
* A division with ties away from zero is symmetric, so truncation does it: ``(x + sign(x) * half) / 2**e``.
* int32 wrapping is `Cast` from int64 to int32, which ONNX defines as keeping the low bits.
* A matrix product is `MatMulInteger` on uint8 x uint8 with both zero points 128. With an int8 operand it would be
  inexact on x86 machines that have AVX2 or AVX-512 but no VNNI: their kernels for mixed signs use `vpmaddubsw`,
  whose pairs of products saturate at 16 bits. Those for uint8 x uint8 widen to 16 bits first, and are exact.

Source: ONNX operator set 17; the arithmetic is that of `accelsim.quant.execute`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import FunctionProto

DOMAIN = "accelsim"
DOMAIN_VERSION = 1
"""Of the operators below: a change of a body or of a signature is another version."""
OPSET_VERSION = 17
IR_VERSION = 8
"""The first with model-local functions."""

LSTM, LINEAR, SELECT_STEP = "Lstm", "Linear", "SelectStep"

LSTM_CONSTANTS = ("input_weights", "recurrent_weights", "input_bias", "recurrent_bias")
LSTM_TABLES = ("sigmoid_table", "gate_tanh_table", "cell_tanh_table")
LSTM_INTEGERS = ("cell_clip", "cell_scale_log2", "hidden_zero_point", "initial_hidden")
LINEAR_CONSTANTS = ("weights", "bias", "output_scale")
"""Operands after x, and attributes, that bear the name of the layer's own field."""

_POWER_OF_TWO = """
PowerOfTwo (exponent) => (power) {
    one = Constant <value: tensor = uint64 {1}> ()
    amount = Cast <to = 13> (exponent)
    shifted = BitShift <direction = "LEFT"> (one, amount)
    power = Cast <to = 7> (shifted)
}
"""

_ROUNDING_DIVIDE = """
RoundingDivide (x, divisor) => (y) {
    two = Constant <value_int: int = 2> ()
    half = Div (divisor, two)
    sign = Sign (x)
    offset = Mul (sign, half)
    dividend = Add (x, offset)
    y = Div (dividend, divisor)
}
"""

# 4611686019501129728 = 2**62 + 2**30: the lift of the floor shift and its rounding in one.
_MULTIPLY_BY_QUANTIZED_MULTIPLIER = """
MultiplyByQuantizedMultiplier (x, multiplier, left_factor, right_divisor) => (y) {
    lifted_half = Constant <value_int: int = 4611686019501129728> ()
    high_divisor = Constant <value_int: int = 2147483648> ()
    shifted = Mul (x, left_factor)
    wrapped = Cast <to = 6> (shifted)
    widened = Cast <to = 7> (wrapped)
    product = Mul (widened, multiplier)
    lifted = Add (product, lifted_half)
    lifted_high = Div (lifted, high_divisor)
    high = Sub (lifted_high, high_divisor)
    y = accelsim.RoundingDivide (high, right_divisor)
}
"""

_TO_UNSIGNED = """
ToUnsigned (x) => (y) {
    offset = Constant <value: tensor = int32 {128}> ()
    widened = Cast <to = 6> (x)
    lifted = Add (widened, offset)
    y = Cast <to = 2> (lifted)
}
"""

# x: int8[..., columns]; columns_by_rows: uint8[columns, rows], lifted by 128. The sum is int32 and wraps.
_MATRIX_PRODUCT = """
MatrixProduct (x, columns_by_rows) => (accumulator) {
    zero_point = Constant <value: tensor = uint8 {128}> ()
    unsigned = accelsim.ToUnsigned (x)
    accumulator = MatMulInteger (unsigned, columns_by_rows, zero_point, zero_point)
}
"""

# The sequence is int8[N, T, inputs]; time goes first for Scan, as not every runtime scans another axis. Gates are
# axis 2 of the input products and axis 1 within a step, in the order input, forget, cell, output. `y_scale` and
# `y_zero_point` describe y to whoever dequantizes it; no node reads them.
_LSTM = """
Lstm <cell_clip, cell_scale_log2, hidden_multiplier, hidden_shift, hidden_zero_point, initial_hidden,
      input_multipliers, input_shifts, recurrent_multipliers, recurrent_shifts, y_scale, y_zero_point>
    (x, input_weights, recurrent_weights, input_bias, recurrent_bias, sigmoid_table, gate_tanh_table,
     cell_tanh_table) => (y) {
    zero = Constant <value_int: int = 0> ()
    clip = Constant <value_int: int = @cell_clip> ()
    cell_log2 = Constant <value_int: int = @cell_scale_log2> ()
    hidden_m = Constant <value_int: int = @hidden_multiplier> ()
    hidden_s = Constant <value_int: int = @hidden_shift> ()
    hidden_zero = Constant <value_int: int = @hidden_zero_point> ()
    initial_byte = Constant <value_int: int = @initial_hidden> ()
    input_m = Constant <value_ints: ints = @input_multipliers> ()
    input_s = Constant <value_ints: ints = @input_shifts> ()
    recurrent_m = Constant <value_ints: ints = @recurrent_multipliers> ()
    recurrent_s = Constant <value_ints: ints = @recurrent_shifts> ()

    per_gate = Constant <value_ints: ints = [4, 1]> ()
    input_multiplier = Reshape (input_m, per_gate)
    recurrent_multiplier = Reshape (recurrent_m, per_gate)
    input_shift = Reshape (input_s, per_gate)
    recurrent_shift = Reshape (recurrent_s, per_gate)
    input_left, input_right = accelsim.ShiftFactors (input_shift)
    recurrent_left, recurrent_right = accelsim.ShiftFactors (recurrent_shift)
    hidden_left, hidden_right = accelsim.ShiftFactors (hidden_s)

    thirty = Constant <value_int: int = 30> ()
    product_shift = Add (thirty, cell_log2)
    input_divisor = accelsim.PowerOfTwo (product_shift)
    forget_divisor = Constant <value_int: int = 32768> ()

    no_clip = Equal (clip, zero)
    beyond = Constant <value_int: int = 32768> ()
    bound = Where (no_clip, beyond, clip)
    lower_bound = Neg (bound)
    int16_min = Constant <value_int: int = -32768> ()
    int16_max = Constant <value_int: int = 32767> ()
    int8_min = Constant <value_int: int = -128> ()
    int8_max = Constant <value_int: int = 127> ()
    input_gate = Constant <value_int: int = 0> ()
    forget_gate = Constant <value_int: int = 1> ()
    cell_gate = Constant <value_int: int = 2> ()
    output_gate = Constant <value_int: int = 3> ()

    input_matrix = accelsim.GateMatrix (input_weights)
    recurrent_matrix = accelsim.GateMatrix (recurrent_weights)

    time_major = Transpose <perm = [1, 0, 2]> (x)
    input_sums = accelsim.MatrixProduct (time_major, input_matrix)
    split_sequence = Constant <value_ints: ints = [0, 0, 4, -1]> ()
    split_step = Constant <value_ints: ints = [0, 4, -1]> ()
    input_gates = Reshape (input_sums, split_sequence)
    input_biased = Add (input_gates, input_bias)
    input_wide = Cast <to = 7> (input_biased)
    input_scaled = accelsim.MultiplyByQuantizedMultiplier (input_wide, input_multiplier, input_left, input_right)
    input_clamped = Clip (input_scaled, int16_min, int16_max)
    from_input = Cast <to = 5> (input_clamped)

    input_shape = Shape (x)
    first = Constant <value_ints: ints = [0]> ()
    last = Constant <value_ints: ints = [-1]> ()
    frames = Gather (input_shape, first)
    weights_shape = Shape (recurrent_weights)
    units = Gather (weights_shape, last)
    state_shape = Concat <axis = 0> (frames, units)
    initial_wide = Expand (initial_byte, state_shape)
    initial_state = Cast <to = 3> (initial_wide)
    initial_cell = Expand (zero, state_shape)

    last_hidden, last_cell, time_major_y = Scan <num_scan_inputs = 1,
        body = step (int8[?, ?] hidden, int64[?, ?] cell, int16[?, 4, ?] step_input)
            => (int8[?, ?] next_hidden, int64[?, ?] next_cell, int8[?, ?] step_output) {
            recurrent_sums = accelsim.MatrixProduct (hidden, recurrent_matrix)
            recurrent_gates = Reshape (recurrent_sums, split_step)
            recurrent_biased = Add (recurrent_gates, recurrent_bias)
            recurrent_wide = Cast <to = 7> (recurrent_biased)
            from_hidden = accelsim.MultiplyByQuantizedMultiplier (
                recurrent_wide, recurrent_multiplier, recurrent_left, recurrent_right)
            step_input_wide = Cast <to = 7> (step_input)
            unclamped = Add (step_input_wide, from_hidden)
            gates = Clip (unclamped, int16_min, int16_max)

            gate_index = Sub (gates, int16_min)
            input_index = Gather <axis = 1> (gate_index, input_gate)
            forget_index = Gather <axis = 1> (gate_index, forget_gate)
            cell_index = Gather <axis = 1> (gate_index, cell_gate)
            output_index = Gather <axis = 1> (gate_index, output_gate)
            input_value = accelsim.LookUp (sigmoid_table, input_index)
            forget_value = accelsim.LookUp (sigmoid_table, forget_index)
            candidate = accelsim.LookUp (gate_tanh_table, cell_index)
            output_value = accelsim.LookUp (sigmoid_table, output_index)

            forget_product = Mul (forget_value, cell)
            kept = accelsim.RoundingDivide (forget_product, forget_divisor)
            input_product = Mul (input_value, candidate)
            added = accelsim.RoundingDivide (input_product, input_divisor)
            cell_sum = Add (kept, added)
            cell_clamped = Clip (cell_sum, int16_min, int16_max)
            next_cell = Clip (cell_clamped, lower_bound, bound)

            state_index = Sub (next_cell, int16_min)
            cell_tanh = accelsim.LookUp (cell_tanh_table, state_index)
            hidden_product = Mul (output_value, cell_tanh)
            hidden_scaled = accelsim.MultiplyByQuantizedMultiplier (hidden_product, hidden_m, hidden_left, hidden_right)
            hidden_shifted = Add (hidden_scaled, hidden_zero)
            hidden_clamped = Clip (hidden_shifted, int8_min, int8_max)
            next_hidden = Cast <to = 3> (hidden_clamped)
            step_output = Identity (next_hidden)
        }> (initial_state, initial_cell, from_input)
    y = Transpose <perm = [1, 0, 2]> (time_major_y)
}
"""

# int8[4, units, columns] to uint8[columns, 4 * units].
_GATE_MATRIX = """
GateMatrix (weights) => (matrix) {
    weights_shape = Shape (weights)
    last = Constant <value_ints: ints = [2]> ()
    columns = Gather (weights_shape, last)
    rest = Constant <value_ints: ints = [-1]> ()
    rows_shape = Concat <axis = 0> (rest, columns)
    rows = Reshape (weights, rows_shape)
    transposed = Transpose <perm = [1, 0]> (rows)
    matrix = accelsim.ToUnsigned (transposed)
}
"""

# A shift as the two factors of the multiplication by a quantized multiplier; at least one of them is 1.
_SHIFT_FACTORS = """
ShiftFactors (shift) => (left_factor, right_divisor) {
    zero = Constant <value_int: int = 0> ()
    left = Max (shift, zero)
    opposite = Neg (shift)
    right = Max (opposite, zero)
    left_factor = accelsim.PowerOfTwo (left)
    right_divisor = accelsim.PowerOfTwo (right)
}
"""

_LOOK_UP = """
LookUp (table, index) => (value) {
    narrow = Gather (table, index)
    value = Cast <to = 7> (narrow)
}
"""

# Ties away from zero by the fraction, since floor(|x| + 0.5) is 1 for the float64 below 0.5. A value is bounded
# before the zero point is added: 256 beyond zero saturates with any zero point.
_LINEAR = """
Linear <y_scale, y_zero_point> (x, weights, bias, output_scale) => (y) {
    zero_point_bits = Constant <value_int: int = @y_zero_point> ()
    zero_point = Cast <to = 11> (zero_point_bits)
    transposed = Transpose <perm = [1, 0]> (weights)
    matrix = accelsim.ToUnsigned (transposed)
    sums = accelsim.MatrixProduct (x, matrix)
    biased = Add (sums, bias)
    accumulator = Cast <to = 11> (biased)
    scaled = Mul (accumulator, output_scale)
    magnitude = Abs (scaled)
    whole = Floor (magnitude)
    fraction = Sub (magnitude, whole)
    half = Constant <value: tensor = double {0.5}> ()
    is_up = GreaterOrEqual (fraction, half)
    up = Cast <to = 11> (is_up)
    rounded_magnitude = Add (whole, up)
    sign = Sign (scaled)
    rounded = Mul (rounded_magnitude, sign)
    low = Constant <value: tensor = double {-256.0}> ()
    high = Constant <value: tensor = double {256.0}> ()
    bounded = Clip (rounded, low, high)
    shifted = Add (bounded, zero_point)
    int8_min = Constant <value: tensor = double {-128.0}> ()
    int8_max = Constant <value: tensor = double {127.0}> ()
    clamped = Clip (shifted, int8_min, int8_max)
    y = Cast <to = 3> (clamped)
}
"""

_SELECT_STEP = """
SelectStep <step> (x) => (y) {
    index = Constant <value_int: int = @step> ()
    y = Gather <axis = 1> (x, index)
}
"""

# Each after those it uses: a runtime may take them one at a time.
_BODIES = (
    _POWER_OF_TWO,
    _SHIFT_FACTORS,
    _ROUNDING_DIVIDE,
    _MULTIPLY_BY_QUANTIZED_MULTIPLIER,
    _TO_UNSIGNED,
    _GATE_MATRIX,
    _MATRIX_PRODUCT,
    _LOOK_UP,
    _LSTM,
    _LINEAR,
    _SELECT_STEP,
)


@cache
def functions() -> tuple[FunctionProto, ...]:
    """Every function of the domain, in the order a file holds them."""
    from onnx import parser

    header = f'<domain: "{DOMAIN}", opset_import: ["" : {OPSET_VERSION}, "{DOMAIN}" : {DOMAIN_VERSION}]>'
    return tuple(parser.parse_function(header + body) for body in _BODIES)
