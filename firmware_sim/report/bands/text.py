"""The format `text`."""

from __future__ import annotations

from firmware_sim.report import shrink
from firmware_sim.report.bands import BandsReport
from firmware_sim.report.labels import printable
from firmware_sim.rewrite.bands.forms import EXPLICIT, FORMS
from firmware_sim.rewrite.bands.run import BandedStage


def render(report: BandsReport) -> str:
    """What shrinking reports, then stages and ladder."""
    banded = report.banded
    lines = [shrink.render(report.shrink).rstrip("\n"), ""]
    if banded.reason:
        lines += ["bands", f"  none: {printable(banded.reason)}"]
    else:
        lines += [f"bands, {form_of(report)}", *(line for stage in banded.stages for line in described(stage))]
        lines += [f"  {line}" for line in evidence(report)]
    if banded.rungs:
        lines += ["", "what more multiplications buy", f"  {'MACs':>15}{'':>9}{'arena':>11}{'head':>11}{'bands':>7}"]
        lines += [
            f"  {rung.macs:>15,}{_extra(rung.macs, banded.macs):>9}{rung.arena_bytes:>11,}{rung.head_bytes:>11,}"
            f"{rung.bands or '-':>7}{'  <- chosen' if rung.chosen else ''}"
            for rung in banded.rungs
        ]
    return "\n".join(lines)


def described(stage: BandedStage) -> list[str]:
    """Two lines about a stage."""
    order = "from the bottom up" if stage.upward else "from the top down"
    kept = "; rows that the next band reads stay" if stage.banding.lines else ""
    if stage.again:
        kept += f", not those of {', '.join(map(printable, stage.again))}"
    return [
        f"  {stage.operators} operators, {printable(stage.source)} to {printable(stage.result)}",
        f"    {stage.rows} rows as {' + '.join(map(str, stage.heights))}, {order}{kept}",
    ]


def form_of(report: BandsReport) -> str:
    """The form in which bands are written, and what that means."""
    form = report.banded.form
    return f"form {form} ({FORMS[form]})" if form else ""


def evidence(report: BandsReport) -> list[str]:
    """What was compared beside outputs, and what the firmware needs."""
    lines = []
    if report.tensors is not None:
        lines.append(
            f"TFLM: {report.tensors.compared} of {report.tensors.tensors} tensors between the layers compared, all the "
            "same in two runs of one interpreter"
        )
        if report.tensors.in_litert:
            lines.append("LiteRT, reference kernels: the same outputs")
        elif report.banded.form not in (None, EXPLICIT):
            lines.append("LiteRT: not run; the file is right in TFLM alone, and with the plan in it alone")
    if report.banded.operators:
        lines.append(f"register in the op resolver as well: {', '.join(report.banded.operators)}")
    return lines


def _extra(macs: int, base: int) -> str:
    return f"{100 * (macs / base - 1):+.1f} %" if base else ""
