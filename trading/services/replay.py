"""A cycle once more: its stored reply through the gate and the rules of today. No network, and nothing is written.

The market, the account and what stood against entries are those of then; the limits are those of now, or of then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from accounts.domain.limits import Limits
from decisions.deciders.base import Answer, BotView, Outcome, Question, Reading
from decisions.deciders.rules import rules_decider
from decisions.domain.ensemble import merge, reading_of
from decisions.domain.funnel import held_in
from decisions.domain.gate import read_reply
from decisions.domain.kept import Unkept, question_from
from decisions.domain.proposal import Ruling
from decisions.domain.providers import RULES, split_name
from decisions.domain.question import Member
from decisions.models import Cycle, Decision, Interaction
from decisions.selectors.catalogue import catalogue_known
from decisions.selectors.markets import snapshot_of_cycle
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.replayed import Change, Spoken, SymbolReplay, Told, compared, limits_changed, told_of
from trading.domain.risk import Standing, rule_all
from trading.services.kept import live_from, standing_from
from trading.services.live import limits_of
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected

NOW: Final = "now"
THEN: Final = "then"
Purpose = Interaction.Purpose
MOST_OF_A_REASON: Final = 300
"""Characters that its column holds."""
READ: Final = (Outcome.ANSWERED.value, Outcome.REJECTED.value)
"""Outcomes of a call whose reply went through the gate."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a cycle decided in, read back, with the limits that it is ruled by now."""

    cycle: Cycle
    question: Question
    """With the limits of then, without a prompt."""
    standing: Standing
    live: MarketSnapshot
    """With the prices that its entries were ruled at."""
    limits: Limits
    changed: tuple[Change, ...]
    """Limits of then that are others now; empty where those of then are ruled by."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was read for a decision: how it ended, why, and the symbols that the gate held."""

    outcome: str
    reason: str = ""
    held: Mapping[str, str] | None = None
    """None where nobody noted it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A stored reply then and now."""

    cycle: int
    bot: str
    model: str
    at: datetime
    limits: str
    """Whose: now or then."""
    limits_changed: tuple[Change, ...]
    replies: int
    """Stored replies that were read again; 0 for rules, which need none."""
    then: Heard
    now: Heard
    symbols: tuple[SymbolReplay, ...]
    changes: tuple[Change, ...]
    """Of the reply as a whole."""
    rulings: tuple[Ruling, ...] = ()

    @property
    def same(self) -> bool:
        return not self.changes and all(symbol.same for symbol in self.symbols)


def cycle_find(key: int) -> Cycle:
    """Return a cycle with its account. Raises Rejected where there is none."""
    cycle = Cycle.objects.select_related("bot__account__limits").filter(pk=key).first()
    if cycle is None:
        newest = Cycle.objects.order_by("-pk").values_list("pk", flat=True).first()
        raise Rejected(f"there is no cycle {key}; the newest is {newest or 'still to come'}", code="cycle")
    return cycle


def replay_stored(*, cycle: Cycle, limits: str = NOW) -> Replay:
    """Read the stored replies of a cycle again and rule on what they say.

    Raises Rejected that tells what is missing: Unkept, MarketGone, or a cycle that has no reply.
    """
    bot = cycle.bot
    if cycle.status == Cycle.Status.SKIPPED:
        raise Rejected(f"cycle {cycle.pk} was skipped: {cycle.error}. There is nothing to replay.", code="skipped")
    calls = _calls(cycle)
    rules = cycle.kept.get("bot", {}).get("model", bot.model).startswith(f"{RULES}/")
    moment = moment_of(cycle, limits=limits, candles=rules)
    reading, then, replies = _ruled_again(moment) if rules else _read_again(moment, calls)
    rulings = rulings_of(moment, reading)
    now = Heard(reading.outcome.value, reading.reason, dict(reading.held))
    return Replay(
        cycle=cycle.pk,
        bot=f"{bot.account.name}/{bot.name}",
        model=moment.question.bot.model,
        at=moment.question.snapshot.at,
        limits=limits,
        limits_changed=moment.changed,
        replies=replies,
        then=then,
        now=now,
        symbols=compared_with_then(moment, then, reading, rulings),
        changes=_changes(then, now),
        rulings=rulings,
    )


