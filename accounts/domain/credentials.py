"""What a live account signs with, by kind of venue. No secret stands in a `repr`, so none reaches a log or an error."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AsterV3Keys:
    """The API wallet ("agent") of an account at AsterDEX."""

    user: str
    """Address of the main wallet."""
    signer: str
    """Address of the API wallet."""
    private_key: str = field(repr=False)
    """Of the API wallet."""


@dataclass(frozen=True, slots=True)
class AsterV1Keys:
    """A key and its secret at AsterDEX, older generation."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """A key and its secret at another venue: Binance."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WalletKeys:
    """A wallet, or an agent for it: Hyperliquid."""

    address: str
    """Of the main wallet."""
    private_key: str = field(repr=False)
    """Of the wallet that signs."""


type Keys = AsterV3Keys | AsterV1Keys | ApiKeys | WalletKeys
