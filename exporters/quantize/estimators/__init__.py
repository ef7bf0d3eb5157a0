"""How the range of a tensor follows from the values that it took: one estimator a file."""

from exporters.quantize.estimators.registry import DEFAULT, Channels, Estimator, estimator, methods, register

__all__ = ["DEFAULT", "Channels", "Estimator", "estimator", "methods", "register"]
