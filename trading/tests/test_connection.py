"""What a venue says of an account is read without changing anything, and judged line by line."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from accounts.models import Account
from accounts.services import account_create, bot_create
from tests.support.demo import person
from trading.exchange.aster.checking import permissions_of
from trading.exchange.base import Unavailable
from trading.exchange.live import ConnectionCheck, SymbolCheck
from trading.services.connection import connection_check, findings_of, symbols_of
from trading.tests.aster_server_kit import aster
from vibex.lib.errors import NeedsOperator

GOOD = ConnectionCheck(
    clock_ahead=timedelta(milliseconds=-120),
    round_trip=timedelta(milliseconds=80),
    wallet=D("1234.5"),
    available=D(1000),
    one_way=True,
    single_asset=True,
    can_trade=True,
    can_withdraw=False,
    symbols=(SymbolCheck("BTCUSDT", True, 3, D("0.0001"), D("0.00035")),),
)


# -- at AsterDEX -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["v3", "v1"])
def test_everything_is_read_and_nothing_is_changed(generation: str) -> None:
    with aster(generation, prepared=False, maker_fee=D("0.0002"), taker_fee=D("0.0004")) as house:
        house.served.control.log(clear=True)
        check = house.exchange.check(["BTCUSDT", "NOSUCHUSDT", "SOLUSDT"])
        asked = house.served.control.log()
    assert {one["method"] for one in asked} == {"GET"}
    assert (check.wallet, check.available) == (D(10_000), D(10_000))
    assert (check.one_way, check.single_asset, check.can_trade) == (True, True, True)
    assert check.symbols == (
        SymbolCheck("BTCUSDT", False, 20, D("0.0002"), D("0.0004")),
        SymbolCheck("SOLUSDT", False, 20, D("0.0002"), D("0.0004")),
    )
    assert timedelta(0) < check.round_trip < timedelta(seconds=5)


def test_modes_are_told_as_they_are() -> None:
    with aster(prepared=False, dual=True) as house:
        assert house.exchange.check([]).one_way is False
    with aster(prepared=True) as house:
        (symbol,) = house.exchange.check(["BTCUSDT"]).symbols
        assert (symbol.isolated, symbol.leverage) == (True, 1)


def test_the_clock_of_the_venue_is_compared_with_ours() -> None:
    with aster(prepared=False) as house:
        ahead = house.exchange.check([]).clock_ahead
    assert ahead < timedelta(days=-30)  # the exchange of the tests stands in the past


def test_a_venue_that_does_not_answer_is_unavailable() -> None:
    with aster(prepared=False) as house:
        house.fault("503", count=20)
        with pytest.raises(Unavailable):
            house.exchange.check(["BTCUSDT"])


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"canTrade": True, "canWithdraw": True}, (True, True)),
        ({"canTrade": "false"}, (False, None)),
        ({}, (None, None)),
    ],
)
def test_permissions_are_what_is_told_of_them(payload: dict[str, Any], told: tuple[bool | None, bool | None]) -> None:
    assert permissions_of(payload) == told


# -- in words --------------------------------------------------------------------------------------------------------


def test_a_sound_account_has_nothing_but_green_marks() -> None:
    findings = findings_of(GOOD, ["BTCUSDT"])
    assert {one.mark for one in findings} == {"ok"}
    assert not any(one.remedy for one in findings)
    assert [one.text for one in findings] == [
        "the venue's clock is 0.12 s behind ours (±0.04 s)",
        "1,234.50 USDT in the wallet, 1,000.00 available",
        "the account may trade",
        "the account may not withdraw",
        "one-way",
        "positions are carried by USDT only",
        "isolated margin, leverage 3, maker 0.01 %, taker 0.035 %",
    ]


@pytest.mark.parametrize(
    ("changes", "name", "mark", "text", "remedy"),
    [
        ({"clock_ahead": timedelta(seconds=3)}, "Clock", "warn", "3.00 s ahead of ours", "timedatectl"),
        ({"clock_ahead": timedelta(seconds=-9)}, "Clock", "fail", "9.00 s behind ours", "timedatectl"),
        ({"wallet": D(0), "available": D(0)}, "Balance", "fail", "0.00 USDT", "Move USDT"),
        ({"available": D(0)}, "Balance", "fail", "0.00 available", "Move USDT"),
        ({"can_trade": False}, "Trading", "fail", "may not trade", "Allow trading"),
        ({"can_trade": None}, "Trading", "ok", "does not tell", ""),
        ({"can_withdraw": True}, "Withdrawing", "warn", "may withdraw", "only trade"),
        ({"can_withdraw": None}, "Withdrawing", "ok", "does not tell", ""),
        ({"one_way": False}, "Position mode", "fail", "hedge mode", "close everything"),
        ({"single_asset": False}, "Margin assets", "fail", "multi-asset mode", "close everything"),
        ({"single_asset": None}, "Margin assets", "ok", "does not tell", ""),
        ({"symbols": ()}, "BTCUSDT", "fail", "does not know it", "Take it out"),
        (
            {"symbols": (SymbolCheck("BTCUSDT", False, 20, D(0), D("0.0004")),)},
            "BTCUSDT", "warn", "cross margin, leverage 20, maker 0 %, taker 0.04 %", "close that",
        ),
        (
            {"symbols": (SymbolCheck("BTCUSDT", True, 20, D("-0.0001"), D("0.002")),)},
            "BTCUSDT", "warn", "maker -0.01 %, taker 0.2 %", "fee level",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_marked_with_what_to_do(
    changes: dict[str, Any], name: str, mark: str, text: str, remedy: str
) -> None:
    findings = findings_of(replace(GOOD, **changes), ["BTCUSDT"])
    (found,) = (one for one in findings if one.name == name)
    assert (found.mark, text in found.text, remedy in found.remedy) == (mark, True, True)
    assert bool(found.remedy) == (mark != "ok")
    assert {one.mark for one in findings if one.name != name} == {"ok"}


def test_without_a_bot_it_says_so() -> None:
    last = findings_of(replace(GOOD, symbols=()), [])[-1]
    assert (last.name, last.mark) == ("Symbols", "warn")


# -- of an account ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_symbols_are_those_of_its_bots_or_of_the_paper_account() -> None:
    paper = account_create(owner=person(), name="paper", venue="aster")
    live = account_create(owner=paper.owner, name="live", venue="aster", mode="live", promoted_from=paper)
    assert symbols_of(live) == []
    of = {"model": "rules/trend", "interval": "3m", "timeframes": ["3m"]}
    bot_create(account=paper, name="one", symbols=["SOLUSDT", "BTCUSDT"], **of)
    assert symbols_of(live) == ["BTCUSDT", "SOLUSDT"]
    bot_create(account=live, name="one", symbols=["ETHUSDT"], **of)
    assert symbols_of(live) == ["ETHUSDT"]


@pytest.mark.django_db
def test_an_account_without_a_connection_is_refused() -> None:
    paper = account_create(owner=person(), name="paper", venue="aster")
    with pytest.raises(NeedsOperator, match="paper"):
        connection_check(account=paper)
    live = Account(owner=paper.owner, name="live", venue="aster", mode="live", promoted_from=paper)
    live.save()
    with pytest.raises(NeedsOperator, match="ASTERDEX"):
        connection_check(account=live)
