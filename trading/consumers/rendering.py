"""From events to messages, once per process: the rows are read as they are now, whoever watches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final

from trading.consumers import forming, messages, states
from trading.models import Position
from trading.selectors import streaming
from vibex.lib.events import Event, account_topic, market_topic, person_topic
from vibex.lib.pacing import Pace
from vibex.lib.watcher import Change

POSITIONS: Final = "positions"
"""Begins the topics of those who want the profit of an account's positions as prices move: `positions.<account>`."""
PNL: Final = "pnl"
PACES: Final = {
    "prices": (Pace("prices", "market", 0.25), Pace(PNL, PNL, 1.0)),
    "candles": (Pace("candles", "market", 0.5),),
}
"""Prices are told at most four times a second, the profit of positions once."""

type Made = list[list[Change]]


def render(events: Sequence[Event], topics: Set[str]) -> Made:
    """Return the messages of each event for the topics that are watched: a few queries for each kind."""
    made: Made = [[] for _ in events]
    places = defaultdict[str, list[int]](list)
    for place, event in enumerate(events):
        places[event.kind].append(place)
    for kind, of_kind in places.items():
        maker = _MAKERS.get(kind)
        if maker is not None:
            maker([(events[place], made[place]) for place in of_kind], topics)
        elif kind in streaming.OF_KIND:
            _by_ids(kind, [(events[place], made[place]) for place in of_kind], topics)
    return made


type Places = Sequence[tuple[Event, list[Change]]]


def positions_topic(account_id: int) -> str:
    """Return the topic of the profit of an account's positions."""
    return f"{POSITIONS}.{account_id}"


def pnl_topic(market: str) -> str:
    """Return the topic of price moves that change the profit of positions."""
    return f"{PNL}.{market}"


# -- rows ----------------------------------------------------------------------------------------------------------


def _by_ids(kind: str, places: Places, topics: Set[str]) -> None:
    ids = {row_id for event, _ in places for row_id in _ids(event)}
    rows: dict[Any, Any] = dict(streaming.rows_of(kind, ids)) if ids else {}
    if held := {key for event, _ in places for key in _held(event, topics)}:
        rows |= streaming.held_in(held)
    marks = streaming.marks_of(rows.values()) if kind == "position" else {}
    for event, changes in places:
        for key in (*_ids(event), *_held(event, topics)):
            if (row := rows.get(key)) is not None:
                changes.append(_of_row(kind, event, row, marks))


def _held(event: Event, topics: Set[str]) -> list[tuple[int, str]]:
    """Return account and symbol of an open position that is named by these only."""
    symbol = event.data.get("open")
    return [(account_id, symbol) for account_id in _watched(event, topics)] if isinstance(symbol, str) else []


def _ids(event: Event) -> list[int]:
    """Return the rows that an event names."""
    given = event.data.get("ids") or [event.data.get("decision" if event.kind == "approval" else "id")]
    return [each for each in given if isinstance(each, int)]


def _of_row(kind: str, event: Event, row: Any, marks: forming.Marks) -> Change:
    model, form, links = _FORMS[kind]
    account, bot, symbol = links(row)
    state = form(row, marks) if kind == "position" else form(row)
    topic = account_topic(account or 0)
    if kind == "alert":
        topic = person_topic(row.user_id)
    elif kind == "job":
        topic = person_topic(row.owner_id)
    return _change(event, model, state, topic, account=account, bot=bot, symbol=symbol)


type Links = tuple[int | None, int | None, str | None]
"""Account, bot and symbol of a row."""

_FORMS: Final[dict[str, tuple[type[messages.Change], Callable[..., states.State], Callable[[Any], Links]]]] = {
    "cycle": (messages.CycleChange, forming.cycle_state, lambda row: (row.account_id, row.bot_id, None)),
    "decision": (
        messages.DecisionChange, forming.decision_state, lambda row: (row.bot.account_id, row.bot_id, row.symbol),
    ),
    "order": (messages.OrderChange, forming.order_state, lambda row: (row.account_id, row.bot_id, row.symbol)),
    "fill": (messages.FillChange, forming.fill_state, lambda row: (row.account_id, row.order.bot_id, row.symbol)),
    "position": (messages.PositionChange, forming.position_state, lambda row: (row.account_id, row.bot_id, row.symbol)),
    "diary": (
        messages.DiaryChange, forming.diary_state, lambda row: (row.bot.account_id, row.bot_id, row.symbol or None),
    ),
    "bot": (messages.BotChange, forming.bot_state, lambda row: (row.account_id, row.pk, None)),
    "lock": (messages.LockChange, forming.lock_state, lambda row: (row.account_id, None, row.symbol or None)),
    "incident": (messages.IncidentChange, forming.incident_state, lambda row: (row.account_id, None, None)),
    "alert": (messages.AlertChange, forming.alert_state, lambda row: (row.account_id, row.bot_id, None)),
    "approval": (
        messages.ApprovalChange,
        forming.approval_state,
        lambda row: (row.decision.bot.account_id, row.decision.bot_id, row.decision.symbol),
    ),
    "job": (messages.JobChange, forming.job_state, lambda row: (row.account_id, row.bot_id, None)),
    "reconcile": (messages.ReconcileChange, forming.reconcile_state, lambda row: (row.account_id, None, None)),
}  # fmt: skip


