"""What AsterDEX's error codes mean for each call: one action, and what is raised in the words of the Exchange port.

An unknown code sets the account `reducing`, whatever the call: closing goes on, nothing is opened, a person looks.
"""

from __future__ import annotations

from typing import Final

from trading.exchange.aster_families import FAMILIES, Action, Call, Family
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from vibex.lib.errors import NeedsOperator, VibexError

__all__ = ["FAMILIES", "UNKNOWN", "Action", "Call", "action_of", "as_code_table", "as_table", "error_of", "family_of"]

UNKNOWN: Final = Action.REDUCING
"""The action for a code that stands nowhere here."""
NOT_SIGNED: Final = ("no agent found", "signature check failed")
"""Texts of -1000 that speak of credentials: seen live, with no code of their own."""


_FAMILY: Final = {code: family for family in FAMILIES for code in family.codes}
_CREDENTIALS: Final = next(family for family in FAMILIES if family.name == "credentials")


def action_of(code: int | str, call: Call, message: str = "") -> Action:
    """Return what is done about a code of the venue in answer to a call; `message` is the venue's own text."""
    family = family_of(code, message)
    return family.actions[call] if family else UNKNOWN


def family_of(code: int | str, message: str = "") -> Family | None:
    """Return the family of a code, None for a code that is not known."""
    number = _number(code)
    if number == -1000 and any(text in message.lower() for text in NOT_SIGNED):
        return _CREDENTIALS
    return _FAMILY.get(number)


def error_of(code: int | str, call: Call, message: str) -> VibexError | None:
    """Return the code in the words of the Exchange port: None where all is well, else what is to be raised.

    A change that nobody knows the outcome of is Ambiguous; so is one that was answered with a code which is not the
    exchange's own (those are all negative): something in front of it speaks, and what that passed on is not known. A question fails as Unavailable, or as NeedsOperator where
    keys or account are at fault; an unknown code in answer to a question proves nothing, and is Unavailable too.
    """
    family, action = family_of(code, message), action_of(code, call, message)
    if action is Action.OK:
        return None
    if call.question:
        person = family is not None and action in (Action.REDUCING, Action.HALT)
        return NeedsOperator(message) if person else Unavailable(message)
    if _number(code) >= 0:
        return Ambiguous(message)
    if action is Action.RETRY:
        return Unavailable(message)
    refusal = family.refusal if family else Refusal.OTHER
    if action is Action.ASK and refusal is Refusal.OTHER:
        return Ambiguous(message)
    kind = Held if action in (Action.REDUCING, Action.HALT) else Refused
    return kind(message, refusal=refusal)


def as_table() -> str:
    """Return families and actions as a Markdown table."""
    head = ["family", *(str(call) for call in Call), "what it means"]
    rows = [[family.name, *(str(action) for action in family.actions.values()), family.meaning] for family in FAMILIES]
    rows.append(["*any other code*", *(str(UNKNOWN) for _ in Call), "Not known: an incident."])
    return _markdown(head, rows)


def as_code_table() -> str:
    """Return all codes as a Markdown table."""
    rows = [
        [str(code), f"`{family.codes[code]}`", family.name] for code, family in sorted(_FAMILY.items(), reverse=True)
    ]
    return _markdown(["code", "name", "family"], rows)


def _number(code: int | str) -> int:
    """Return a code as a number, zero (which no code has) where it is none."""
    try:
        return int(code)
    except ValueError:
        return 0


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))
