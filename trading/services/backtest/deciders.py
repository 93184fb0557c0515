"""Who decides in a backtest: rules, a model that is asked each question once, or what a bot said at the time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from threading import Event
from typing import Final

from django.conf import settings

from accounts.models import Bot
from decisions.deciders.allowance import Allowance, Pocket
from decisions.deciders.base import Decider
from decisions.deciders.model import ModelDecider
from decisions.deciders.once import OnceDecider, Replies, Tally
from decisions.deciders.registry import decider_for
from decisions.deciders.then import ThenDecider
from decisions.domain.providers import RULES
from decisions.selectors.catalogue import catalogue_known
from decisions.selectors.prompts import prompt_template_text
from decisions.selectors.said_then import said_then
from decisions.services.replies_kept import RepliesKept
from decisions.services.templates import SEEDS
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import bot_of
from vibex.lib.errors import Rejected

REPLAY: Final = "replay"
"""Decider of what a bot said at the time; with `/` and its key, or <account>/<name>, where there are several."""
NAMED: Final = re.compile(r"[a-z0-9-]+")


@dataclass(slots=True)
class Asked:
    """What the runs of one test have in common: where replies are kept, what may be paid, and who may end it."""

    replies: Replies = field(default_factory=RepliesKept)
    allowance: Allowance = field(default_factory=Allowance)
    stop: Event = field(default_factory=Event)


def asked_within(most: Decimal | None) -> Asked:
    """Return what runs have in common that may pay at most so many US dollars together; None: as much as it costs."""
    return Asked(allowance=Allowance(most))


def is_model(name: str) -> bool:
    """Whether a decider's name is that of a model, which costs money and is not the same each time."""
    return name.partition("/")[0] not in (RULES, REPLAY)


def worded_plan(plan: BacktestPlan, *, version: int | None = None) -> BacktestPlan:
    """Return the plan with the text of its prompt template: the stored one, else the one that comes with the house.

    Raises Rejected where there is neither, or no such version.
    """
    name = plan.asks.prompt_template
    text = prompt_template_text(name, version)
    if text is None and version is None and NAMED.fullmatch(name) and (seed := SEEDS / f"{name}.txt").is_file():
        text = seed.read_text(encoding="utf-8")
    if text is None:
        which = name if version is None else f"{name} with version {version}"
        raise Rejected(f"There is no prompt template {which}: see `--template`, or add it first.", code="template")
    return replace(plan, asks=replace(plan.asks, template=text, template_version=version))


def decider_of(plan: BacktestPlan, asked: Asked) -> Decider:
    """Return who decides in a run of the plan. For a model the plan needs the text of its template (`worded_plan`).

    Raises Rejected for a name that nobody has, for a model that cannot be asked, and for a bot that said nothing.
    """
    if plan.model.partition("/")[0] == REPLAY:
        return _then(plan)
    if not is_model(plan.model):
        return decider_for(bot_of(plan))
    if plan.asks.template is None:
        raise Rejected(f"{plan.model} is asked nothing without a prompt template.", code="template")
    if settings.LLM_REPLY_CACHE:
        raise Rejected(
            "LLM_REPLY_CACHE is set: every repeat would get the same answer, for nothing. Take it out; a test keeps "
            "replies by itself.",
            code="reply_cache",
        )
    pocket = Pocket(asked.allowance)
    model = decider_for(bot_of(plan), purse=pocket, known=catalogue_known(), soon=True)
    if not isinstance(model, ModelDecider):
        raise Rejected("A backtest asks one model at a time: leave the ensemble and the shadows out.", code="model")
    return OnceDecider(
        model, asked.replies, pocket, repeat=plan.asks.repeat, seconds=plan.asks.seconds, stop=asked.stop
    )


def tally_of(decider: Decider) -> Tally:
    """Return what a decider asked; nothing for one that asks nobody."""
    return decider.tally if isinstance(decider, OnceDecider) else Tally()


def notes_of(decider: Decider, replies: Replies) -> tuple[str, ...]:
    """Return what a reader of the result has to know of who decided, in words."""
    if isinstance(decider, ThenDecider):
        return tuple(decider.told())
    tally, told = tally_of(decider), []
    if tally.unanswered:
        told.append(f"{tally.unanswered} questions got no answer and everything was held; the next run asks them again")
    unusable: Sequence[str] = getattr(replies, "unusable", ())
    if unusable and isinstance(decider, OnceDecider):
        told.append(f"{len(unusable)} kept replies could not be used, the first: {unusable[0]}")
    return tuple(told)


def _then(plan: BacktestPlan) -> ThenDecider:
    bot = _bot_named(plan.model.partition("/")[2])
    said = said_then(bot, start=plan.start, end=plan.end)
    if not said:
        raise Rejected(
            f"{bot.name} on {bot.account.name} decided nothing from {plan.start:%F %H:%M} to {plan.end:%F %H:%M}: "
            "choose --from and --to inside of its history.",
            code="replay",
        )
    return ThenDecider(plan.model, said, interval=plan.interval)


def _bot_named(text: str) -> Bot:
    bots = Bot.objects.select_related("account").order_by("pk")
    account, _, name = text.rpartition("/")
    if text:
        by_name = bots.filter(name=name, account__name=account) if account else bots.filter(name=name)
        bots = bots.filter(pk=int(text)) if text.isdecimal() else by_name
    found = list(bots)
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{REPLAY}/{bot.pk} ({bot.account.name}/{bot.name})" for bot in found or Bot.objects.all())
    what = f"{len(found)} bots are meant" if found else f"No bot is called {text or 'so'}"
    raise Rejected(f"{what}: say whose decisions, by {known or 'a bot, of which there is none'}.", code="replay")
