"""What a file of accounts may say. Unknown names are refused, and secrets are named, never written."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from trading.services.load_accounts.faults import BadFile, FileFault, path_of
from vibex.lib.account_keys import FORMS

_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_DECIMAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")
_LOOKS_SECRET: Final = re.compile(r"[0-9A-F]{40,}")


def _number(value: Any) -> Any:
    """Read a number as it is written, in quotes or not. Loaders have made decimals of those without."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | str) and not isinstance(value, bool) and _DECIMAL.fullmatch(str(value).strip()):
        return Decimal(str(value).strip())
    raise PydanticCustomError("number", "has to be a number, for example 0.01")


def _literal(_: Any, info: ValidationInfo) -> Any:
    raise PydanticCustomError(
        "literal_secret",
        "a secret never stands in the file: write {name}_variable, with the name of the variable that holds it",
        {"name": info.field_name},
    )


def _variable(value: Any) -> Any:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value) or _LOOKS_SECRET.search(value):
        raise PydanticCustomError(
            "variable", "has to be the name of a variable, such as MAIN_PRIVATE_KEY, and never the secret itself"
        )
    return value


type Number = Annotated[Decimal, BeforeValidator(_number)]
type Literally = Annotated[Any, BeforeValidator(_literal)]
type VariableName = Annotated[str, BeforeValidator(_variable)]
type Name = Annotated[str, Field(min_length=1, max_length=40)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class LimitsIn(_Strict):
    """Limits that are to differ from what they are; what is left out stays."""

    max_leverage: int = 0
    risk_per_trade: Number = Decimal(0)
    max_position: Number = Decimal(0)
    max_group: Number = Decimal(0)
    max_net: Number = Decimal(0)
    max_gross: Number = Decimal(0)
    max_positions: int = 0
    min_stop_distance: Number = Decimal(0)
    max_stop_distance: Number = Decimal(0)
    max_slippage: Number = Decimal(0)
    max_margin_use: Number = Decimal(0)
    margin_buffer: Number = Decimal(0)
    trailing_stop: Number | None = None
    sides: Literal["both", "long", "short"] = "both"
    traditional: bool = False
    pyramiding: bool = False
    target_required: bool = False
    min_reward_risk: Number = Decimal(0)
    min_confidence: Number = Decimal(0)
    max_spread: Number = Decimal(0)
    min_depth: Number = Decimal(0)
    max_mark_gap: Number = Decimal(0)
    max_funding: Number = Decimal(0)
    opens_per_hour: int = 0
    opens_per_day: int = 0
    min_hold_minutes: int = 0
    cooldown_minutes: int = 0
    losing_streak: int = 0
    losing_pause_minutes: int = 0
    daily_loss: Number = Decimal(0)
    max_drawdown: Number = Decimal(0)
    equity_floor: Number | None = None
    flatten_on_loss: bool = False
    min_liquidation_distance: Number = Decimal(0)


class CredentialsIn(_Strict):
    """Keys of a live account: addresses as they are, secrets by the names of variables."""

    kind: Literal["aster_v3", "aster_v1", "api_key", "wallet"]
    user: str | None = None
    signer: str | None = None
    address: str | None = None
    key_variable: VariableName | None = None
    secret_variable: VariableName | None = None
    private_key_variable: VariableName | None = None
    key: Literally = None
    secret: Literally = None
    private_key: Literally = None


class BotIn(_Strict):
    """A bot. All but name, symbols and interval may be left out."""

    name: Name
    model: str = "rules/trend"
    fallback_models: list[str] = []
    symbols: list[str] = []
    interval: str = ""
    timeframes: list[str] = []
    capital: Number | None = None
    served_models: list[str] = []
    reasoning_effort: str = "low"
    temperature: Number | None = None
    max_tokens: int = 4_000
    deadline_seconds: int = 30
    prompt_template: str = "arena"
    prompt_version: int | None = None
    layout: str = "arena"
    outside_text: bool = False
    ensemble_models: list[str] = []
    ensemble_rule: str = "majority"
    shadow_models: list[str] = []
    approval: bool = False
    cost_per_day: Number | None = None
    tokens_per_day: int | None = None


class AccountIn(_Strict):
    """An account with what belongs to it."""

    name: Name
    venue: str = ""
    mode: Literal["paper", "live"] = "paper"
    network: Literal["mainnet", "testnet"] = "mainnet"
    promoted_from: str | None = None
    starting_balance: Number = Decimal(10_000)
    time_zone: str = "UTC"
    foreign_positions: Literal["adopt", "flatten", "flag"] = "adopt"
    limits: LimitsIn = LimitsIn()
    credentials: CredentialsIn | None = None
    bots: list[BotIn] = []


class AccountsFile(_Strict):
    """The whole file."""

    accounts: list[AccountIn] = Field(min_length=1)


def file_check(content: Any) -> AccountsFile:
    """Return what a file says. Raises BadFile with every fault of form at once."""
    try:
        given = AccountsFile.model_validate(content)
    except ValidationError as error:
        raise BadFile([_fault(each) for each in error.errors(include_input=False, include_url=False)]) from None
    if faults := [*_twice(given), *_parts(given)]:
        raise BadFile(faults)
    return given


def _fault(error: Any) -> FileFault:
    *steps, last = error["loc"] or ("accounts",)
    if isinstance(last, str) and not _NAME.fullmatch(last):
        last = "…"  # a text where a name belongs may be anything, also a secret
    wrong = {"missing": "is missing", "extra_forbidden": _unknown(str(last))}.get(error["type"], error["msg"])
    if error["type"] in ("model_type", "model_attributes_type"):
        wrong = "has to be names with values"
    return FileFault(path_of(*steps, last), wrong[:1].lower() + wrong[1:])


def _unknown(name: str) -> str:
    models = (LimitsIn, CredentialsIn, BotIn, AccountIn, AccountsFile)
    known = {field for model in models for field in model.model_fields}
    close = difflib.get_close_matches(name, known, n=1)
    return f"is not known here; did you mean {close[0]}?" if close and close[0] != name else "is not known here"


def _twice(given: AccountsFile) -> Iterator[FileFault]:
    accounts = Counter(account.name for account in given.accounts)
    for at, account in enumerate(given.accounts):
        if accounts[account.name] > 1:
            yield FileFault(path_of("accounts", at, "name"), f"{account.name} stands in the file more than once")
        bots = Counter(bot.name for bot in account.bots)
        for number, bot in enumerate(account.bots):
            if bots[bot.name] > 1:
                where = path_of("accounts", at, "bots", number, "name")
                yield FileFault(where, f"{bot.name} stands on this account more than once")


def _parts(given: AccountsFile) -> Iterator[FileFault]:
    """Refuse parts that the kind of keys does not have, and those that it lacks."""
    for at, account in enumerate(given.accounts):
        if (keys := account.credentials) is not None:
            own = {f"{part.name}_variable" if part.secret else part.name for part in FORMS[keys.kind].parts}
            stated = {name for name in keys.model_fields_set - {"kind"} if getattr(keys, name) is not None}
            for name in sorted(own - stated):
                yield FileFault(path_of("accounts", at, "credentials", name), "is missing")
            for name in sorted(stated - own):
                yield FileFault(path_of("accounts", at, "credentials", name), f"is no part of keys of kind {keys.kind}")
