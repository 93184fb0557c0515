"""Hyperliquid through ccxt: real orders of a wallet, signed by it or by an API wallet. See docs/hyperliquid.md."""

from trading.exchange.through_ccxt.hyperliquid.dialect import Hyperliquid, hyperliquid_exchange

__all__ = ["Hyperliquid", "hyperliquid_exchange"]
