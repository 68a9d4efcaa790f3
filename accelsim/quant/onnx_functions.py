"""The bodies of the `accelsim` ONNX operators: our integer arithmetic spelled in standard ONNX operators.

A reader that knows the operators reads the nodes; any other ONNX runtime runs these bodies. They hold no float
operator but the fully connected layer's float64 scale, which is that layer's definition. The cells of recurrent
layers are in `onnx_recurrent`, what a node of each operator holds in `onnx_signatures`.

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

from accelsim.quant.onnx_recurrent import RECURRENT_BODIES

if TYPE_CHECKING:
    from onnx import FunctionProto

DOMAIN = "accelsim"
DOMAIN_VERSION = 2
"""Of the operators below: a change of a body or of a signature is another version."""
OPSET_VERSION = 17
IR_VERSION = 8
"""The first with model-local functions."""

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

# int8[..., units, columns] to uint8[columns, rows]: all gates side by side.
_GATE_MATRIX = """
GateMatrix (weights) => (matrix) {
    weights_shape = Shape (weights)
    last = Constant <value_ints: ints = [-1]> ()
    columns = Gather (weights_shape, last)
    rest = Constant <value_ints: ints = [-1]> ()
    rows_shape = Concat <axis = 0> (rest, columns)
    rows = Reshape (weights, rows_shape)
    transposed = Transpose <perm = [1, 0]> (rows)
    offset = Constant <value: tensor = int32 {128}> ()
    widened = Cast <to = 6> (transposed)
    lifted = Add (widened, offset)
    matrix = Cast <to = 2> (lifted)
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
BODIES = (
    _POWER_OF_TWO,
    _SHIFT_FACTORS,
    _ROUNDING_DIVIDE,
    _MULTIPLY_BY_QUANTIZED_MULTIPLIER,
    _TO_UNSIGNED,
    _GATE_MATRIX,
    _MATRIX_PRODUCT,
    _LOOK_UP,
    *RECURRENT_BODIES,
    _LINEAR,
    _SELECT_STEP,
)
"""The text of every function of the domain."""


@cache
def functions() -> tuple[FunctionProto, ...]:
    """Every function of the domain, in the order a file holds them."""
    from onnx import parser

    header = f'<domain: "{DOMAIN}", opset_import: ["" : {OPSET_VERSION}, "{DOMAIN}" : {DOMAIN_VERSION}]>'
    return tuple(parser.parse_function(header + body) for body in BODIES)
