"""A bot asked to no purpose but to see: its question as it would be put now, the answer, and what the rules make of it.

Nothing is traded, no cycle begins, no lease or lock is taken: a cycle of the bot at the same time notices nothing. What
is kept is the model call, with the purpose of a dry run, and it is paid out of the budget of the bot.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NoReturn, cast

from accounts.models import Bot
from decisions.deciders.base import Answer, Decider, Question, Reading
from decisions.deciders.registry import decider_for
from decisions.domain.money import cost_of, tokens_of
from decisions.domain.providers import RULES, split_name
from decisions.models import Interaction
from decisions.selectors.catalogue import catalogue_known
from decisions.services.budget import purse_of
from decisions.services.recording import interactions_record
from marketdata.selectors import market_clock
from marketdata.services.books import market_for
from trading.exchange.base import Exchange
from trading.services.cycle import Decided, Scene, put, question_of
from trading.services.journal.orm import OrmJournal
from trading.services.live import run_for
from trading.services.preview import scene_now
from trading.services.terms import termed
from trading.services.world import Run, World


@dataclass(slots=True)
class DryJournal(OrmJournal):
    """The journal of a dry run: it reads the books, keeps the model call, and collects what it would have told of."""

    bot_id: int = 0
    incidents: list[str] = field(default_factory=list)
    calls: list[Interaction] = field(default_factory=list)

    def asked(self, question: Question, answer: Answer, reading: Reading) -> None:
        said = [(member.answer, member.reading) for member in answer.members] or [(answer, reading)]
        for each, read in said:
            if not each.attempts:
                continue  # nobody was asked
            call = interactions_record(
                bot_id=self.bot_id,
                cycle=None,
                question=question,
                answer=each,
                reading=read,
                purpose=Interaction.Purpose.DRY_RUN,
            )
            if call is not None:
                self.calls.append(call)

    def incident(self, kind: str, text: str, **_: Any) -> None:
        self.incidents.append(f"{kind}: {text}")


class NoExchange:
    """In the place of an exchange: a dry run has none, so it can send nothing."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"a dry run reached for the exchange: {name}")


@dataclass(frozen=True, slots=True)
class DryAsk:
    """A question that is ready to be put, and what it would cost."""

    bot: Bot
    run: Run
    scene: Scene
    world: World
    question: Question
    unasked: Answer | None
    """Why nobody would be asked, as an answer; None where somebody would."""
    tokens: int | None
    """Of the prompt, estimated; None without one."""
    prompt_cost: Decimal | None
    """US dollars of the prompt, estimated; None where nobody knows the price."""
    cost: Decimal | None
    """The same with as long a reply as the bot allows; of all models that are asked at once."""

    @property
    def rules(self) -> bool:
        """Whether written rules decide: they are sent nothing."""
        return self.run.bot.model.startswith(f"{RULES}/")

    @property
    def why_not(self) -> str:
        """Why nobody would be asked now, "" where somebody would."""
        return self.unasked.reason if self.unasked else ""


@dataclass(frozen=True, slots=True)
class DryAnswer:
    """What came back, and what would have become of it."""

    decided: Decided
    calls: tuple[Interaction, ...]
    """What was kept of it."""
    timings: dict[str, float]

    @property
    def cost(self) -> Decimal | None:
        """US dollars that servers said; None when none did."""
        costs = [cost for call in self.calls if (cost := call.cost) is not None]
        return sum(costs, Decimal(0)) if costs else None


def ask_prepare(*, bot: Bot) -> DryAsk:
    """Return the question that a bot would put now. Nobody is asked, nothing is written.

    Raises Rejected for a model that cannot be asked, Retryable when the market or the exchange does not answer,
    NeedsOperator where keys are missing.
    """
    account = bot.account
    clock = market_clock(account.market)
    run = run_for(bot, clock.now())
    # Who is only compared would be paid for, and nothing would be done with it.
    run = replace(run, bot=replace(run.bot, asking=replace(run.bot.asking, shadows=())))
    scene = scene_now(account, run)
    world = World(
        clock=clock,
        market=termed(market_for(account.market), account),
        decider=_decider(bot, run),
        exchange=cast("Exchange", NoExchange()),
        journal=DryJournal(account, bot_id=bot.pk),
    )
    question, unasked = question_of(world, run, scene)
    tokens = tokens_of(question.prompt) if question.prompt else None
    return DryAsk(
        bot, run, scene, world, question, unasked, tokens, _cost(run, tokens, 0), _cost(run, tokens, bot.max_tokens)
    )


def ask_send(*, asked: DryAsk) -> DryAnswer:
    """Put the question, read the answer and rule on it at the prices of now. Only the model call is kept."""
    timings: dict[str, float] = {}
    decided = put(asked.world, asked.run, asked.scene.standing, asked.question, asked.unasked, timings)
    journal = cast("DryJournal", asked.world.journal)
    return DryAnswer(decided, tuple(journal.calls), timings)


def _decider(bot: Bot, run: Run) -> Decider:
    return decider_for(run.bot, purse=purse_of(bot), known=catalogue_known(), soon=True)


def _cost(run: Run, tokens: int | None, reply: int) -> Decimal | None:
    """Return what all models that are asked at once cost for a prompt and a reply. None where a price is unknown."""
    models = [
        name for name in dict.fromkeys((run.bot.model, *run.bot.asking.ensemble)) if not name.startswith(f"{RULES}/")
    ]
    prices = [catalogue_known().price(*split_name(name)) for name in models]
    if tokens is None or not prices or None in prices:
        return None
    return sum((cost_of(price, tokens, reply) for price in prices), Decimal(0))
