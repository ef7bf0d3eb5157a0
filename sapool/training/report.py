"""An evaluation, or a comparison of two, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from sapool.training.comparison import LEVEL, Comparison
from sapool.training.evaluation import Evaluation

Report = Evaluation | Comparison


def render(report: Report, format: str = "text") -> str:
    """The report in one of `FORMATS`."""
    return FORMATS[format](report)


def _json(report: Report) -> str:
    return json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"


def _text(report: Report) -> str:
    return _comparison(report) if isinstance(report, Comparison) else _evaluation(report)


def _evaluation(evaluation: Evaluation) -> str:
    low, high = evaluation.interval
    width = max(len("class"), *(len(name) for name in evaluation.classes))
    confusion = evaluation.confusion
    lines = [
        f"accuracy  {evaluation.accuracy:.2%}  ({evaluation.correct} of {evaluation.images}; 95% interval "
        f"{low:.2%} to {high:.2%})",
        f"data      {evaluation.origin}",
        f"runtime   {evaluation.runtime}",
        f"confident {evaluation.confidence.mean():.2%} on average; expected calibration error "
        f"{evaluation.calibration_error:.2%}",
        "",
        f"{'class':{width}}  images  accuracy  most often taken for",
    ]
    for number, (name, share) in enumerate(zip(evaluation.classes, evaluation.per_class, strict=True)):
        images = int(confusion[number].sum())
        accuracy = "-" if share is None else f"{share:.2%}"
        lines.append(f"{name:{width}}  {images:6}  {accuracy:>8}  {_confused_with(evaluation, number)}".rstrip())
    return "\n".join(lines) + "\n"


def _confused_with(evaluation: Evaluation, number: int) -> str:
    others = evaluation.confusion[number].copy()
    others[number] = 0
    worst = int(others.argmax())
    return f"{evaluation.classes[worst]} ({int(others[worst])})" if others[worst] else ""


def _comparison(comparison: Comparison) -> str:
    lines = [f"data         {comparison.first.origin}, {comparison.first.images} images"]
    for letter, one in (("A", comparison.first), ("B", comparison.second)):
        low, high = one.interval
        lines.append(
            f"{letter}            {one.accuracy:.2%}  (95% interval {low:.2%} to {high:.2%})  {one.name}, {one.runtime}"
        )
    verdict = "significant" if comparison.significant else "not significant"
    lines += [
        f"difference   {100 * comparison.difference:+.2f} points; only A is right on {comparison.only_first} images, only B "
        f"on {comparison.only_second}",
        f"McNemar      p = {comparison.p_value:.2g}: {verdict} at {LEVEL:.0%}",
    ]
    return "\n".join(lines) + "\n"


FORMATS: Final[dict[str, Callable[[Report], str]]] = {"text": _text, "json": _json}
