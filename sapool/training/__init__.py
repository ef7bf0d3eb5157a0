"""Training and evaluation. Importing this does not import torch; `fit` does."""

from __future__ import annotations

from sapool.training.config import FitConfig
from sapool.training.evaluation import Evaluation, evaluate
from sapool.training.fitting import FitResult, fit, fit_module
from sapool.training.history import EpochMetrics
from sapool.training.predictors import Predictor, load

__all__ = ["EpochMetrics", "Evaluation", "FitConfig", "FitResult", "Predictor", "evaluate", "fit", "fit_module", "load"]
