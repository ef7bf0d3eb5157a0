"""Networks in the forms they are stored in, behind one interface: pixels in, logits out."""

from __future__ import annotations

from sapool.training.predictors.base import Predictor
from sapool.training.predictors.loading import LOADERS, RUNTIMES, load

__all__ = ["LOADERS", "RUNTIMES", "Predictor", "load"]
