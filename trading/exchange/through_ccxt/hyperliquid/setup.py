"""How an account at Hyperliquid has to be set before anything is traded: set, read back, compared.

The venue knows one-way positions only. Margin is isolated or shared by contract, and is set together with leverage.
Setting is without danger when nobody knows whether it arrived: reading back tells.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.domain.venue import ZERO
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.exchange.live import ConnectionCheck, SymbolCheck
from trading.exchange.through_ccxt.hyperliquid import payloads
from trading.exchange.through_ccxt.hyperliquid.calls import Calls
from trading.exchange.through_ccxt.hyperliquid.payloads import Asset
from trading.exchange.through_ccxt.hyperliquid.values import one_of, whole
from trading.exchange.through_ccxt.hyperliquid.words import meaning
from vibex.lib.errors import NeedsOperator, VibexError

SEPARATE: Final = frozenset({"disabled", "default", "dexAbstraction"})
"""Ways in which an account keeps its money where the money of perpetuals is one of their own."""
CHANGE: Final = Call.LEVERAGE


def prepare(calls: Calls, signer: str, leverages: Mapping[Asset, int]) -> None:
    """Make sure that the wallet may be traded on by the signer, and bring contracts to isolated margin and leverage."""
    _check_wallets(calls, signer)
    for asset, leverage in leverages.items():
        if not _setting(calls, asset)[0] and _open(calls, asset):
            text = f"{asset.symbol} is in cross margin and something is open on it: close it, then start again."
            raise NeedsOperator(text)
        if (now := leverage_set(calls, asset, leverage)) != leverage:
            raise NeedsOperator(f"{asset.symbol} was set to leverage {leverage}, but Hyperliquid has it at {now}.")


def leverage_set(calls: Calls, asset: Asset, leverage: int) -> int:
    """Set isolated margin and leverage of a contract that is flat, and return what the venue has now.

    Raises Refused while a position or an entry is open, or for a leverage that the venue does not allow.
    """
    isolated, now = _setting(calls, asset)
    if isolated and now == leverage:
        return leverage
    if _open(calls, asset, entries_only=isolated):
        text = f"{asset.symbol} has a position or an open entry: its leverage stays at {now}."
        raise Refused(text, refusal=Refusal.LEVERAGE)
    problem = _switch(calls, asset, leverage)
    isolated, now = _setting(calls, asset)
    if not isolated:
        raise problem or NeedsOperator(f"{asset.symbol} stays in cross margin at Hyperliquid.")
    if problem and now != leverage:
        raise problem
    return now


def check(calls: Calls, signer: str, assets: Sequence[Asset]) -> ConnectionCheck:
    """Read everything that a person wants to see before trading; change nothing."""
    sent = time.time()
    theirs = whole(one_of(calls.ask("exchangeStatus"), "status"), "time", "status")
    back = time.time()
    state = calls.of_user("clearinghouseState")
    funds, positions = payloads.funds_of(state), payloads.positions_of(state)
    maker, taker = payloads.fees_of(calls.of_user("userFees"))
    settings = {asset: _setting(calls, asset) for asset in assets}
    return ConnectionCheck(
        clock_ahead=timedelta(milliseconds=round(theirs - (sent + back) * 500)),
        round_trip=timedelta(seconds=back - sent),
        wallet=funds.equity - sum((one.unrealised for one in positions), ZERO),
        available=max(min(funds.equity - funds.used, funds.withdrawable), ZERO),
        one_way=True,
        single_asset=_word(calls) in SEPARATE,
        can_trade=_signs_for(calls, signer),
        can_withdraw=signer == calls.user,
        symbols=tuple(
            SymbolCheck(asset.symbol, isolated, leverage, maker, taker)
            for asset, (isolated, leverage) in settings.items()
        ),
    )


def _check_wallets(calls: Calls, signer: str) -> None:
    if not _signs_for(calls, signer):
        raise NeedsOperator(
            f"{signer} may not sign for {calls.user} at Hyperliquid. Give the account the address of the main wallet, and "
            "the private key of this wallet or of an API wallet that it has approved."
        )
    if (word := _word(calls)) not in SEPARATE:
        raise NeedsOperator(
            f"{calls.user} at Hyperliquid is a {word}, where money of spot carries positions too: switch to the standard "
            "account, then start again."
        )


def _signs_for(calls: Calls, signer: str) -> bool:
    """Return whether the venue takes actions of the signer for the wallet."""
    if signer == calls.user:
        return True
    told = one_of(calls.ask("userRole", user=signer), "role")
    owner = (told.get("data") or {}).get("user") if told.get("role") == "agent" else None
    return isinstance(owner, str) and owner.lower() == calls.user


def _word(calls: Calls) -> str:
    """Return how the wallet keeps its money, as the venue calls it."""
    return str(one_of(calls.of_user("userAbstraction"), "account").get("word"))


def _setting(calls: Calls, asset: Asset) -> tuple[bool, int]:
    return payloads.leverage_of(calls.of_user("activeAssetData", coin=asset.coin))


def _open(calls: Calls, asset: Asset, *, entries_only: bool = False) -> bool:
    """Return whether a contract has a position or open orders; of these `entries_only` passes over what only reduces."""
    orders = payloads.orders_of(calls.of_user("frontendOpenOrders"), lambda cloid, number: cloid or number)
    entries = (
        one
        for one in orders
        if one.symbol == asset.symbol and not (entries_only and (one.reduce_only or one.close_position))
    )
    if any(entries):
        return True
    held = payloads.positions_of(calls.of_user("clearinghouseState"))
    return any(one.symbol == asset.symbol for one in held)


def _switch(calls: Calls, asset: Asset, leverage: int) -> VibexError | None:
    """Send the change. Return why it may not have been made; reading back decides whether it was."""
    action = {"type": "updateLeverage", "asset": asset.index, "isCross": False, "leverage": leverage}
    try:
        calls.act(action)
    except VenueRefused as refused:
        error = meaning(refused, CHANGE)
        return Unavailable(str(refused)) if isinstance(error, Ambiguous) else error
    except (VenueDown, VenueBusy) as lost:
        return Unavailable(str(lost))
    return None
