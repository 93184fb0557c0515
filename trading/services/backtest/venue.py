"""The venue of a backtest: the matching engine in memory, and no more to be had of a bar than a share of what it traded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.matching import Depth, EngineSettings
from trading.domain.matching.book import adverse
from trading.domain.venue import NewOrder, OrderReport, OrderSide
from trading.exchange.simulated import SimulatedExchange
from vibex.lib.clock import Clock

type VolumeAt = Callable[[str, datetime], Decimal | None]
"""Return what is traded of a symbol in the bar that opens at a moment; None where no bar does."""


class BacktestVenue(SimulatedExchange):
    """One account in memory. An entry takes at most `share` of the volume of the bar that it meets; the rest expires.

    What leaves a position is always filled whole: a test in which nobody gets out would only look careful.
    """

    def __init__(
        self,
        *,
        instruments: Mapping[str, InstrumentSpec],
        clock: Clock,
        deposit: Decimal,
        settings: EngineSettings,
        volume: VolumeAt,
        share: Decimal | None,
    ) -> None:
        super().__init__(instruments=instruments, clock=clock, deposit=deposit, settings=settings)
        self._instruments, self._settings, self._now = instruments, settings, clock.now
        self._volume, self._share = volume, share

    def place(self, order: NewOrder) -> OrderReport:
        if self._share is None or order.reduce_only or order.close_position or order.trigger is not None:
            return super().place(order)
        self._act()
        volume = self._volume(order.symbol, self._now())
        if volume is None:
            return super().place(order)
        self.engine.set_depth(order.symbol, self._ladder(order, volume * self._share))
        try:
            return super().place(order)
        finally:
            self.engine.set_depth(order.symbol, None)

    def _ladder(self, order: NewOrder, most: Decimal) -> Depth:
        """Return one level at the price that a taker meets."""
        rules, prices, buys = (
            self._instruments[order.symbol],
            self.engine.prices(order.symbol),
            order.side is OrderSide.BUY,
        )
        touch = (prices.ask if buys else prices.bid) or prices.last
        price, size = adverse(rules, order.side, touch, touch * self._settings.slippage), rules.quantity_down(most)
        level = [(price, size)] if size else []
        return Depth.of(asks=level) if buys else Depth.of(bids=level)
