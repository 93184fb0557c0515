"""Binance's error codes: AsterDEX's are a copy of them, and what only Binance has means the same as one of those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from marketdata.venues.public import VenueRefused
from trading.exchange.aster_codes import Call, error_of
from trading.exchange.base import Ambiguous
from vibex.lib.errors import NeedsOperator, VibexError

RESTRICTED: Final = "451"
"""No code but the status for addresses in countries that Binance does not serve."""
ALIKE: Final[Mapping[int, int]] = {
    # its clock, told by the matching engine
    -5028: -1021,
    # keys, permissions, country, age of the account: a person
    **dict.fromkeys((-1099, -2008, -2017, -4109, -4192, -4202, -4203, -4205, -4206, -4402, -4403, -4404), -4088),
    # only reducing is allowed
    **dict.fromkeys((-4400, -4401), -4087),
    # modes: already so, or not with something open
    **dict.fromkeys((-4171,), -4059),
    **dict.fromkeys((-4167, -4169, -4170, -4172, -4531), -4067),
    # leverage
    **dict.fromkeys((-4208, -4209), -4028),
    # price band
    **dict.fromkeys((-4210, -4211), -4183),
    # nobody to trade with
    **dict.fromkeys((-5021, -5041), -2020),
    # the stop is firing, or the order is not open
    **dict.fromkeys((-4117, -20124), -2011),
    -20132: -4116,
    # the symbol
    -1122: -4140,
    -20121: -1121,
    # the form of a request
    **dict.fromkeys((-1126, -20130, -20194, -20195, -20196, -20198, -20204), -1130),
    **dict.fromkeys((-1131, -4120, -4136, -5024, -5025, -5026, -5027, -5037, -5038, -5039, -5040, -5047), -1130),
    # nobody knows: it broke inside
    **dict.fromkeys((-1008, -2012), -1007),
}


def meaning(refused: VenueRefused, call: Call) -> VibexError | None:
    """Return what Binance's no means for a call in the words of the port, None where all is as it was wanted.

    A code that stands nowhere is told to a person, and nothing is opened until then.
    """
    text = str(refused)
    if refused.code == RESTRICTED:
        return NeedsOperator(text) if call.question else Ambiguous(text)
    code = int(refused.code) if refused.code.lstrip("-").isdecimal() else None
    if code is None:  # ccxt refused before anything left: the fault is ours
        return error_of(-1130, call, text)
    return error_of(ALIKE.get(code, code), call, text)
