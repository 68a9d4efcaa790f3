"""The bodies of the recurrent `accelsim` ONNX operators, on top of the primitives of `onnx_functions`.

A sequence is int8[N, T, features] between nodes. Inside, time goes first for `Scan`, as not every runtime scans another
axis, and a reversed layer's sequence is turned round before and after, as not every runtime scans backwards. Gates
are axis 2 of the input products and axis 1 within a step, in the order of `graph.Gate` and `graph.GruGate`. A vanilla
RNN has no gates' axis. Some attributes no node reads: `y_scale` and `y_zero_point` describe y to whoever dequantizes
it, and a vanilla RNN's `activation` and `preactivation_scale_log2` say what its table and factors come from.

What a `Scan` body uses of the values outside is not made by a function it calls itself: ONNX Runtime names the values
of inlined functions alike on both sides, and warns of each such pair.

Source: ONNX operator set 17; the arithmetic is that of `accelsim.quant.execute`.
"""

from __future__ import annotations

# Of a time-major sequence: the same or, with reverse 1, last step first. An end out of range is clipped.
_DIRECTED = """
Directed (sequence, reverse) => (y) {
    one_element = Constant <value_ints: ints = [1]> ()
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    beyond = Constant <value_int: int = 2147483647> ()
    time_axis = Constant <value_ints: ints = [0]> ()
    flag = Reshape (reverse, one_element)
    start = Neg (flag)
    twice = Mul (two, flag)
    step = Sub (one, twice)
    end = Mul (beyond, step)
    y = Slice (sequence, start, end, time_axis, step)
}
"""

_CLAMP_16 = """
Clamp16 (x) => (y) {
    int16_min = Constant <value_int: int = -32768> ()
    int16_max = Constant <value_int: int = 32767> ()
    y = Clip (x, int16_min, int16_max)
}
"""

# Each gate's bias + weights @ x, requantized to int64; `split` is the shape that separates the gates.
_GATE_PRODUCTS = """
GateProducts (x, matrix, split, bias, multiplier, left_factor, right_divisor) => (y) {
    sums = accelsim.MatrixProduct (x, matrix)
    gates = Reshape (sums, split)
    biased = Add (gates, bias)
    wide = Cast <to = 7> (biased)
    y = accelsim.MultiplyByQuantizedMultiplier (wide, multiplier, left_factor, right_divisor)
}
"""

# All steps' input products, clamped; int16, since they are kept for the whole sequence.
_INPUT_PRODUCTS = """
InputProducts (x, weights, split, bias, multiplier, shift) => (y) {
    matrix = accelsim.GateMatrix (weights)
    left_factor, right_divisor = accelsim.ShiftFactors (shift)
    products = accelsim.GateProducts (x, matrix, split, bias, multiplier, left_factor, right_divisor)
    clamped = accelsim.Clamp16 (products)
    y = Cast <to = 5> (clamped)
}
"""

_HIDDEN_BYTES = """
HiddenBytes (values, multiplier, left_factor, right_divisor, zero_point) => (y) {
    int8_min = Constant <value_int: int = -128> ()
    int8_max = Constant <value_int: int = 127> ()
    scaled = accelsim.MultiplyByQuantizedMultiplier (values, multiplier, left_factor, right_divisor)
    shifted = Add (scaled, zero_point)
    clamped = Clip (shifted, int8_min, int8_max)
    y = Cast <to = 3> (clamped)
}
"""

# An activation of int64 values of int16, by its table.
_ACTIVATE = """
Activate (table, argument) => (y) {
    int16_min = Constant <value_int: int = -32768> ()
    index = Sub (argument, int16_min)
    y = accelsim.LookUp (table, index)
}
"""

# [N, units] from x: int8[N, T, inputs] and the recurrent weights.
_STATE_SHAPE = """
StateShape (x, recurrent_weights) => (shape) {
    first = Constant <value_ints: ints = [0]> ()
    last = Constant <value_ints: ints = [-1]> ()
    input_shape = Shape (x)
    frames = Gather (input_shape, first)
    weights_shape = Shape (recurrent_weights)
    units = Gather (weights_shape, last)
    shape = Concat <axis = 0> (frames, units)
}
"""

