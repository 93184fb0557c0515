"""The very prompt that a bot would send now: nobody is asked, nothing is booked, traded or recorded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, cast

from accounts.models import Account, Bot
from decisions.deciders.ports import Known
from decisions.domain.money import Price, cost_of, tokens_of
from decisions.domain.providers import RULES, split_name
from decisions.domain.question import Prompt, Question
from decisions.selectors.catalogue import catalogue_known
from marketdata.market import Market
from marketdata.selectors import market_clock
from marketdata.services.books import market_for
from trading.domain.losses import advance, breaches
from trading.domain.risk import Standing
from trading.domain.venue import AccountState
from trading.exchange.paper_glance import glances
from trading.models import PaperAccount
from trading.selectors.history import history_of
from trading.selectors.losses import watch_of
from trading.services.cycle import Scene
from trading.services.exchanges import exchange_for
from trading.services.journal.orm import OrmJournal
from trading.services.live import run_for
from trading.services.portfolio import portfolio_of
from trading.services.question import question_for, worded
from trading.services.terms import termed
from trading.services.world import Run
from vibex.lib.clock import Clock

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Preview:
    """A question as it would be put now, and about what it would cost."""

    question: Question
    """With its prompt; its outside texts, portfolio and snapshot are those of now."""
    prompt: Prompt
    tokens: int
    """Of both texts, estimated."""
    cost: Decimal | None
    """US dollars at the most, with as long a reply as the bot allows; None where nobody knows the price."""
    standing: Standing
    """What bears on entries: with the question, all that rules need."""
    prompt_cost: Decimal | None = None
    """The part of the prompt in it."""


def prompt_preview(
    bot: Bot, *, layout: str | None = None, template: str | None = None, known: Known | None = None
) -> Preview:
    """Return what a bot would ask now, in another layout or with the text of another template if one is given.

    Raises Rejected for a template that is missing or broken, and as `scene_now`.
    """
    run = run_for(bot, market_clock(bot.account.market).now())
    if layout is not None:
        run = replace(run, bot=replace(run.bot, asking=replace(run.bot.asking, layout=layout)))
    if template is not None:
        run = replace(run, template=template)
    scene = scene_now(bot.account, run)
    question = worded(question_for(run, scene.snapshot, scene.portfolio), run, scene.standing)
    prompt = cast("Prompt", question.prompt)
    tokens, price = tokens_of(prompt), _price(bot, known or catalogue_known())
    return Preview(
        question,
        prompt,
        tokens,
        cost_of(price, tokens, bot.max_tokens) if price else None,
        scene.standing,
        cost_of(price, tokens, 0) if price else None,
    )


def scene_now(account: Account, run: Run) -> Scene:
    """Return what a bot would decide in now: the market, its account, and what else bears on its entries.

    The account is not settled before: what a cycle would mend or book first is not in it. A paper account is looked at
    without a commit where that is possible. Raises Retryable when the market or the exchange does not answer,
    NeedsOperator where keys are missing.
    """
    clock, market = market_clock(account.market), market_for(account.market)
    now, bot = clock.now(), run.bot
    snapshot = termed(market, account).snapshot(symbols=bot.symbols, timeframes=bot.timeframes, at=now)
    state = _state(account, market, clock, now)
    portfolio = portfolio_of(state, OrmJournal(account), starting_balance=run.starting_balance, at=snapshot.at)
    history = history_of(account, at=snapshot.at)
    return Scene(snapshot, portfolio, replace(run.standing, blocked=_blocked(account, run, state), history=history))


def _state(account: Account, market: Market, clock: Clock, now: datetime) -> AccountState:
    """Return the account as its exchange states it. One on paper that was never used holds its starting balance."""
    if account.live:
        return exchange_for(account, termed(market, account), clock).account()
    if not PaperAccount.objects.filter(account=account).exists():
        balance = account.starting_balance
        return AccountState(at=now, wallet=balance, unrealised=ZERO, margin=ZERO, available=balance)
    seen = glances([account.pk], venue=account.market, clock=clock, at=now)[account.pk].state
    return seen if seen is not None else exchange_for(account, market, clock).account()


def _blocked(account: Account, run: Run, state: AccountState) -> dict[str, str]:
    """Return what is blocked, by symbol, with the loss limits that are reached at this state."""
    watch, standing = watch_of(account), run.standing
    if watch is None:
        return dict(standing.blocked)
    watch = advance(watch, equity=state.equity, transfers=watch.transfers, at=state.at, zone=account.time_zone)
    said = standing.blocked.get("", "")
    fresh = [found.text for found in breaches(watch, run.limits) if found.text not in said]
    told = "; ".join([said, *fresh] if said else fresh)
    return {**standing.blocked, "": told} if told else dict(standing.blocked)


def _price(bot: Bot, known: Known) -> Price | None:
    provider, model = split_name(bot.model)
    return None if provider == RULES else known.price(provider, model)
