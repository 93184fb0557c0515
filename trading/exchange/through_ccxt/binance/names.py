"""Which order at Binance is which of ours: its own numbers, our client ids, and the service that one belongs to."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from trading.domain.venue import OrderReport

KEPT: Final = 20_000


class Names:
    """Client ids by symbol and the venue's number, never changed once known; and which ids are conditional orders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._listed: dict[str, int] = {}

    def learn(self, reports: Iterable[OrderReport]) -> None:
        """Remember orders of the order service, and which ones are not of it."""
        for one in reports:
            if one.type.conditional:
                self.waiting(one.client_order_id)
            else:
                self.add(one.symbol, one.exchange_id, one.client_order_id)

    def add(self, symbol: str, number: str, client_order_id: str) -> None:
        with self._lock:
            self._kept.setdefault((symbol, number), client_order_id)
            _bounded(self._kept)

    def waiting(self, client_order_id: str) -> None:
        with self._lock:
            self._waiting[client_order_id] = None
            _bounded(self._waiting)

    def is_waiting(self, client_order_id: str) -> bool:
        with self._lock:
            return client_order_id in self._waiting

    def unknown(self, symbol: str, numbers: Iterable[str]) -> list[str]:
        with self._lock:
            return sorted(number for number in numbers if (symbol, number) not in self._kept)

    def known(self, symbol: str, numbers: Iterable[str]) -> dict[str, str]:
        with self._lock:
            return {number: self._kept[symbol, number] for number in numbers if (symbol, number) in self._kept}

    def listed_to(self, symbol: str) -> int:
        with self._lock:
            return self._listed.get(symbol, 1)

    def list_from(self, symbol: str, algo_id: int) -> None:
        with self._lock:
            self._listed[symbol] = algo_id


def _bounded(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > KEPT:
        kept.popitem(last=False)