_LSTM = """
Lstm <cell_clip, cell_scale_log2, hidden_multiplier, hidden_shift, hidden_zero_point, initial_hidden,
      input_multipliers, input_shifts, recurrent_multipliers, recurrent_shifts, reverse, y_scale, y_zero_point>
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
    direction = Constant <value_int: int = @reverse> ()

    per_gate = Constant <value_ints: ints = [4, 1]> ()
    input_multiplier = Reshape (input_m, per_gate)
    recurrent_multiplier = Reshape (recurrent_m, per_gate)
    input_shift = Reshape (input_s, per_gate)
    recurrent_shift = Reshape (recurrent_s, per_gate)
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
    input_gate = Constant <value_int: int = 0> ()
    forget_gate = Constant <value_int: int = 1> ()
    cell_gate = Constant <value_int: int = 2> ()
    output_gate = Constant <value_int: int = 3> ()

    split_sequence = Constant <value_ints: ints = [0, 0, 4, -1]> ()
    split_step = Constant <value_ints: ints = [0, 4, -1]> ()
    time_major = Transpose <perm = [1, 0, 2]> (x)
    directed = accelsim.Directed (time_major, direction)
    from_input = accelsim.InputProducts (
        directed, input_weights, split_sequence, input_bias, input_multiplier, input_shift)
    recurrent_matrix = accelsim.GateMatrix (recurrent_weights)

    state_shape = accelsim.StateShape (x, recurrent_weights)
    initial_wide = Expand (initial_byte, state_shape)
    initial_state = Cast <to = 3> (initial_wide)
    initial_cell = Expand (zero, state_shape)

    last_hidden, last_cell, directed_y = Scan <num_scan_inputs = 1,
        body = step (int8[?, ?] hidden, int64[?, ?] cell, int16[?, 4, ?] step_input)
            => (int8[?, ?] next_hidden, int64[?, ?] next_cell, int8[?, ?] step_output) {
            from_hidden = accelsim.GateProducts (
                hidden, recurrent_matrix, split_step, recurrent_bias, recurrent_multiplier, recurrent_left,
                recurrent_right)
            step_input_wide = Cast <to = 7> (step_input)
            unclamped = Add (step_input_wide, from_hidden)
            gates = accelsim.Clamp16 (unclamped)
            input_argument = Gather <axis = 1> (gates, input_gate)
            forget_argument = Gather <axis = 1> (gates, forget_gate)
            cell_argument = Gather <axis = 1> (gates, cell_gate)
            output_argument = Gather <axis = 1> (gates, output_gate)
            input_value = accelsim.Activate (sigmoid_table, input_argument)
            forget_value = accelsim.Activate (sigmoid_table, forget_argument)
            candidate = accelsim.Activate (gate_tanh_table, cell_argument)
            output_value = accelsim.Activate (sigmoid_table, output_argument)

            forget_product = Mul (forget_value, cell)
            kept = accelsim.RoundingDivide (forget_product, forget_divisor)
            input_product = Mul (input_value, candidate)
            added = accelsim.RoundingDivide (input_product, input_divisor)
            cell_sum = Add (kept, added)
            cell_clamped = accelsim.Clamp16 (cell_sum)
            next_cell = Clip (cell_clamped, lower_bound, bound)

            cell_tanh = accelsim.Activate (cell_tanh_table, next_cell)
            hidden_product = Mul (output_value, cell_tanh)
            next_hidden = accelsim.HiddenBytes (hidden_product, hidden_m, hidden_left, hidden_right, hidden_zero)
            step_output = Identity (next_hidden)
        }> (initial_state, initial_cell, from_input)
    time_major_y = accelsim.Directed (directed_y, direction)
    y = Transpose <perm = [1, 0, 2]> (time_major_y)
}
"""

