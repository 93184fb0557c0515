"""A file of accounts as plain data. YAML is read narrowly, so that no text turns into something else on the way.

Of YAML 1.1 are left out: `yes` and `no` as truth, `0x…` as a number (an address would lose its digits), `1:30` and `010`
as numbers, dates, and names that stand twice.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from trading.services.load_accounts.faults import BadFile, FileFault

LARGEST: Final = 1_000_000
"""Bytes of a file that is still read."""
_PLAIN: Final = {
    "bool": (r"true|false", "tf"),
    "null": (r"~|null|", ["~", "n", ""]),
    "int": (r"[-+]?(?:0|[1-9][0-9]{0,40})", "-+0123456789"),
    "float": (r"[-+]?(?:0|[1-9][0-9]{0,40})\.[0-9]{1,40}", "-+0123456789"),
}


class _Narrow(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # none of the usual ones; those of _PLAIN follow below

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(name, deep=True) for name, _ in node.value]
        if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise yaml.constructor.ConstructorError(problem="twice", problem_mark=node.start_mark)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


def _decimal(loader: Any, node: Any) -> Decimal:
    return Decimal(loader.construct_scalar(node))


for _tag, (_pattern, _first) in _PLAIN.items():
    _Narrow.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))
_Narrow.add_constructor("tag:yaml.org,2002:float", _decimal)


def file_read(file: Path) -> Any:
    """Return what the file says. Raises BadFile that gives the line, never the text of it: a secret may stand there."""
    if not file.is_file():
        _refuse(file, "there is no such file")
    if file.stat().st_size > LARGEST:
        _refuse(file, f"is larger than {LARGEST:,} bytes: split it")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        _refuse(file, "is not UTF-8 text")
    return text_read(text, str(file), is_json=file.suffix.lower() == ".json")


def text_read(text: str, name: str, *, is_json: bool) -> Any:
    """Return what a text says that somebody calls `name`. Raises BadFile as `file_read` does."""
    try:
        return _json(text) if is_json else yaml.load(text, Loader=_Narrow)  # noqa: S506 - a SafeLoader
    except json.JSONDecodeError as error:
        _refuse(name, f"is not JSON at line {error.lineno}, column {error.colno}")
    except yaml.YAMLError as error:
        _refuse(name, _of_yaml(error))
    except RecursionError:
        _refuse(name, "is nested too deep")
    except ValueError as error:
        _refuse(name, f"cannot be read: {error}" if isinstance(error, _OfJson) else "holds a value that is none")


class _OfJson(ValueError):
    pass


def _json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise _OfJson("a name stands twice in one object")
        return dict(pairs)

    def constant(name: str) -> NoReturn:
        raise _OfJson(f"{name} is no number")

    return json.loads(text, parse_float=Decimal, parse_constant=constant, object_pairs_hook=unique)


def _of_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    if getattr(error, "problem", None) == "twice":
        return f"has a name twice, or one that is no text, in what begins{where}"
    return f"is not YAML{where}; text with special characters stands in quotes"


def _refuse(file: Path | str, wrong: str) -> NoReturn:
    raise BadFile([FileFault(str(file), wrong)]) from None
