"""What was asked, answered and decided, of whom, and for what money."""

from decisions.models.prompts import OutsideText, PromptTemplate
from decisions.models.providers import CatalogueModel, CatalogueRead, LearnedFormat, Provider
from decisions.models.record import Afterwards, Approval, Cycle, Decision, DiaryEntry, Interaction
from decisions.models.spending import AskBucket, AskPlace, SpendDay

__all__ = [
    "Afterwards",
    "Approval",
    "AskBucket",
    "AskPlace",
    "CatalogueModel",
    "CatalogueRead",
    "Cycle",
    "Decision",
    "DiaryEntry",
    "Interaction",
    "LearnedFormat",
    "OutsideText",
    "PromptTemplate",
    "Provider",
    "SpendDay",
]