# Where the reset gate comes before the product, the candidate's part of the products from `hidden` is not used.
_GRU = """
Gru <hidden_multiplier, hidden_shift, hidden_zero_point, input_multipliers, input_shifts, linear_before_reset,
     recurrent_multipliers, recurrent_shifts, reverse, y_scale, y_zero_point>
    (x, input_weights, recurrent_weights, input_bias, recurrent_bias, sigmoid_table, gate_tanh_table) => (y) {
    zero = Constant <value_int: int = 0> ()
    hidden_m = Constant <value_int: int = @hidden_multiplier> ()
    hidden_s = Constant <value_int: int = @hidden_shift> ()
    hidden_zero = Constant <value_int: int = @hidden_zero_point> ()
    input_m = Constant <value_ints: ints = @input_multipliers> ()
    input_s = Constant <value_ints: ints = @input_shifts> ()
    linear = Constant <value_int: int = @linear_before_reset> ()
    recurrent_m = Constant <value_ints: ints = @recurrent_multipliers> ()
    recurrent_s = Constant <value_ints: ints = @recurrent_shifts> ()
    direction = Constant <value_int: int = @reverse> ()

    per_gate = Constant <value_ints: ints = [3, 1]> ()
    input_multiplier = Reshape (input_m, per_gate)
    recurrent_multiplier = Reshape (recurrent_m, per_gate)
    input_shift = Reshape (input_s, per_gate)
    recurrent_shift = Reshape (recurrent_s, per_gate)
    recurrent_left, recurrent_right = accelsim.ShiftFactors (recurrent_shift)
    hidden_left, hidden_right = accelsim.ShiftFactors (hidden_s)
    is_linear = Cast <to = 9> (linear)
    one = Constant <value_int: int = 32767> ()
    unit_divisor = Constant <value_int: int = 32768> ()
    reset_gate = Constant <value_int: int = 0> ()
    update_gate = Constant <value_int: int = 1> ()
    candidate_gate = Constant <value_int: int = 2> ()

    split_sequence = Constant <value_ints: ints = [0, 0, 3, -1]> ()
    split_step = Constant <value_ints: ints = [0, 3, -1]> ()
    time_major = Transpose <perm = [1, 0, 2]> (x)
    directed = accelsim.Directed (time_major, direction)
    from_input = accelsim.InputProducts (
        directed, input_weights, split_sequence, input_bias, input_multiplier, input_shift)
    recurrent_matrix = accelsim.GateMatrix (recurrent_weights)

    candidate_weights = Gather <axis = 0> (recurrent_weights, candidate_gate)
    candidate_matrix = accelsim.GateMatrix (candidate_weights)
    candidate_bias = Gather <axis = 0> (recurrent_bias, candidate_gate)
    candidate_multiplier = Gather <axis = 0> (recurrent_multiplier, candidate_gate)
    candidate_left = Gather <axis = 0> (recurrent_left, candidate_gate)
    candidate_right = Gather <axis = 0> (recurrent_right, candidate_gate)
    no_split = Constant <value_ints: ints = [0, -1]> ()

    state_shape = accelsim.StateShape (x, recurrent_weights)
    initial_wide = Expand (hidden_zero, state_shape)
    initial_bytes = Cast <to = 3> (initial_wide)
    initial_state = Expand (zero, state_shape)

    last_hidden, last_state, directed_y = Scan <num_scan_inputs = 1,
        body = step (int8[?, ?] hidden, int64[?, ?] state, int16[?, 3, ?] step_input)
            => (int8[?, ?] next_hidden, int64[?, ?] next_state, int8[?, ?] step_output) {
            from_hidden = accelsim.GateProducts (
                hidden, recurrent_matrix, split_step, recurrent_bias, recurrent_multiplier, recurrent_left,
                recurrent_right)
            step_input_wide = Cast <to = 7> (step_input)
            unclamped = Add (step_input_wide, from_hidden)
            gates = accelsim.Clamp16 (unclamped)
            reset_argument = Gather <axis = 1> (gates, reset_gate)
            update_argument = Gather <axis = 1> (gates, update_gate)
            reset = accelsim.Activate (sigmoid_table, reset_argument)
            update = accelsim.Activate (sigmoid_table, update_argument)

            from_state = If (is_linear) <
                then_branch = after () => (int64[?, ?] linear_product) {
                    plain_product = Gather <axis = 1> (from_hidden, candidate_gate)
                    clamped_product = accelsim.Clamp16 (plain_product)
                    reset_product = Mul (reset, clamped_product)
                    linear_product = accelsim.RoundingDivide (reset_product, unit_divisor)
                },
                else_branch = before () => (int64[?, ?] let_through_product) {
                    reset_state = Mul (reset, state)
                    let_through = accelsim.RoundingDivide (reset_state, unit_divisor)
                    let_through_bytes = accelsim.HiddenBytes (
                        let_through, hidden_m, hidden_left, hidden_right, hidden_zero)
                    let_through_product = accelsim.GateProducts (let_through_bytes, candidate_matrix, no_split,
                        candidate_bias, candidate_multiplier, candidate_left, candidate_right)
                }>
            candidate_input = Gather <axis = 1> (step_input_wide, candidate_gate)
            candidate_sum = Add (candidate_input, from_state)
            candidate_argument = accelsim.Clamp16 (candidate_sum)
            candidate = accelsim.Activate (gate_tanh_table, candidate_argument)

            replaced_share = Sub (one, update)
            replaced_product = Mul (candidate, replaced_share)
            replaced = accelsim.RoundingDivide (replaced_product, unit_divisor)
            kept_product = Mul (update, state)
            kept = accelsim.RoundingDivide (kept_product, unit_divisor)
            state_sum = Add (replaced, kept)
            next_state = accelsim.Clamp16 (state_sum)
            next_hidden = accelsim.HiddenBytes (next_state, hidden_m, hidden_left, hidden_right, hidden_zero)
            step_output = Identity (next_hidden)
        }> (initial_bytes, initial_state, from_input)
    time_major_y = accelsim.Directed (directed_y, direction)
    y = Transpose <perm = [1, 0, 2]> (time_major_y)
}
"""