def moment_of(cycle: Cycle, *, limits: str = NOW, candles: bool = False) -> Moment:
    """Return all that a cycle decided in. Raises Unkept or MarketGone that says of which cycle, and what is missing."""
    try:
        snapshot = snapshot_of_cycle(cycle, candles=candles)
        question = question_from(cycle.kept, snapshot)
        standing, live = standing_from(cycle.kept), live_from(cycle.kept, snapshot)
    except Unkept as fault:
        raise Unkept(f"cycle {cycle.pk} cannot be replayed: {fault}. {_why_not(cycle)}", code=fault.code) from None
    except Rejected as fault:
        raise type(fault)(f"cycle {cycle.pk} cannot be replayed: {fault}.", code=fault.code) from None
    today = limits_of(cycle.bot.account.limits)
    if limits == THEN:
        return Moment(cycle, question, standing, live, question.limits, ())
    return Moment(cycle, question, standing, live, today, limits_changed(question.limits, today))


def rulings_of(moment: Moment, reading: Reading) -> tuple[Ruling, ...]:
    """Return what the rules of today make of a reading, in the market and the account of then."""
    question = moment.question
    return rule_all(
        reading.proposals,
        snapshot=moment.live,
        portfolio=question.portfolio,
        limits=moment.limits,
        bot=question.bot,
        standing=moment.standing,
    )


def compared_with_then(
    moment: Moment, then: Heard, reading: Reading, rulings: Sequence[Ruling]
) -> tuple[SymbolReplay, ...]:
    """Return symbol by symbol what was decided and what would be."""
    held_now = dict(reading.held)
    return compared(
        decided_then(moment.cycle),
        [(ruling.proposal.symbol, told_of(ruling)) for ruling in rulings],
        held_then=held_now if then.held is None else then.held,
        held_now=held_now,
    )


def decided_then(cycle: Cycle) -> list[tuple[str, Told]]:
    """Return what a cycle decided, in order. What an approval was ruled into later is no part of it."""
    rows = Decision.objects.filter(cycle=cycle, kind=Decision.Kind.LIVE, approved_from__isnull=True)
    return [(row.symbol, _told(row)) for row in rows.order_by("sequence")]


def _why_not(cycle: Cycle) -> str:
    if cycle.status in (Cycle.Status.FAILED, Cycle.Status.ABANDONED):
        return f"It ended in the step {cycle.stage or 'snapshot'}, before anything was ruled: {cycle.error}"
    if cycle.status == Cycle.Status.RUNNING:
        return "It is still running."
    return "It is from before what a replay needs was kept; its decisions, prompt and reply are on its page."


def _calls(cycle: Cycle) -> list[Interaction]:
    """Return the calls that were made to decide, in order."""
    rows = Interaction.objects.filter(cycle=cycle, purpose__in=(Purpose.CYCLE, Purpose.ENSEMBLE), late_of=None)
    return list(rows.order_by("pk"))


def _ruled_again(moment: Moment) -> tuple[Reading, Heard, int]:
    """Let rules decide again, who need no reply."""
    question = replace(moment.question, limits=moment.limits)
    decider = rules_decider(question.bot.model.partition("/")[2])
    held = all(view.problem for view in question.snapshot.symbols.values())
    if held and not decided_then(moment.cycle):
        raise _never_asked(moment.cycle, "every symbol held because of its market data")
    answer = decider.ask(question, Deadline(1.0))
    return decider.read(question, answer), Heard(Outcome.ANSWERED.value, held={}), 0


