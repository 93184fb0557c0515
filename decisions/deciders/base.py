"""The Decider port: something that is asked what to do and answers, be it a model, rules or a recording."""

from __future__ import annotations

from typing import Protocol

from decisions.domain.question import Answer, BotView, Feedback, Outcome, Prompt, Question, Reading, Usage
from vibex.lib.clock import Deadline

__all__ = ["Answer", "BotView", "Decider", "Feedback", "Outcome", "Prompt", "Question", "Reading", "Usage"]


class Decider(Protocol):
    """Asked once a cycle. Neither method raises for anything a model, a network or a reply can do wrong."""

    @property
    def name(self) -> str: ...

    @property
    def wants_prompt(self) -> bool: ...

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return the answer before the deadline. Holds no database connection while it waits."""
        ...

    def read(self, question: Question, answer: Answer) -> Reading:
        """Turn an answer into proposals, exactly as they are said. Pure."""
        ...


def needs_prompt(decider: Decider) -> bool:
    """Whether nothing can be decided without a prompt: not so for rules that want one for the models beside them."""
    return bool(getattr(decider, "needs_prompt", decider.wants_prompt))
