"""The streams over WebSocket: docs/streams.md tells how they are used."""

from trading.consumers.stream import Stream
from trading.consumers.streams import BotStream, MarketData, Nowhere, Positions, TradingEvents

__all__ = ["BotStream", "MarketData", "Nowhere", "Positions", "Stream", "TradingEvents"]
