"""Accounts with their limits, or bots, as a table (CSV), one to a line, for who works in a spreadsheet.

A table of bots has the column `account`; one of accounts has `limits.…` beside its own. An empty cell leaves a value as it
is, `(none)` makes it nothing. A list stands in one cell with commas, as in the forms, or as JSON.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import NoneType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from accounts.models import Account, Bot
from trading.services.load_accounts.faults import BadFile, FileFault, path_of
from trading.services.load_accounts.form import AccountIn, BotIn, LimitsIn
from vibex.lib import cells

NONE: Final = "(none)"
OF_LIMITS: Final = "limits."
ACCOUNT: Final = "account"
"""The column of a table of bots that says on which account each is."""
DELIMITERS: Final = ",;\t"
"""As spreadsheets write: by their language, and when cells are copied."""
NEEDS_JSON: Final = re.compile(r"$|[\[{\"(\s]|.*[,\n\r]|.*\s$", re.DOTALL)
"""Texts that a list with commas would not give back."""
NAME: Final = re.compile(r"[A-Za-z_.]{1,40}")
DIGITS: Final = re.compile(r"-?[0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class Table:
    """What a table says, as `file_check` takes it, and on which line of the text each part of it stands."""

    content: dict[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)


type Kinds = dict[str, Any]
"""Columns of a table with the type of each."""


def _types(form: type[BaseModel], before: str = "") -> Kinds:
    return {f"{before}{name}": each.annotation for name, each in form.model_fields.items()}


_LEVELS: Final = ("limits", "credentials", "bots")
OF_ACCOUNTS: Final[Kinds] = {name: kind for name, kind in _types(AccountIn).items() if name not in _LEVELS} | _types(
    LimitsIn, OF_LIMITS
)
OF_BOTS: Final[Kinds] = {ACCOUNT: str} | _types(BotIn)


# -- writing -------------------------------------------------------------------------------------------------------------


def accounts_table(accounts: Iterable[Account]) -> str:
    """Return accounts of one owner with their limits as a table. They come with `limits` and `promoted_from` read."""
    return _written(OF_ACCOUNTS, (_account(each) for each in accounts))


def bots_table(bots: Iterable[Bot]) -> str:
    """Return bots on accounts of one owner as a table. They come with their account read."""
    return _written(OF_BOTS, ({ACCOUNT: bot.account.name} | _row(OF_BOTS, bot, but=ACCOUNT) for bot in bots))


def _account(account: Account) -> dict[str, Any]:
    told = _row(OF_ACCOUNTS, account, but="promoted_from")
    told["promoted_from"] = account.promoted_from.name if account.promoted_from else None
    limits = getattr(account, "limits", None)
    if limits is not None:
        told |= {f"{OF_LIMITS}{name}": getattr(limits, name) for name in LimitsIn.model_fields}
    return told


def _row(kinds: Kinds, row: Any, *, but: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in kinds if name != but and not name.startswith(OF_LIMITS)}


def _written(kinds: Kinds, rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow(kinds)
    for row in rows:
        write.writerow([cells.kept(_cell(row[name])) if name in row else "" for name in kinds])
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a value as it stands in a cell: every digit of a decimal, and nothing that could be read as something else."""
    match value:
        case None | []:
            return NONE
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value.normalize():f}"
        case list():
            return json.dumps(value) if any(map(NEEDS_JSON.match, value)) else ", ".join(value)
        case _:
            return str(value)


# -- reading -------------------------------------------------------------------------------------------------------------


def table_read(text: str, name: str) -> Table:
    """Return what a table says that somebody calls `name`. Raises BadFile with every fault of its form at once."""
    lines = _lines(text, name)
    _, head = next(lines, (0, []))
    kinds = OF_BOTS if ACCOUNT in head else OF_ACCOUNTS
    if faults := list(_of_head(head, kinds)):
        raise BadFile(faults)
    rows = list(lines)
    if faults := [
        FileFault(f"line {at}", "has more cells than the first line") for at, row in rows if len(row) > len(head)
    ]:
        raise BadFile(faults)
    told = [(at, _values(head, row, kinds)) for at, row in rows]
    return _of_bots(told) if kinds is OF_BOTS else _of_accounts(told)