_RNN = """
Rnn <activation, hidden_multiplier, hidden_shift, hidden_zero_point, input_multiplier, input_shift,
     preactivation_scale_log2, recurrent_multiplier, recurrent_shift, reverse, y_scale, y_zero_point>
    (x, input_weights, recurrent_weights, input_bias, recurrent_bias, activation_table) => (y) {
    hidden_m = Constant <value_int: int = @hidden_multiplier> ()
    hidden_s = Constant <value_int: int = @hidden_shift> ()
    hidden_zero = Constant <value_int: int = @hidden_zero_point> ()
    input_m = Constant <value_int: int = @input_multiplier> ()
    input_s = Constant <value_int: int = @input_shift> ()
    recurrent_m = Constant <value_int: int = @recurrent_multiplier> ()
    recurrent_s = Constant <value_int: int = @recurrent_shift> ()
    direction = Constant <value_int: int = @reverse> ()

    recurrent_left, recurrent_right = accelsim.ShiftFactors (recurrent_s)
    hidden_left, hidden_right = accelsim.ShiftFactors (hidden_s)
    whole_sequence = Constant <value_ints: ints = [0, 0, -1]> ()
    whole_step = Constant <value_ints: ints = [0, -1]> ()
    time_major = Transpose <perm = [1, 0, 2]> (x)
    directed = accelsim.Directed (time_major, direction)
    from_input = accelsim.InputProducts (directed, input_weights, whole_sequence, input_bias, input_m, input_s)
    recurrent_matrix = accelsim.GateMatrix (recurrent_weights)

    state_shape = accelsim.StateShape (x, recurrent_weights)
    initial_wide = Expand (hidden_zero, state_shape)
    initial_bytes = Cast <to = 3> (initial_wide)

    last_hidden, directed_y = Scan <num_scan_inputs = 1,
        body = step (int8[?, ?] hidden, int16[?, ?] step_input)
            => (int8[?, ?] next_hidden, int8[?, ?] step_output) {
            from_hidden = accelsim.GateProducts (
                hidden, recurrent_matrix, whole_step, recurrent_bias, recurrent_m, recurrent_left, recurrent_right)
            step_input_wide = Cast <to = 7> (step_input)
            unclamped = Add (step_input_wide, from_hidden)
            argument = accelsim.Clamp16 (unclamped)
            result = accelsim.Activate (activation_table, argument)
            next_hidden = accelsim.HiddenBytes (result, hidden_m, hidden_left, hidden_right, hidden_zero)
            step_output = Identity (next_hidden)
        }> (initial_bytes, from_input)
    time_major_y = accelsim.Directed (directed_y, direction)
    y = Transpose <perm = [1, 0, 2]> (time_major_y)
}
"""

RECURRENT_BODIES = (
    _DIRECTED,
    _CLAMP_16,
    _GATE_PRODUCTS,
    _INPUT_PRODUCTS,
    _HIDDEN_BYTES,
    _ACTIVATE,
    _STATE_SHAPE,
    _LSTM,
    _GRU,
    _RNN,
)
"""Their text, each after those it uses."""
