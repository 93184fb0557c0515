"""The stored prompt of a cycle put to another model, as often as wanted. Nothing is ever traded on what it says.

Every question is kept as an interaction of purpose replay that names the cycle, and is paid out of the budget of the bot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.conf import settings

from accounts.models import Bot
from decisions.deciders.base import Answer, Decider, Outcome, Prompt, Question, Reading
from decisions.deciders.registry import decider_for
from decisions.domain.proposal import Ruling
from decisions.domain.providers import RULES, split_name
from decisions.models import Cycle, Interaction
from decisions.selectors.catalogue import catalogue_known
from decisions.services.budget import purse_of
from decisions.services.recording import interactions_record
from trading.domain.replayed import Agreement, Change, SymbolReplay, agreements
from trading.services.replay import NOW, Heard, Moment, Purpose, compared_with_then, moment_of, rulings_of
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected


@dataclass(frozen=True, slots=True)
class Repeat:
    """One answer to the stored prompt, and what the rules would have made of it."""

    number: int
    model: str
    model_served: str
    outcome: str
    reason: str
    actions: Mapping[str, str]
    """What is asked for by symbol."""
    symbols: tuple[SymbolReplay, ...]
    """Against what the cycle decided."""
    prompt_tokens: int
    reply_tokens: int
    cost: Decimal | None
    """US dollars; None when the server did not say."""
    seconds: float
    cached: bool
    """Whether the development cache answered: then nobody was asked, and it tells nothing of how sure the model is."""
    refused: bool
    """Whether nothing was sent, because the money of the day is used up."""
    rulings: tuple[Ruling, ...] = ()

    @property
    def usable(self) -> bool:
        return self.outcome == Outcome.ANSWERED.value

    @property
    def same(self) -> bool:
        return self.usable and all(symbol.same for symbol in self.symbols)


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """What is asked before it is: a cycle, its prompt, and the model that gets it."""

    moment: Moment
    prompt: Prompt
    decider: Decider
    bot: Bot
    model: str

    @property
    def cycle(self) -> int:
        return self.moment.cycle.pk

    @property
    def at(self) -> datetime:
        return self.moment.question.snapshot.at

    @property
    def limits_changed(self) -> tuple[Change, ...]:
        return self.moment.changed


@dataclass(frozen=True, slots=True)
class Summary:
    """Several answers together."""

    asked: int
    usable: int
    same: int
    """As the cycle decided, in every symbol."""
    cached: int
    agreement: tuple[Agreement, ...]
    cost: Decimal | None
    """US dollars, of those that said it; None when none did."""
    seconds: float
    """Median time of an answer."""


def replay_prepare(*, cycle: Cycle, model: str, limits: str = NOW) -> AskedAgain:
    """Return what is going to be asked. Raises Rejected where the prompt or the market is not stored, or for a bad model."""
    if model.startswith(f"{RULES}/"):
        raise Rejected("Rules are asked no prompt. Name a model, for example openrouter/x-ai/grok-4.3.", code="model")
    split_name(model)
    moment, prompt = moment_of(cycle, limits=limits), prompt_of(cycle)
    bot = moment.question.bot
    served = bot.asking.served if model == bot.model else ()  # they are names of that model
    asking = replace(bot.asking, ensemble=(), shadows=(), served=served)
    view = replace(bot, model=model, fallback_models=(), asking=asking)
    decider = decider_for(view, purse=purse_of(cycle.bot), known=catalogue_known(), soon=True)
    return AskedAgain(
        replace(moment, question=replace(moment.question, prompt=prompt)), prompt, decider, cycle.bot, model
    )


def replay_asked(asked: AskedAgain, *, repeat: int = 1) -> Iterator[Repeat]:
    """Ask, once for each `repeat`, and yield each answer as soon as it is there and kept.

    Stops after one that was not sent for want of money.
    """
    for number in range(1, repeat + 1):
        done = _once(asked, number)
        yield done
        if done.refused:
            return


def replay_summary(repeats: Sequence[Repeat], symbols: Sequence[str]) -> Summary:
    """Return what several answers have in common, and what they cost."""
    usable = [one for one in repeats if one.usable]
    costs = [one.cost for one in repeats if one.cost is not None]
    times = sorted(one.seconds for one in repeats if not one.refused)
    return Summary(
        asked=len(repeats),
        usable=len(usable),
        same=sum(one.same for one in repeats),
        cached=sum(one.cached for one in repeats),
        agreement=agreements([one.actions for one in usable], symbols) if usable else (),
        cost=sum(costs, Decimal(0)) if costs else None,
        seconds=times[len(times) // 2] if times else 0.0,
    )


def prompt_of(cycle: Cycle) -> Prompt:
    """Return the text that a cycle asked with first, to the byte. Raises Rejected where it asked nobody, or it is gone."""
    rows = Interaction.objects.filter(cycle=cycle, late_of=None)
    first = rows.exclude(user_prompt="").order_by("attempt", "pk").first()
    if first is None and (gone := rows.exclude(prompt_digest="").order_by("attempt", "pk").first()) is not None:
        raise Rejected(
            f"The text of the prompt of cycle {cycle.pk} is gone: prompts are kept for {settings.PROMPT_RETENTION_DAYS} "
            f"days (PROMPT_RETENTION_DAYS). Its digest {gone.prompt_digest[:16]}…, its reply and its cost are kept; "
            "replay it without --model.",
            code="no_prompt",
        )
    if first is None:
        raise Rejected(
            f"cycle {cycle.pk} has no stored prompt: it asked no model. There is nothing to ask with.",
            code="no_prompt",
        )
    return Prompt(first.system_prompt, first.user_prompt, first.template, first.prompt_digest)


def _once(asked: AskedAgain, number: int) -> Repeat:
    question, deadline = asked.moment.question, Deadline(asked.bot.deadline_seconds)
    answer = asked.decider.ask(question, deadline)
    reading = _read(asked, question, answer, late=deadline.passed())
    _keep(asked, question, answer, reading)
    rulings = rulings_of(asked.moment, reading)
    then = Heard(Outcome.ANSWERED.value, held={})
    return Repeat(
        number=number,
        model=asked.model,
        model_served=answer.model_served,
        outcome=reading.outcome.value,
        reason=reading.reason or answer.reason,
        actions={proposal.symbol: proposal.action.value for proposal in reading.proposals},
        symbols=compared_with_then(asked.moment, then, reading, rulings) if reading.outcome is Outcome.ANSWERED else (),
        prompt_tokens=answer.usage.prompt_tokens,
        reply_tokens=answer.usage.completion_tokens,
        cost=answer.usage.cost,
        seconds=round(answer.latency, 3),
        cached=any(attempt.parameters.get("cached") for attempt in answer.attempts),
        refused=answer.outcome is Outcome.NOT_ASKED,
        rulings=rulings,
    )


def _read(asked: AskedAgain, question: Question, answer: Answer, *, late: bool) -> Reading:
    if answer.outcome is Outcome.NOT_ASKED:
        return Reading(Outcome.NOT_ASKED, reason=answer.reason)
    if late:
        return Reading(Outcome.NO_ANSWER, reason="late: the answer came after the deadline and is not used")
    return asked.decider.read(question, answer)


def _keep(asked: AskedAgain, question: Question, answer: Answer, reading: Reading) -> None:
    """Keep every request that was made; each names the cycle, which has not made it."""
    named = tuple(
        replace(attempt, parameters={**attempt.parameters, "cycle": asked.cycle}) for attempt in answer.attempts
    )
    interactions_record(
        bot_id=asked.bot.pk,
        cycle=None,
        question=question,
        answer=replace(answer, attempts=named),
        reading=reading,
        purpose=Purpose.REPLAY,
    )
