"""Size budgets of a project: read from its configuration, and held against what its models need.

load("sapool.toml")                  the budgets that a file states, and where its baseline is
check(budget, report)                one budget against one memory report
evaluate(budgets, baseline)          every model of every budget, with the models that could not be read
render(outcome, "sarif")             what that found, in one of the `formats`
"""

from firmware_sim.budget.baseline import Baseline
from firmware_sim.budget.budget import Budget, Increase, Place
from firmware_sim.budget.configuration import Configuration, find, load, state
from firmware_sim.budget.evaluation import Outcome, Unreadable, evaluate, updated
from firmware_sim.budget.formats import formats, render
from firmware_sim.budget.schema import check_schema, configuration_schema
from firmware_sim.budget.verdict import Limit, Status, Verdict, check

__all__ = [
    "Baseline",
    "Budget",
    "Configuration",
    "Increase",
    "Limit",
    "Outcome",
    "Place",
    "Status",
    "Unreadable",
    "Verdict",
    "check",
    "check_schema",
    "configuration_schema",
    "evaluate",
    "find",
    "formats",
    "load",
    "render",
    "state",
    "updated",
]
