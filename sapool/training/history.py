"""What is measured in each epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One epoch; epochs count from 1.

    Losses are mean cross-entropies (in training of smoothed labels and augmented images); accuracies are shares of 1.
    `learning_rate` is that of the last step, `seconds` the time of training without validation. In a `quantised` epoch all
    is measured in the simulation of the int8 export.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    images_per_second: float
    quantised: bool = False

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Higher is better: trained for the export at all, then accuracy on the validation part, then its loss."""
        return self.quantised, self.val_accuracy, -self.val_loss


def to_csv(history: Iterable[EpochMetrics]) -> str:
    """A row for each epoch, under a header with the names of the fields."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(EpochMetrics)], lineterminator="\n")
    writer.writeheader()
    for metrics in history:
        writer.writerow(
            {
                name: round(value, 6) if isinstance(value, float) else int(value)
                for name, value in asdict(metrics).items()
            }
        )
    return stream.getvalue()
