"""The codes with which a stream is closed."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """Why a connection was closed. From 4000 on: daphne sends no other codes, so that 1001 and 1013 cannot be used."""

    GOING_DOWN = 4012
    TRY_AGAIN = 4013
    BAD_REQUEST = 4000
    NOT_FOUND = 4004
    TOO_SLOW = 4008
    TOO_MANY = 4009
    SIGNED_OUT = 4010
    NO_PONG = 4408


MEANING: Final = {
    Code.GOING_DOWN: "The server goes down, or is started anew. Come back, with `since`.",
    Code.TRY_AGAIN: "The server cannot read its events or its database now. Come back in some seconds.",
    Code.BAD_REQUEST: "Too many messages that could not be read, one that is too long, or too many in a short time.",
    Code.NOT_FOUND: "There is no such bot or stream here. What is another's is as if it were not there.",
    Code.TOO_SLOW: "You read too slowly: too much was waiting. Come back, with `since`; ask for less.",
    Code.TOO_MANY: "You have too many connections.",
    Code.SIGNED_OUT: "Your sign-in has ended, your key was revoked, or you are switched off. Do not come back with it.",
    Code.NO_PONG: "Two pings were not answered.",
}