def _read_again(moment: Moment, calls: Sequence[Interaction]) -> tuple[Reading, Heard, int]:
    """Put the stored replies of models through the gate."""
    cycle, question = moment.cycle, moment.question
    if not calls:
        raise _never_asked(cycle, "the reason is in its diary")
    readable = [call for call in calls if call.used and call.outcome in READ and call.reply]
    if not readable:
        reasons = "; ".join(dict.fromkeys(call.reason for call in calls if call.reason))
        raise Rejected(
            f"cycle {cycle.pk} got no reply that could be read: {reasons or 'its reply is not stored any more'}. "
            "There is nothing to put through the gate; --model asks its stored prompt again.",
            code="no_reply",
        )
    if all(call.purpose == Purpose.CYCLE for call in calls):
        call = readable[-1]
        return reply_read(call, question), Heard(call.outcome, call.reason, _held(call)), 1
    members = members_of(question, calls)
    merged = merge(
        members, rule=question.bot.asking.ensemble_rule, snapshot=question.snapshot, symbols=question.bot.symbols
    )
    outcome = Outcome.ANSWERED if any(call.outcome == Outcome.ANSWERED.value for call in readable) else Outcome.REJECTED
    return reading_of(members, merged), Heard(outcome.value), len(readable)


def reply_read(call: Interaction, question: Question) -> Reading:
    """Return what a stored reply says, through the gate of today."""
    provider = call.provider or split_name(question.bot.model)[0]
    canonical = catalogue_known().canonical(provider, call.model_requested)
    also = tuple(filter(None, (canonical, *question.bot.asking.served)))
    return read_reply(call.reply.encode(), question, model=call.model_requested, also=also)


def members_of(question: Question, calls: Sequence[Interaction]) -> tuple[Member, ...]:
    """Return what each of several models said, the bot's own first; who was silent counts as asked all the same.

    Their calls are stored one model after the other, each beginning anew with its first request.
    """
    names, of_each = (question.bot.model, *ensemble_of(question.bot)), list[list[Interaction]]()
    for call in calls:
        if not call.attempt or not of_each:
            of_each.append([])
        of_each[-1].append(call)
    if len(of_each) != len(names):
        raise Rejected(f"{len(names)} models were asked, and the calls of {len(of_each)} are stored", code="votes")
    return tuple(_member(name, question, own) for name, own in zip(names, of_each, strict=True))


def ensemble_of(bot: BotView) -> tuple[str, ...]:
    """Return the models that decide together with the bot's own, each once."""
    return tuple(name for name in dict.fromkeys(bot.asking.ensemble) if name != bot.model)


def _member(name: str, question: Question, calls: Sequence[Interaction]) -> Member:
    if name.startswith(f"{RULES}/"):
        decider = rules_decider(name.partition("/")[2])
        answer = decider.ask(question, Deadline(1.0))
        return Member(name, answer, decider.read(question, answer))
    call = next((call for call in reversed(calls) if call.used), None)
    if call is None or call.outcome not in READ or not call.reply:
        silent = Reading(Outcome.NO_ANSWER, reason=call.reason if call else "no_answer: nothing of it is stored")
        return Member(name, Answer(Outcome.NO_ANSWER, model_requested=name, reason=silent.reason), silent)
    return Member(name, Answer(Outcome.ANSWERED, model_requested=name), reply_read(call, question))


def _held(call: Interaction) -> Mapping[str, str] | None:
    """Return which symbols the gate held then; None where what was noted of it was cut off."""
    held = call.parameters.get("held")
    if isinstance(held, dict):
        return held
    return held_in(call.reason) if len(call.reason) < MOST_OF_A_REASON else None


def _changes(then: Heard, now: Heard) -> tuple[Change, ...]:
    """Return how the reply as a whole is read otherwise. The reason of an answer tells of others, and is not compared."""
    old, new = (
        each.outcome + (f" ({_code(each.reason)})" if each.outcome != "answered" else "") for each in (then, now)
    )
    return () if old == new else (Change("reply", old, new),)


def _code(reason: str) -> str:
    return reason.partition(":")[0][:60]


def _never_asked(cycle: Cycle, why: str) -> Rejected:
    return Rejected(f"cycle {cycle.pk} asked nobody: {why}. There is no reply to replay.", code="never_asked")


def _told(row: Decision) -> Told:
    return Told(
        action=row.action,
        verdict=row.verdict,
        quantity=row.asked_quantity,
        leverage=row.asked_leverage,
        stop_loss=row.stop_loss,
        profit_target=row.profit_target,
        risk_usd=row.risk_usd,
        confidence=row.confidence,
        allowed=row.quantity,
        hits=tuple(Spoken(hit["rule"], hit["effect"], hit["text"], hit.get("numbers", {})) for hit in row.hits),
    )
