"""What a dangerous button of a desk will do: its words and figures, who may press it, and the version of what is shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from accounts.access.acts import Act
from accounts.models import Account, Bot
from trading.models import Order, Position
from trading.selectors.standing import PositionLine
from trading.templatetags.figures import money, price, quantity, signed, signed_share

DOES: Final = {
    "close": Act.END,
    "close-all": Act.END,
    "cancel": Act.END,
    "halt": Act.END,
    "stop-bot": Act.END,
    "move-stop": Act.TRADE,
    "move-target": Act.TRADE,
    "resume": Act.TRADE,
    "start-bot": Act.TRADE,
    "decide": Act.TRADE,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that has to be so. One that is `needed` is not waited for: pressing would only be refused."""

    met: bool
    text: str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. `row` is what it is done to; None for the whole account."""

    act: str
    account: Account
    title: str
    """As a question to the person: Close BTCUSDT?"""
    says: str
    """What will happen, with figures."""
    button: str
    row: Position | Order | Bot | None = None
    lines: tuple[str, ...] = ()
    """To what, one line each."""
    after: str = ""
    """What is so afterwards."""
    warned: str = ""
    """What keeps it from having its effect as things stand; it may be pressed all the same."""
    blocked: str = ""
    """Why there is nothing to do; empty where there is."""
    wants: frozenset[str] = frozenset()
    """What the person has to say besides: `price`, `reason`, `keep`."""
    price: Decimal | None = None
    conditions: tuple[Condition, ...] = ()
    version: str = ""
    hint: str = ""
    """What a field is likely to hold."""

    @property
    def ends(self) -> bool:
        """Whether it lowers risk: then nothing but the wrong name stands in its way."""
        return DOES[self.act] is Act.END

    @property
    def typed(self) -> bool:
        """Whether the name of the account has to be typed: where real money is at stake."""
        return self.account.real

    @property
    def ready(self) -> bool:
        """Whether all is said that it takes to name what will happen."""
        return not ("price" in self.wants and self.price is None)

    @property
    def possible(self) -> bool:
        """Whether there is anything to press."""
        return not self.blocked and all(each.met for each in self.conditions if each.needed)


def told(line: PositionLine) -> str:
    """Write a position with its figures of now."""
    position, rules = line.position, line.rules
    said = f"{position.symbol} {position.side} {quantity(position.quantity, rules.step)}"
    if line.mark is None:
        return f"{said}, entered at {price(position.entry_price, rules.tick)}; no price is known now"
    worth = f"worth {money(line.notional)} USDT at mark {price(line.mark, rules.tick)}"
    return f"{said}, {worth}, result now {signed(line.unrealised)} USDT ({signed_share(line.share)})"


def worth(lines: list[PositionLine]) -> str:
    """Write what positions are worth at mark."""
    total, count = sum((line.notional for line in lines), Decimal(0)), len(lines)
    if count == 1:
        return f"{lines[0].position.symbol} {lines[0].position.side}, worth {money(total)} USDT,"
    return f"{count} positions worth {money(total)} USDT"


def version_of(account: Account, *rows: Any) -> str:
    """Return a short mark of what is shown: it changes with size, bracket and state, not with the price."""
    return digest(account.epoch, account.state, *(part for row in rows for part in _facts(row)))


def _facts(row: Any) -> tuple[Any, ...]:
    if isinstance(row, Position):
        return (row.pk, row.closed, _plain(row.quantity), _plain(row.stop), _plain(row.target))
    if isinstance(row, Order):
        return (row.pk, row.state, _plain(row.filled))
    return (_plain(row),)


def _plain(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"


def digest(*parts: Any) -> str:
    """Return a short mark of what is shown."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]
