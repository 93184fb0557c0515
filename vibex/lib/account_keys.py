"""Which keys a live account signs with, venue by venue, and the variables that may hold them.

The variables of an account end with its name: `ASTERDEX_API_KEY_MAIN` belongs to the account `main`. `suffix_of` says
how the name is written there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vibex.lib.parsers import Parser, address, one_word, private_key

FILE = "_FILE"
_NO_LETTER = re.compile(r"[^A-Z0-9]")

type Whose = tuple[str, str]
"""Venue, and the end of the names of the variables: empty where they carry no account's name."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an account's keys: an address that may be shown, or a secret."""

    name: str
    variable: str
    """Name of its variable, without the account's."""
    parse: Parser
    example: str
    secret: bool


@dataclass(frozen=True, slots=True)
class KeyForm:
    """What keys of one kind consist of."""

    kind: str
    venue: str
    title: str
    parts: tuple[Part, ...]

    def variables(self, suffix: str) -> list[str]:
        """Return the names of the variables of one account."""
        return [variable_of(part, suffix) for part in self.parts]


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """Keys that variables hold, whole and of the right form."""

    kind: str
    parts: Mapping[str, str] = field(repr=False)


def _address(name: str, variable: str) -> Part:
    return Part(name, variable, address, "0x1111111111111111111111111111111111111111", secret=False)


def _private_key(variable: str) -> Part:
    return Part("private_key", variable, private_key, "0x" + 32 * "33", secret=True)


def _word(name: str, variable: str) -> Part:
    return Part(name, variable, one_word, f"your-{name}", secret=True)


FORMS: Mapping[str, KeyForm] = {
    form.kind: form
    for form in (
        KeyForm(
            "aster_v3",
            "aster",
            "AsterDEX, API wallet (V3)",
            (
                _address("user", "ASTERDEX_USER"),
                _address("signer", "ASTERDEX_SIGNER"),
                _private_key("ASTERDEX_PRIVATE_KEY"),
            ),
        ),
        KeyForm(
            "aster_v1",
            "aster",
            "AsterDEX, key and secret (V1)",
            (_word("key", "ASTERDEX_API_KEY"), _word("secret", "ASTERDEX_API_SECRET")),
        ),
        KeyForm(
            "api_key",
            "binance_usdm",
            "Binance USD-M",
            (_word("key", "BINANCE_API_KEY"), _word("secret", "BINANCE_API_SECRET")),
        ),
        KeyForm(
            "wallet",
            "hyperliquid",
            "Hyperliquid",
            (_address("address", "HYPERLIQUID_ADDRESS"), _private_key("HYPERLIQUID_PRIVATE_KEY")),
        ),
    )
}
VENUES = tuple(dict.fromkeys(form.venue for form in FORMS.values()))
"""Venues at which an account can be live."""


def forms_of(venue: str) -> list[KeyForm]:
    """Return the kinds of keys that a venue takes, the better one first; none where no account can be live."""
    return [form for form in FORMS.values() if form.venue == venue]


def suffix_of(account: str) -> str:
    """Return an account's name as its variables end with it: capitals, and `_` for all but letters and digits."""
    return _NO_LETTER.sub("_", account.upper())


def ends_like_a_file(suffix: str) -> bool:
    """Return whether names with this end would be read as those of files: `ASTERDEX_API_KEY_FILE`."""
    return f"_{suffix}".endswith(FILE)


def variable_of(part: Part, suffix: str) -> str:
    return f"{part.variable}_{suffix}" if suffix else part.variable


def suffixes_in(names: Mapping[str, str], form: KeyForm) -> set[str]:
    """Return the accounts, as their variables end with them, for which some part of this form is given."""
    return {suffix for part in form.parts for suffix in _suffixes(names, part) if suffix}


def misspelt(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield names of variables that end with an account's name in other letters, and the name that is read."""
    for name in names:
        for form in FORMS.values():
            for part in form.parts:
                suffix = name.removeprefix(f"{part.variable}_")
                if suffix not in (name, suffix_of(suffix)):
                    yield name, variable_of(part, suffix_of(suffix))


def _suffixes(names: Mapping[str, str], part: Part) -> Iterator[str]:
    for name in names:
        stem = name.removesuffix(FILE)
        suffix = stem.removeprefix(f"{part.variable}_")
        if suffix != stem and suffix == suffix_of(suffix):
            yield suffix
