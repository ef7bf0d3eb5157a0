"""What a training starts from, other than random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from sapool.spec import ModelSpec
    from sapool.weights import LoadedWeights


@dataclass(frozen=True, slots=True)
class Start:
    """Weights of a file; see `sapool.weights.load_weights`.

    Args:
        path: the file.
        classifier: "load", or "new" for classes other than the file's.
    """

    path: Path
    classifier: str = "load"

    def check(self, spec: ModelSpec) -> LoadedWeights:
        """Load the file into a network of `spec`, whatever its number of classes, to find what is wrong.

        Raises:
            UsageError, FileError: see `load_weights`.
        """
        from sapool.weights import load_weights

        return load_weights(spec, self.path, classifier="new")

    def into(self, network: nn.Module) -> LoadedWeights:
        """Load the file into `network`, which is changed.

        Raises:
            UsageError, FileError: see `load_weights`.
        """
        from sapool.weights import load_weights

        return load_weights(network, self.path, classifier=self.classifier)