def by_line(fault: BadFile, lines: Mapping[str, int]) -> BadFile:
    """Return the faults of what a table said under the lines of its text."""
    return BadFile([_on_line(each, lines) for each in fault.faults])


def _on_line(fault: FileFault, lines: Mapping[str, int]) -> FileFault:
    parts = [part for part in lines if fault.path == part or fault.path.startswith((f"{part}.", f"{part}["))]
    if not parts:
        return fault
    part = max(parts, key=len)
    rest = fault.path.removeprefix(part).removeprefix(".")
    return FileFault(f"line {lines[part]}{f', {rest}' if rest else ''}", fault.wrong)


def _lines(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, each with its number in the text, cells without what was put before formulas."""
    text = text.removeprefix("\ufeff")
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count), strict=True)
    at = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            raise BadFile([FileFault(name, f"is no table at line {reader.line_num}: a quote is not closed")]) from None
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield at, [cells.read(cell).strip() for cell in row]
        at = reader.line_num + 1


def _of_head(head: list[str], kinds: Kinds) -> Iterator[FileFault]:
    if "name" not in head:
        yield FileFault("line 1", f"has to name the columns: {', '.join(list(kinds)[:4])} and others")
        return
    for name in head:
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=1)
            shown = name if NAME.fullmatch(name) else "…"  # it may be anything, also a secret
            yield FileFault(f"line 1, {shown}", f"is not known here{f'; did you mean {close[0]}?' if close else ''}")
        elif head.count(name) > 1:
            yield FileFault("line 1", f"has the column {name} twice")


def _values(head: list[str], row: list[str], kinds: Kinds) -> dict[str, Any]:
    return {name: _value(kinds[name], cell) for name, cell in zip(head, row, strict=False) if cell}


def _value(kind: Any, cell: str) -> Any:
    """Return a cell as what its column holds; as it is where it is none of that, for `file_check` to say so."""
    parts = get_args(kind) if NoneType in get_args(kind) else (kind,)
    a_list = get_origin(parts[0]) is list
    if cell == NONE and (a_list or NoneType in parts):
        return [] if a_list else None
    if a_list:
        return _list(cell)
    if bool in parts:
        return {"true": True, "false": False}.get(cell.lower(), cell)
    return int(cell) if int in parts and DIGITS.fullmatch(cell) else cell


def _list(cell: str) -> Any:
    if not cell.startswith("["):
        return [name.strip() for line in cell.splitlines() for name in line.split(",") if name.strip()]
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _of_accounts(told: list[tuple[int, dict[str, Any]]]) -> Table:
    accounts: list[dict[str, Any]] = []
    lines: dict[str, int] = {}
    for at, values in told:
        lines[path_of("accounts", len(accounts))] = at
        limits = {name.removeprefix(OF_LIMITS): value for name, value in values.items() if name.startswith(OF_LIMITS)}
        own = {name: value for name, value in values.items() if not name.startswith(OF_LIMITS)}
        accounts.append(own | ({"limits": limits} if limits else {}))
    return Table({"accounts": accounts}, lines)


def _of_bots(told: list[tuple[int, dict[str, Any]]]) -> Table:
    """Return bots under their accounts, of which nothing but the name is said."""
    accounts: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    if faults := [FileFault(f"line {at}, {ACCOUNT}", "is missing") for at, bot in told if ACCOUNT not in bot]:
        raise BadFile(faults)
    for at, bot in told:
        name = bot.pop(ACCOUNT)
        account = accounts.setdefault(name, {"name": name, "bots": []})
        path = path_of("accounts", list(accounts).index(name))
        lines.setdefault(path, at)
        lines[f"{path}.bots[{len(account['bots'])}]"] = at
        account["bots"].append(bot)
    return Table({"accounts": list(accounts.values())}, lines)
