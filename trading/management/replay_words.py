"""Replays and dry runs in words and as JSON-ready data, for the commands that print them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from decisions.domain.question import Outcome
from trading.domain.replayed import SymbolReplay, Told, shown

if TYPE_CHECKING:  # they load what asks models, which a command does when it is called
    from trading.services.replay import Replay
    from trading.services.replay_ask import AskedAgain, Repeat, Summary


def plain(value: object) -> str:
    """Return what JSON has no form for, as text."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def money(amount: Decimal | None) -> str:
    """Return US dollars for reading."""
    return "an unknown cost" if amount is None else f"${amount.normalize():f}"


def replay_data(replay: Replay) -> dict[str, Any]:
    """Return the replay of a stored reply as it is printed with --json."""
    data = asdict(replay) | {"same": replay.same, "symbols": _symbols_data(replay.symbols)}
    del data["rulings"]
    return data


def repeat_data(repeat: Repeat) -> dict[str, Any]:
    """Return one answer to a stored prompt as it is printed with --json."""
    data = asdict(repeat) | {"same": repeat.same, "symbols": _symbols_data(repeat.symbols)}
    del data["rulings"]
    return data


def replay_lines(replay: Replay) -> Iterator[str]:
    """Return the replay of a stored reply for reading."""
    how = (
        "its rules decide again"
        if not replay.replies
        else f"{_count(replay.replies, 'stored reply', 'stored replies')} read again"
    )
    yield f"cycle {replay.cycle} of {replay.bot}, {replay.at:%F %T} UTC: {replay.model}, {how}"
    yield from limits_lines(replay.limits, replay.limits_changed)
    yield from (f"differs  {change}" for change in replay.changes)
    if replay.now.outcome != "answered":
        yield f"reply    {replay.now.outcome} now: {replay.now.reason}"
    for symbol in replay.symbols:
        yield from symbol_lines(symbol)
    yield _verdict(replay)


def limits_lines(whose: str, changes: Sequence[object]) -> Iterator[str]:
    told = "; ".join(map(str, changes)) or ("as they were" if whose == "now" else "whatever they are now")
    yield f"limits   of {whose}: {told}"


def symbol_lines(symbol: SymbolReplay) -> Iterator[str]:
    """Return one symbol, then and now, with every field and rule that differs."""
    yield f"{symbol.symbol}  {_asked(symbol.now or symbol.then)}"
    if symbol.same:
        yield f"  same     {_ruled(symbol.now)}"
        return
    yield f"  then     {_ruled(symbol.then)}"
    yield f"  now      {_ruled(symbol.now)}"
    yield from (f"  differs  {change}" for change in symbol.changes)


def repeat_lines(repeat: Repeat, of: int) -> Iterator[str]:
    """Return one answer to a stored prompt for reading."""
    served = f" as {repeat.model_served}" if repeat.model_served else ""
    kept = ", out of the development cache" if repeat.cached else ""
    tokens = f"{repeat.prompt_tokens} + {repeat.reply_tokens} tokens"
    paid = "nothing was sent" if repeat.outcome == Outcome.NOT_ASKED else f"{tokens}, {money(repeat.cost)}"
    yield f"{repeat.number} of {of}  {repeat.outcome} in {repeat.seconds:.1f} s{served}, {paid}{kept}"
    if not repeat.usable:
        yield f"  why      {repeat.reason}"
    for symbol in repeat.symbols:
        then = "as decided" if symbol.same else f"was {symbol.then.action if symbol.then else 'nothing'}"
        yield f"  {symbol.symbol}  {_asked(symbol.now)}: {_ruled(symbol.now)} ({then})"
        yield from (f"    differs  {change}" for change in symbol.changes)


def asked_lines(asked: AskedAgain, limits: str, repeat: int) -> Iterator[str]:
    times = "once" if repeat == 1 else f"{repeat} times"
    bot = f"{asked.bot.account.name}/{asked.bot.name}"
    yield f"cycle {asked.cycle} of {bot}, {asked.at:%F %T} UTC: its prompt to {asked.model}, {times}. Nothing is traded."
    yield from limits_lines(limits, asked.limits_changed)


def summary_lines(summary: Summary) -> Iterator[str]:
    """Return what several answers have in common."""
    if summary.usable > 1:
        for one in summary.agreement:
            yield f"agreement  {one.symbol}: {one.action} {one.times} of {one.of}"
    yield (
        f"{summary.usable} of {summary.asked} usable, {summary.same} as decided, {money(summary.cost)} in all, "
        f"median {summary.seconds:.1f} s"
    )
    if summary.cached:
        yield (
            f"{summary.cached} came out of the development cache (LLM_REPLY_CACHE): repeats of one reply tell nothing "
            "about the model. Unset it to ask anew."
        )


def ruling_line(told: Told) -> str:
    """Return what is asked for and what the rules make of it."""
    return f"{_asked(told)}: {_ruled(told)}"


def _asked(told: Told | None) -> str:
    if told is None:
        return "nothing"
    if told.quantity is None:
        return told.action
    parts = [f"{told.action} {shown(told.quantity)}", f"at {told.leverage}×"]
    parts += [f"{name} {shown(price)}" for name, price in (("stop", told.stop_loss), ("target", told.profit_target))]
    return f"{parts[0]} {', '.join(parts[1:])}"


def _ruled(told: Told | None) -> str:
    if told is None:
        return "nothing was decided"
    allowed = "" if told.allowed is None or told.verdict == "refused" else f" {shown(told.allowed)}"
    rules = "".join(f"; {hit.rule}: {hit.text}" for hit in told.hits)
    return f"{told.verdict}{allowed}{rules}"


def _verdict(replay: Replay) -> str:
    differ = [symbol.symbol for symbol in replay.symbols if not symbol.same]
    if replay.same:
        return "Same: today it would be decided as it was."
    if not differ:
        return "Different: the reply as a whole is read otherwise."
    return f"Different: {', '.join(dict.fromkeys(differ))} of {_count(len(replay.symbols), 'decision', 'decisions')}."


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _symbols_data(symbols: Sequence[SymbolReplay]) -> list[dict[str, Any]]:
    return [asdict(symbol) | {"same": symbol.same} for symbol in symbols]
