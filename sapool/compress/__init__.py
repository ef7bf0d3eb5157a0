"""Networks made to fit: a search over early downsampling, and channel pruning, both driven by the arena in TFLM."""
