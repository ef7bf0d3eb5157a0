"""Size budgets of a project: read from its configuration, and held against what its models need.

load("sapool.toml")       the budgets that a file states
check(budget, report)     one budget against one memory report
evaluate(budgets)         every model of every budget, with the models that could not be read
"""

from firmware_sim.budget.budget import Budget
from firmware_sim.budget.configuration import find, load
from firmware_sim.budget.evaluation import Outcome, Unreadable, evaluate
from firmware_sim.budget.verdict import Limit, Status, Verdict, check

__all__ = ["Budget", "Limit", "Outcome", "Status", "Unreadable", "Verdict", "check", "evaluate", "find", "load"]
