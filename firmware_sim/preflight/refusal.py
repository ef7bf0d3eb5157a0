"""What a rule finds, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from firmware_sim.errors import ModelError

Stage = Literal["allocate", "invoke"]

_MANY: Final = 3  # refusals that are only numbered


class Refusal(NamedTuple):
    """Why TFLM does not take a model.

    Attributes:
        subgraph: index of the subgraph.
        operator: index of the operator in it; None if the model as a whole is refused.
        op: name of the operator, empty without one.
        tensor: name of the tensor that is at fault, None if it is none in particular.
        reason: what is wrong, in words that follow the operator's name.
        source: file of TFLM that refuses, below tensorflow/lite/micro.
        certain: the rule was executed in TFLM with these kernels; False if its source was only read, or if it depends
            on the application.
        stage: "allocate" if AllocateTensors fails, "invoke" if the model loads and then cannot run.
        hint: what to do about it, None if there is no general advice.
    """

    subgraph: int
    operator: int | None
    op: str
    tensor: str | None
    reason: str
    source: str
    certain: bool = True
    stage: Stage = "allocate"
    hint: str | None = None

    @property
    def place(self) -> str:
        """Operator and tensor in words; empty for the model as a whole."""
        parts = [f"subgraph {self.subgraph}"] if self.subgraph else []
        if self.operator is not None:
            parts.append(f"operator {self.operator} ({self.op})")
        if self.tensor is not None:
            parts.append(f"tensor {self.tensor!r}")
        return ", ".join(parts)

    def __str__(self) -> str:
        when = "" if self.stage == "allocate" else " (it loads, and fails when it runs)"
        return f"{self.place}: {self.reason}{when} [{self.source}]" if self.place else f"{self.reason} [{self.source}]"


def error(refusals: Sequence[Refusal]) -> ModelError:
    """The refusals as one error that lists all of them and, once each, their hints.

    Where many operators are refused alike, the first is said in full and the others by their numbers.
    """
    message = "TensorFlow Lite Micro refuses the model: "
    if len(refusals) == 1:
        message += str(refusals[0])
    else:
        message += f"{len(refusals)} reasons" + "".join(f"\n  {line}" for line in _lines(refusals))
    return ModelError(message, hint="\n  ".join(_hints(refusals)) or None)


def _lines(refusals: Sequence[Refusal]) -> Iterator[str]:
    groups: dict[Refusal, list[Refusal]] = {}
    for refusal in refusals:
        groups.setdefault(refusal._replace(operator=None, tensor=None), []).append(refusal)
    for first, *others in groups.values():
        yield str(first)
        if len(others) < _MANY:
            yield from map(str, others)
        else:
            numbers = ", ".join(str(each.operator) for each in others)
            yield f"  and {len(others)} times the same for {first.op} of operators {numbers}"


def _hints(refusals: Iterable[Refusal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(refusal.hint for refusal in refusals if refusal.hint))
