"""What a first account can be made of here: markets, symbols, deciders, and which keys are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings

from accounts.models import User
from marketdata.models import Feed, Instrument
from trading.selectors.market import view_of
from vibex.lib.errors import Rejected

MOST_SYMBOLS: Final = 36
"""Symbols that are offered to tick; others are typed."""
ASKED: Final = 3
"""People who are named to somebody who may make no account."""


@dataclass(frozen=True, slots=True)
class MarketChoice:
    name: str
    title: str
    running: bool
    base: str
    """Its shortest candles."""


@dataclass(frozen=True, slots=True)
class Deciders:
    """Who may decide: names with what they are, and providers that cannot be asked, each with why."""

    rules: tuple[tuple[str, str], ...]
    models: tuple[tuple[str, str], ...]
    missing: tuple[tuple[str, str], ...]
    usual: str
    """What this installation would take."""


def markets() -> list[MarketChoice]:
    """Return the markets of this installation, those that move first."""
    feeds = Feed.objects.order_by("-running", "venue")
    return [
        MarketChoice(feed.venue, f"{view_of(feed, feed.venue).title} ({feed.venue})", feed.running, feed.interval)
        for feed in feeds
    ]


def symbols_offered() -> list[str]:
    """Return the symbols that the markets follow, those of this installation's ASSETS first."""
    known = Instrument.objects.filter(followed=True, status="TRADING").order_by("symbol")
    names = list(dict.fromkeys(known.values_list("symbol", flat=True)))
    wanted = [asset.upper() for asset in settings.ASSETS]
    return sorted(names, key=lambda name: (_place(name, wanted), name))[:MOST_SYMBOLS]


def deciders() -> Deciders:
    """Return who may decide here. Nothing is asked over the network."""
    from decisions.deciders.registry import WITHOUT_MODEL, default_model
    from decisions.domain.presets import PRESETS
    from decisions.llm.endpoints import standings

    rules = (("rules/trend", "Rules: follow the trend, no key needed"), ("rules/hold", "Rules: never trade"))
    known = standings()
    open_ones = {standing.name for standing in known if not standing.problem}
    try:
        usual = default_model()
    except Rejected:
        usual = WITHOUT_MODEL
    offered = {} if usual == WITHOUT_MODEL else {usual: f"{usual.partition('/')[2]}, the model of this installation"}
    for preset in PRESETS.values():
        for name in preset.names:
            if name.partition("/")[0] in open_ones:
                offered.setdefault(name, f"{preset.title} at {name.partition('/')[0]}")
    missing = tuple((standing.name, standing.problem) for standing in known if standing.problem)
    return Deciders(rules, tuple(offered.items()), missing, usual)


def whom_to_ask() -> list[str]:
    """Return the addresses of people who may give somebody the right to make accounts."""
    people = User.objects.filter(is_active=True, is_superuser=True).order_by("pk")
    return list(people.values_list("email", flat=True)[:ASKED])


def _place(symbol: str, wanted: list[str]) -> int:
    return next((at for at, asset in enumerate(wanted) if symbol.startswith(asset)), len(wanted))
