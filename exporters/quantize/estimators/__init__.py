"""How the range of a tensor follows from the values that it took: one estimator a file."""

from exporters.quantize.estimators.registry import DEFAULT, Estimator, estimator, methods, register

__all__ = ["DEFAULT", "Estimator", "estimator", "methods", "register"]
