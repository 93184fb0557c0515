"""Recorded quirks of real venues, each met by the code that will meet it: the table is in docs/market-data.md.

Facts of the recorded data that are about how its files were made need no test, and have none:
- "nautilus stamps bars at close time; here converted to open time": done when the files were written; no such file is kept.
- "two independent downloads agree bit for bit", "the mean close difference to Binance is 2.4 bp": checks of the files. That
  prices of two venues never mix is kept by the feed (marketdata/tests/test_feed.py).
- licences, sources, checksums, counts of files, who recorded what in which month.
- the models' replies, indicator references and performance cases have tests where that code is (decisions, indicators).
"""
