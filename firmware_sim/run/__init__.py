"""Runs a model: in real TFLM (`tflm`), in LiteRT with its reference kernels (`litert`).

TFLM can end the process on a file that it does not like: `workers` runs it in processes of their own;
`feed` makes up inputs.

Both take numpy arrays in the order of the model's inputs and give the outputs in order; for an int8 model the arrays
are int8. Each needs an extra, which is imported when a model is first loaded.
"""
