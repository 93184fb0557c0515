"""What an account itself pays and may hold of a symbol, and a market whose rules say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import Bracket, InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote
from marketdata.market import FundingSettlement, Market
from trading.models import AccountTerms


def terms_put(*, account: Account, spec: InstrumentSpec) -> None:
    """Keep what an account pays and may hold of a symbol."""
    values = {
        "maker_fee": spec.maker_fee,
        "taker_fee": spec.taker_fee,
        "max_leverage": spec.max_leverage,
        "brackets": [{name: str(value) for name, value in asdict(one).items()} for one in spec.brackets],
        "read_at": timezone.now(),
    }
    with transaction.atomic():
        AccountTerms.objects.update_or_create(account=account, symbol=spec.symbol, defaults=values)


@dataclass(slots=True)
class TermedMarket:
    """A market whose rules carry an account's own fees and brackets."""

    venue: str
    market: Market
    terms: Mapping[str, AccountTerms]

    def instrument(self, symbol: str) -> InstrumentSpec:
        """Return the rules of a symbol as this account has them. Raises Rejected for an unknown one."""
        return self._own(self.market.instrument(symbol))

    def snapshot(self, *, symbols: Sequence[str], timeframes: Sequence[str], at: datetime) -> MarketSnapshot:
        """Return what the market looks like, each symbol with the rules as this account has them."""
        seen = self.market.snapshot(symbols=symbols, timeframes=timeframes, at=at)
        views = {name: replace(view, instrument=self._own(view.instrument)) for name, view in seen.symbols.items()}
        return replace(seen, symbols=views)

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        """Return the newest prices not later than `at`. Raises Retryable when there are none."""
        return self.market.quote(symbol, at=at)

    def depth(self, symbol: str, *, at: datetime) -> Depth | None:
        """Return the order book of now, None where the market has none. Raises Retryable or Rejected."""
        return self.market.depth(symbol, at=at)

    def base_candles(self, symbol: str, *, since: datetime, until: datetime) -> Candles:
        """Return candles of the base interval that overlap (since, until]."""
        return self.market.base_candles(symbol, since=since, until=until)

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        """Return settlements in (since, until], oldest first."""
        return self.market.funding(symbol, since=since, until=until)

    def _own(self, spec: InstrumentSpec) -> InstrumentSpec:
        terms = self.terms.get(spec.symbol)
        if terms is None:
            return spec
        brackets = tuple(_bracket(one) for one in terms.brackets) or spec.brackets
        own = replace(spec, maker_fee=terms.maker_fee, taker_fee=terms.taker_fee)
        return replace(own, brackets=brackets, max_leverage=terms.max_leverage)


def termed(market: Market, account: Account) -> Market:
    """Return the market with the account's own terms, the market itself on paper."""
    if not account.live:
        return market
    return TermedMarket(market.venue, market, {row.symbol: row for row in AccountTerms.objects.filter(account=account)})


def _bracket(row: Mapping[str, str]) -> Bracket:
    given = {name: Decimal(value) for name, value in row.items() if name != "max_leverage"}
    return Bracket(**given, max_leverage=int(row["max_leverage"]))
