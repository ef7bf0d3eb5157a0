"""An evaluation as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from sapool.training.evaluation import Evaluation


def render(evaluation: Evaluation, format: str = "text") -> str:
    """The evaluation in one of `FORMATS`."""
    return FORMATS[format](evaluation)


def _json(evaluation: Evaluation) -> str:
    return json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False) + "\n"


def _text(evaluation: Evaluation) -> str:
    low, high = evaluation.interval
    width = max(len("class"), *(len(name) for name in evaluation.classes))
    lines = [
        f"accuracy  {evaluation.accuracy:.2%}  ({evaluation.correct} of {evaluation.images}; 95% interval "
        f"{low:.2%} to {high:.2%})",
        f"data      {evaluation.origin}",
        f"runtime   {evaluation.runtime}",
        "",
        f"{'class':{width}}  images  accuracy  most often taken for",
    ]
    for number, (name, share) in enumerate(zip(evaluation.classes, evaluation.per_class, strict=True)):
        images = int(evaluation.confusion[number].sum())
        accuracy = "-" if share is None else f"{share:.2%}"
        lines.append(f"{name:{width}}  {images:6}  {accuracy:>8}  {_confused_with(evaluation, number)}".rstrip())
    return "\n".join(lines) + "\n"


def _confused_with(evaluation: Evaluation, number: int) -> str:
    others = evaluation.confusion[number].copy()
    others[number] = 0
    worst = int(others.argmax())
    return f"{evaluation.classes[worst]} ({int(others[worst])})" if others[worst] else ""


FORMATS: Final[dict[str, Callable[[Evaluation], str]]] = {"text": _text, "json": _json}
