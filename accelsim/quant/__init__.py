"""From a float graph to a quantized graph: observers, calibration, the exact quantized ONNX in and out."""
