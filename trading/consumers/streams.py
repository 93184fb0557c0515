"""The streams: what each tells, and how things stand at its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, override

from accounts.models import Bot
from trading.consumers import forming, messages
from trading.consumers.messages import ALL, Subscribe
from trading.consumers.rendering import pnl_topic, positions_topic
from trading.consumers.rights import Rights
from trading.consumers.stream import Refused, Stream
from trading.selectors import streaming
from vibex.lib.events import account_topic, market_topic, person_topic
from vibex.lib.hub import in_thread
from vibex.lib.watcher import Wants

OF_BOT: Final = frozenset({"cycle", "stage", "decision", "order", "fill", "position", "diary", "bot", "approval"})
OF_ACCOUNT: Final = OF_BOT | {
    "account", "halt", "lock", "limits", "incident", "alert", "job", "equity", "reconcile",
}  # fmt: skip
LARGEST_ID: Final = 2**63 - 1


class TradingEvents(Stream):
    """Everything that happens on accounts, and the alerts and jobs of who listens."""

    kinds = OF_ACCOUNT
    snapshot = messages.TradingSnapshot
    reads_topics = False

    @override
    async def may(self, rights: Rights) -> bool:
        return True  # everybody who is signed in, to what is theirs

    @override
    def topics(self, wanted: Subscribe, rights: Rights) -> frozenset[str]:
        accounts = accounts_in(wanted, rights)
        return frozenset({person_topic(rights.user.pk)}.union(map(account_topic, accounts)))

    @override
    def state(self, wanted: Subscribe, rights: Rights) -> dict[str, Any]:
        accounts = accounts_in(wanted, rights)
        equity = streaming.newest_equity(accounts)
        positions = named(streaming.open_on("position", accounts), wanted)
        marks = streaming.marks_of(positions)
        return {
            "accounts": [forming.account_state(row, equity.get(row.pk)) for row in streaming.accounts_at(accounts)],
            "bots": [forming.bot_state(row) for row in streaming.open_on("bot", accounts)],
            "positions": [forming.position_state(row, marks) for row in positions],
            "orders": [forming.order_state(row) for row in named(streaming.open_on("order", accounts), wanted)],
            "locks": [forming.lock_state(row) for row in streaming.open_on("lock", accounts)],
            "incidents": [forming.incident_state(row) for row in streaming.open_on("incident", accounts)],
            "approvals": [forming.approval_state(row) for row in streaming.open_on("approval", accounts)],
            "jobs": [forming.job_state(row) for row in streaming.running_jobs(rights.user.pk)],
        }


class Positions(Stream):
    """Open positions and what becomes of them, with their profit as prices move."""

    kinds = frozenset({"position", "pnl"})
    snapshot = messages.PositionsSnapshot

    @override
    async def may(self, rights: Rights) -> bool:
        return True  # everybody who is signed in, to what is theirs

    @override
    def topics(self, wanted: Subscribe, rights: Rights) -> frozenset[str]:
        accounts = accounts_in(wanted, rights)
        finer = map(positions_topic, accounts)
        return frozenset(map(account_topic, accounts)).union(finer, map(pnl_topic, streaming.markets_of(accounts)))

    @override
    def state(self, wanted: Subscribe, rights: Rights) -> dict[str, Any]:
        positions = named(streaming.open_on("position", accounts_in(wanted, rights)), wanted)
        marks = streaming.marks_of(positions)
        return {"positions": [forming.position_state(row, marks) for row in positions]}


class MarketData(Stream):
    """Prices and candles of the markets of this installation, the same for everybody who is signed in."""

    kinds = frozenset({"price", "candle"})
    snapshot = messages.MarketSnapshot

    @override
    async def may(self, rights: Rights) -> bool:
        return True  # what the market is belongs to nobody

    @override
    def topics(self, wanted: Subscribe, rights: Rights) -> frozenset[str]:
        return frozenset(map(market_topic, markets_in(wanted)))

    @override
    def state(self, wanted: Subscribe, rights: Rights) -> dict[str, Any]:
        symbols = None if wanted.symbols == ALL else wanted.symbols
        prices: list[messages.MarketPrice] = []
        candles: list[messages.MarketCandle] = []
        for market in sorted(markets_in(wanted)):
            for price in streaming.prices_of(market, symbols):
                state = forming.price_state(price)
                prices.append(messages.MarketPrice(market=market, symbol=price.symbol, data=state))
            for candle in streaming.newest_candles(market, symbols):
                told = forming.candle_state(candle)
                candles.append(messages.MarketCandle(market=market, symbol=candle.symbol, data=told))
        return {"prices": prices, "candles": candles}


class BotStream(Stream):
    """One bot: its cycles step by step, what it decides, does and writes."""

    kinds = OF_BOT
    snapshot = messages.BotSnapshot

    @property
    def bot_id(self) -> int:
        return int(self.scope["url_route"]["kwargs"]["bot_id"])

    @override
    async def may(self, rights: Rights) -> bool:
        return await in_thread(self._bot, rights) is not None

    @override
    def topics(self, wanted: Subscribe, rights: Rights) -> frozenset[str]:
        return frozenset({account_topic(self._own(rights).account_id)})

    @override
    def wants(self, wanted: Subscribe) -> Wants:
        wants = super().wants(wanted)
        return Wants(wants.kinds, wants.symbols, bot=self.bot_id)

    @override
    def state(self, wanted: Subscribe, rights: Rights) -> dict[str, Any]:
        bot = self._own(rights)
        of_bot = {
            kind: [row for row in streaming.open_on(kind, [bot.account_id]) if row.bot_id == bot.pk]
            for kind in ("position", "order")
        }
        marks = streaming.marks_of(of_bot["position"])
        return {
            "bot": forming.bot_state(bot),
            "cycles": [forming.cycle_state(row) for row in streaming.newest_of_bot("cycle", bot.pk)],
            "decisions": [forming.decision_state(row) for row in streaming.newest_of_bot("decision", bot.pk)],
            "positions": [forming.position_state(row, marks) for row in of_bot["position"]],
            "orders": [forming.order_state(row) for row in of_bot["order"]],
            "diary": [forming.diary_state(row) for row in streaming.newest_of_bot("diary", bot.pk)],
        }

    def _bot(self, rights: Rights) -> Bot | None:
        if self.bot_id > LARGEST_ID:
            return None
        bot = Bot.objects.filter(pk=self.bot_id).first()
        return bot if bot is not None and bot.account_id in rights.accounts else None

    def _own(self, rights: Rights) -> Bot:
        bot = self._bot(rights)
        if bot is None:
            raise Refused("not-found", "There is no such bot.")
        return bot


class Nowhere(Stream):
    """Every other address: there is no such stream."""

    kinds = frozenset()
    snapshot = messages.Snapshot

    @override
    async def may(self, rights: Rights) -> bool:
        return False


def accounts_in(wanted: Subscribe, rights: Rights) -> frozenset[int]:
    """Return the accounts of a subscription. Raises Refused for one that is not there, or is another's: that is the same."""
    if wanted.accounts == ALL:
        return rights.accounts
    accounts = frozenset(int(each) for each in wanted.accounts)
    if unknown := accounts - rights.accounts:
        raise Refused("not-found", f"There is no account {min(unknown)}.")
    return accounts


def markets_in(wanted: Subscribe) -> set[str]:
    """Return the markets of a subscription. Raises Refused for one that is not there."""
    here = streaming.markets_here()
    if wanted.markets == ALL:
        return here
    markets = set(wanted.markets)
    if unknown := markets - here:
        raise Refused("not-found", f"There is no market {min(unknown)!r}.")
    return markets


def named(rows: Sequence[Any], wanted: Subscribe) -> list[Any]:
    """Return the rows in the symbols of a subscription."""
    return [row for row in rows if wanted.symbols == ALL or row.symbol in wanted.symbols]
