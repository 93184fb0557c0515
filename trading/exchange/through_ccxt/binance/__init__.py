"""Binance USD-M through ccxt: real orders, in the two services that it keeps them in."""
