"""The rack's power budget. Pure: milliseconds and milliwatts come in, decisions come out."""

from racklet_hostd.budget import words
from racklet_hostd.budget.claim import Claim, Demand, Phase, Seen, ShedHow
from racklet_hostd.budget.decisions import (
    Admitted,
    BudgetExceeded,
    BudgetKept,
    Cancelled,
    Decision,
    Queued,
    Refused,
    RefusedWhy,
    Shed,
    Wait,
)
from racklet_hostd.budget.power_budget import BudgetRules, PowerBudget

__all__ = [
    "Admitted",
    "BudgetExceeded",
    "BudgetKept",
    "BudgetRules",
    "Cancelled",
    "Claim",
    "Decision",
    "Demand",
    "Phase",
    "PowerBudget",
    "Queued",
    "Refused",
    "RefusedWhy",
    "Seen",
    "Shed",
    "ShedHow",
    "Wait",
    "words",
]
