"""Cycles of the demo bot whose ways differ: a ladder, several models at once, and ways that end early.

Figures are made up; reason codes, outcomes and parameters are those that the engine writes.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from decisions.models import Afterwards, Cycle, Decision, DiaryEntry, Interaction
from trading.models import Order, Position

if TYPE_CHECKING:
    from tests.support.demo import Demo

DEEPSEEK, GROK, HAIKU = "deepseek/deepseek-v4-flash", "x-ai/grok-4.3", "anthropic/claude-haiku-4.5"
SECRET = "sk-or-v1-0123456789abcdef0123456789abcdef"
WHY = (
    "EMA20 70,431 is above EMA50 70,212 on 15m with ADX 26.1, and the MACD histogram turned up on 3m. Stop 2.0 × ATR14 "
    "below the ask, target at twice the risk."
)
SYSTEM = "You are a trading agent.\n\nLIMITS\nMay lose at most 1 % of equity at a stop.\n"
USER = "It has been 198 minutes since you started trading.\n\nALL BTCUSDT DATA\nprice = 70410.0 USDT\n"
TIMINGS = {
    "snapshot": 8.1, "portfolio": 2.4, "prompt": 1.2, "ask": 15_318.0, "read": 0.9, "rule": 0.7, "execute": 48.5,
    "record": 9.8, "publish": 0.4,
}  # fmt: skip
SEEN = {symbol: {} for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")}


def ways(made: Demo) -> list[Cycle]:
    """Write one cycle of each kind, older than all that the demo has; return them in the order of their functions."""
    return [ladder(made), together(made), rejected(made), unasked(made), abandoned(made)]


def body(*items: dict[str, object], text: str = "") -> str:
    """Return the raw body of a reply."""
    content = text or json.dumps({"decision_id": "5f0c2a9e11d4b7aa", "decisions": list(items)})
    message = {"role": "assistant", "content": content}
    return json.dumps({"id": "gen-1", "choices": [{"finish_reason": "stop", "message": message}]})


def cycle_at(made: Demo, hours: float, **fields: object) -> Cycle:
    """Return a cycle of so many hours ago."""
    at = made.now - timedelta(hours=hours, seconds=17)
    given: dict[str, object] = {
        "status": Cycle.Status.DONE, "stage": "publish", "timings": TIMINGS, "seen": SEEN, "digest": "9c" * 32,
        "lease_until": at + timedelta(seconds=90), "began": at, "ended": at + timedelta(seconds=16),
    }  # fmt: skip
    return Cycle.objects.create(bot=made.bot, account=made.account, scheduled_for=at, **{**given, **fields})


def asked(cycle: Cycle, model: str, outcome: str = "answered", reason: str = "", **fields: object) -> Interaction:
    """Return a request of a cycle."""
    given: dict[str, object] = {
        "provider": "openrouter", "model_served": f"{model}-20260805", "template": "arena v1", "prompt_digest": "5f" * 32,
        "system_prompt": SYSTEM, "user_prompt": USER, "reply": body(), "http_status": 200, "finish_reason": "stop",
        "parameters": {"format": "strict", "effort": "low", "max_tokens": 4000, "temperature": None, "layout": "arena"},
        "prompt_tokens": 6120, "cached_tokens": 4890, "completion_tokens": 871, "reasoning_tokens": 512,
        "cost": Decimal("0.00231"), "latency_ms": 6420, "generation_id": f"gen-{cycle.pk}", "at": cycle.began,
    }  # fmt: skip
    row = {**given, **fields}
    return Interaction.objects.create(
        bot=cycle.bot, cycle=cycle, model_requested=model, outcome=outcome, reason=reason, **row
    )


def decided(cycle: Cycle, sequence: int, symbol: str, action: str = "hold", **fields: object) -> Decision:
    """Return a decision of a cycle."""
    given: dict[str, object] = {"verdict": "accepted", "confidence": 0.68, "justification": WHY}
    return Decision.objects.create(
        cycle=cycle, bot=cycle.bot, sequence=sequence, symbol=symbol, action=action, at=cycle.scheduled_for,
        **{**given, **fields},
    )  # fmt: skip


def entry(side: str = "buy", **fields: object) -> dict[str, object]:
    """Return the fields of an entry in BTCUSDT."""
    stop, target = ("70064.0", "71102.0") if side == "buy" else ("70756.0", "69718.0")
    given: dict[str, object] = {
        "asked_quantity": Decimal("0.024"), "asked_leverage": 3, "stop_loss": Decimal(stop),
        "profit_target": Decimal(target), "risk_usd": Decimal("8.30"), "quantity": Decimal("0.016"), "leverage": 3,
    }  # fmt: skip
    return {**given, **fields}


def afterwards(decision: Decision, end: str, multiple: float, net: str) -> Afterwards:
    """Let the market have gone on after a decision."""
    return Afterwards.objects.create(
        decision=decision, end=end, entry_price=Decimal("70410"), exit_price=Decimal("71102"), net=Decimal(net),
        until=decision.at + timedelta(minutes=266), multiple=multiple, best=max(multiple, 0.4), worst=min(multiple, -0.35),
    )  # fmt: skip


def ladder(made: Demo) -> Cycle:
    """A first reply that is no JSON, a second one that is used, and a model that was only compared."""
    cycle = cycle_at(made, 11)
    broken = 'Here is what I would do:\n```json\n{"decision_id": "5f0c2a9e11d4b7aa", "decisions": [{"coin": "BTCUSDT",'
    asked(
        cycle, DEEPSEEK, "rejected", "json.syntax: it ends inside of an object", attempt=0, used=False,
        reply=body(text=broken), latency_ms=8420, completion_tokens=4000, finish_reason="length",
    )  # fmt: skip
    used = asked(
        cycle, DEEPSEEK, "answered", "SOLUSDT held: stop_loss.side", attempt=1, latency_ms=6898, cost=None,
        estimate=Decimal("0.00264"), reasoning=f"The trend is up. {SECRET} \u202eis not to be shown.",
        parameters={"format": "strict", "effort": "minimal", "max_tokens": 4000, "asked_again": True},
        reply=body({"coin": "BTCUSDT", "signal": "buy_to_enter", "quantity": 0.024, "justification": f"Use {SECRET}"}),
    )  # fmt: skip
    _taken(made, cycle, used)
    refused = decided(
        cycle, 2, "XRPUSDT", "sell_to_enter", interaction=used, verdict="refused", rule_ids=["cap.group"],
        hits=[{
            "rule": "cap.group", "effect": "refused", "text": "The group alt is full.",
            "numbers": {"limit": "1.5", "held": "1.49"},
        }],
        asked_quantity=Decimal(900), asked_leverage=3, stop_loss=Decimal("1.4290"), profit_target=Decimal("1.3810"),
        risk_usd=Decimal("14.10"), justification="Under EMA50 on 15m, and funding pays shorts.",
    )  # fmt: skip
    afterwards(refused, "stop", -1.0, "-14.20")
    decided(cycle, 3, "ETHUSDT", interaction=used, justification="ADX 14.2 is below 20: no trend.")
    _line(cycle, "hold", "Held: this part of the reply could not be used (stop_loss.side).", "SOLUSDT")
    _compared(cycle)
    return cycle


def _taken(made: Demo, cycle: Cycle, interaction: Interaction) -> None:
    """Let the cycle have opened the last position that was closed by its target."""
    numbers = {"asked": "0.024", "allowed": "0.016", "equity": "10,041.80"}
    hit = {
        "rule": "size.risk",
        "effect": "reduced",
        "text": "The loss at the stop may be 1 % of equity.",
        "numbers": numbers,
    }
    decision = decided(
        cycle, 1, "BTCUSDT", "buy_to_enter", interaction=interaction, verdict="reduced", rule_ids=["size.risk"],
        invalidation_condition="15m close back under EMA50", hits=[hit], **entry(),
    )  # fmt: skip
    position = Position.objects.filter(account=made.account, closed__isnull=False, symbol="BTCUSDT").latest("closed")
    Position.objects.filter(pk=position.pk).update(decision=decision)
    Order.objects.filter(position=position, role="entry").update(decision=decision, cycle=cycle)
    afterwards(decision, "target", 2.0, "16.13")
    _line(cycle, "trade", "Opened long 0.016 BTCUSDT at 70410.0, stop 70064.0, target 71102.0.", "BTCUSDT")


def _compared(cycle: Cycle) -> None:
    shadow = asked(cycle, GROK, purpose="shadow", used=False, latency_ms=11_240, cost=Decimal("0.0114"))
    asked_for = decided(
        cycle, 1, "BTCUSDT", "buy_to_enter", kind="shadow", interaction=shadow, agrees=True,
        **entry(asked_quantity=Decimal("0.020"), quantity=Decimal("0.016")),
    )  # fmt: skip
    afterwards(asked_for, "open", 0.62, "4.27")
    decided(cycle, 2, "XRPUSDT", kind="shadow", interaction=shadow, agrees=False)


def together(made: Demo) -> Cycle:
    """Three models at once, of which one is not reached: two want the same."""
    cycle = cycle_at(made, 14)
    rows = [
        asked(cycle, DEEPSEEK, purpose="ensemble", latency_ms=5210),
        asked(cycle, GROK, purpose="ensemble", latency_ms=7980, cost=Decimal("0.0131")),
        asked(
            cycle, HAIKU, "no_answer", "http.503: openrouter.ai answered 503", purpose="ensemble", used=False, latency_ms=1210,
            http_status=503, reply='{"error": {"code": 503}}', model_served="", finish_reason="", prompt_tokens=0,
            completion_tokens=0, reasoning_tokens=0, cached_tokens=0, cost=None,
        ),
    ]  # fmt: skip
    decided(
        cycle, 1, "BTCUSDT", "buy_to_enter", verdict="refused", rule_ids=["market.problem"],
        hits=[{"rule": "market.problem", "effect": "refused", "text": "The price is 41 s old.", "numbers": {"age": "41"}}],
        **entry(quantity=None, leverage=None),
    )  # fmt: skip
    decided(cycle, 2, "ETHUSDT", justification=f"An entry needs 2 of 3 models: {DEEPSEEK} holds, {GROK} wants to buy")
    for row in rows[:2]:
        decided(cycle, 1, "BTCUSDT", "buy_to_enter", kind="vote", interaction=row, verdict="", agrees=True, **entry())
    decided(cycle, 2, "ETHUSDT", kind="vote", interaction=rows[0], verdict="", agrees=True)
    decided(cycle, 2, "ETHUSDT", "buy_to_enter", kind="vote", interaction=rows[1], verdict="", agrees=False)
    return cycle


def rejected(made: Demo) -> Cycle:
    """No reply that can be read: everything holds."""
    cycle = cycle_at(made, 16)
    late = asked(
        cycle, DEEPSEEK, "no_answer", "timeout: nothing complete in 30.0 s", used=False, http_status=None, reply="",
        latency_ms=30_000, prompt_tokens=0, completion_tokens=0, reasoning_tokens=0, cached_tokens=0, cost=None,
        estimate=Decimal("0.0031"), model_served="", finish_reason="",
    )  # fmt: skip
    asked(
        cycle,
        DEEPSEEK,
        "late",
        "late: the answer came after the deadline and is not used",
        used=False,
        late_of=late,
        latency_ms=34_100,
    )
    _line(cycle, "error", "Held everything: timeout: nothing complete in 30.0 s")
    return cycle


def unasked(made: Demo) -> Cycle:
    """Nobody is asked, because the money of the day is used up."""
    timings = {name: ms for name, ms in TIMINGS.items() if name != "ask"}
    cycle = cycle_at(made, 18, timings=timings)
    text = "Nobody was asked: budget.day: 2.00 of 2.00 USD of this day are used up."
    _line(cycle, "hold", text, outcome="not_asked")
    return cycle


def abandoned(made: Demo) -> Cycle:
    """The process ended while orders were sent."""
    timings = {name: ms for name, ms in TIMINGS.items() if name not in ("execute", "record", "publish")}
    error = "the process that ran it ended before it was done"
    cycle = cycle_at(made, 20, status=Cycle.Status.ABANDONED, stage="execute", error=error, timings=timings)
    decided(
        cycle,
        1,
        "BTCUSDT",
        "buy_to_enter",
        interaction=asked(cycle, DEEPSEEK),
        **entry(asked_quantity=Decimal("0.016")),
    )
    return cycle


def _line(cycle: Cycle, kind: str, text: str, symbol: str = "", **data: object) -> DiaryEntry:
    at: datetime = cycle.scheduled_for
    return DiaryEntry.objects.create(bot=cycle.bot, cycle=cycle, at=at, kind=kind, symbol=symbol, text=text, data=data)
