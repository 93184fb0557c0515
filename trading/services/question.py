"""The question that a cycle puts, as text if the decider wants text. The same for a cycle and for a look at it."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex

from decisions.domain.portfolio import Portfolio
from decisions.domain.prompt import build_prompt
from decisions.domain.question import Question
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.barred import barred
from trading.domain.risk import Standing
from trading.services.world import Run
from vibex.lib.errors import Rejected


def question_for(run: Run, snapshot: MarketSnapshot, portfolio: Portfolio) -> Question:
    """Return what is asked, without the text that only models need."""
    named = run.decision_id or token_hex(8)
    return Question(
        named, run.bot, snapshot, portfolio, run.limits, run.next_decision_at, run.started_at, run.invocation, run.feedback,
        outside=run.outside,
    )  # fmt: skip


def worded(question: Question, run: Run, standing: Standing) -> Question:
    """Return the question with its text, and with one that holds no text from outside where the first holds some.

    Raises Rejected when the template is missing or broken: nothing is asked then, and no other text takes its place.
    """
    limits, bot = run.limits, run.bot
    bars = barred(
        snapshot=question.snapshot, portfolio=question.portfolio, limits=limits, bot=bot, standing=standing
    )  # fmt: skip
    told, template = replace(question, barred=bars), _template(run)
    prompt = build_prompt(told, template)
    without = build_prompt(replace(told, outside=()), template) if told.outside else prompt
    return replace(told, prompt=prompt, prompt_without_outside=None if without == prompt else without)


def _template(run: Run) -> str:
    if run.template is None:
        version = "" if run.template_version is None else f" with version {run.template_version}"
        raise Rejected(
            f"there is no prompt template {run.bot.prompt_template!r}{version}: add one on the page of prompts, "
            "or choose another for the bot",
            code="template_missing",
        )
    return run.template
