"""Weights that others trained: `load_weights(parse("mobilenet_v2-average:padding=symmetric"), "mobilenet_v2.pth")`."""

from sapool.weights.loading import LoadedWeights, load_weights

__all__ = ["LoadedWeights", "load_weights"]