# -- accounts ------------------------------------------------------------------------------------------------------


def _accounts(places: Places, topics: Set[str]) -> None:
    wanted = {account_id for event, _ in places for account_id in _watched(event, topics)}
    equity = streaming.newest_equity(wanted)
    rows = {row.pk: row for row in streaming.accounts_at(wanted)}
    for event, changes in places:
        for account_id in _watched(event, topics):
            if (row := rows.get(account_id)) is not None:
                state = forming.account_state(row, equity.get(account_id))
                changes.append(_of_account(event, messages.AccountChange, state, account_id, kind=event.kind))


def _equity(places: Places, topics: Set[str]) -> None:
    points = streaming.newest_equity({each for event, _ in places for each in _watched(event, topics)})
    for event, changes in places:
        for account_id in _watched(event, topics):
            if (point := points.get(account_id)) is not None:
                state = forming.equity_state(point)
                changes.append(_of_account(event, messages.EquityChange, state, account_id))


def _limits(places: Places, topics: Set[str]) -> None:
    for event, changes in places:
        for account_id in _watched(event, topics):
            changes.append(_of_account(event, messages.LimitsChange, states.LimitsState(), account_id))


def _watched(event: Event, topics: Set[str]) -> list[int]:
    """Return the accounts of an event that somebody watches here."""
    prefix = account_topic(0)[:-1]
    return [int(topic.removeprefix(prefix)) for topic in event.topics if topic in topics and topic.startswith(prefix)]


def _of_account(
    event: Event, model: type[messages.Change], state: states.State, account_id: int, **more: Any
) -> Change:
    return _change(event, model, state, account_topic(account_id), account=account_id, **more)


def _stage(places: Places, _: Set[str]) -> None:
    """A step is told as it was published: it is stored with what is stored next only."""
    for event, changes in places:
        state = states.StageState(**event.data)
        account_id = int(event.topics[0].partition(".")[2])
        changes.append(_of_account(event, messages.StageChange, state, account_id, bot=state.bot))


# -- markets -------------------------------------------------------------------------------------------------------


def _prices(places: Places, _: Set[str]) -> None:
    for event, changes in places:
        market, symbols = _moved(event)
        for row in streaming.prices_of(market, symbols):
            changes.append(
                _change(
                    event, messages.PriceChange, forming.price_state(row), market_topic(market),
                    market=market, symbol=row.symbol,
                )
            )  # fmt: skip


def _candles(places: Places, _: Set[str]) -> None:
    for event, changes in places:
        market, symbols = _moved(event)
        for row in streaming.newest_candles(market, symbols):
            changes.append(
                _change(
                    event, messages.CandleChange, forming.candle_state(row), market_topic(market),
                    market=market, symbol=row.symbol,
                )
            )  # fmt: skip


def _pnl(places: Places, topics: Set[str]) -> None:
    accounts = {int(topic.partition(".")[2]) for topic in topics if topic.startswith(f"{POSITIONS}.")}
    for event, changes in places:
        market, symbols = _moved(event)
        tickers = {row.symbol: row for row in streaming.prices_of(market, symbols)}
        changes.extend(_pnl_changes(event, streaming.open_on_market(market, symbols, accounts), tickers))


def _pnl_changes(event: Event, rows: Iterable[Position], tickers: dict[str, Any]) -> Iterable[Change]:
    for row in rows:
        if (ticker := tickers.get(row.symbol)) is not None:
            links = {"account": row.account_id, "bot": row.bot_id, "symbol": row.symbol}
            state = forming.pnl_state(row, ticker)
            yield _change(event, messages.PnlChange, state, positions_topic(row.account_id), **links)


def _moved(event: Event) -> tuple[str, list[str]]:
    return event.topics[0].partition(".")[2], event.data["symbols"]


_MAKERS: Final[dict[str, Callable[[Places, Set[str]], None]]] = {
    "account": _accounts,
    "halt": _accounts,
    "equity": _equity,
    "limits": _limits,
    "stage": _stage,
    "prices": _prices,
    "candles": _candles,
    PNL: _pnl,
}


def _change(event: Event, model: type[messages.Change], state: states.State, topic: str, **links: Any) -> Change:
    at = datetime.fromtimestamp(event.at, UTC)
    told = model(sequence=event.sequence, at=at, data=state, **links)  # type: ignore[call-arg]
    kind: str = told.kind  # type: ignore[attr-defined]
    return Change(event.sequence, topic, kind, told.model_dump_json(), links.get("bot"), links.get("symbol") or "")
