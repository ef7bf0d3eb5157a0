"""A torch module in, a file out: ONNX or int8 TFLite. Knows no model and no layer of sapool by name."""
