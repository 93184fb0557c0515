"""Which limits a backtest runs under: those of a preset, of an account, or of a file."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from accounts.domain.limit_clashes import clashes
from accounts.domain.limit_presets import PRESETS
from accounts.domain.limits import DEFAULTS, Limits
from vibex.lib.errors import Rejected

SUFFIXES: Final = (".yaml", ".yml", ".json")


def limits_named(text: str) -> Limits:
    """Return the limits of a preset (careful, usual), of a file (.yaml, .json), or of an account by its name.

    Raises Rejected for a name of nothing, and for limits that cannot be read or contradict themselves.
    """
    if text in PRESETS:
        return PRESETS[text].limits
    if text.endswith(SUFFIXES):
        return limits_in(Path(text))
    return _of_account(text)


def limits_in(path: Path) -> Limits:
    """Return the limits of a file: names and values, what is left out as it usually is. Errors as `limits_named`."""
    from pydantic import ValidationError

    from trading.services.load_accounts.form import LimitsIn
    from trading.services.load_accounts.text import file_read

    try:
        given = LimitsIn.model_validate(file_read(path) or {})
    except ValidationError as fault:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'all of it'}: {one['msg']}" for one in fault.errors())
        raise Rejected(f"{path}: {wrong}.", code="limits") from None
    limits = replace(DEFAULTS, **{name: getattr(given, name) for name in given.model_fields_set})
    if found := clashes(limits):
        raise Rejected(f"{path}: " + " ".join(clash.text for clash in found), code="limits")
    return limits


def _of_account(name: str) -> Limits:
    from accounts.models import RiskLimits

    rows = list(RiskLimits.objects.filter(account__name=name)[:2])
    if len(rows) != 1:
        what = "There is no account" if not rows else "There is more than one account"
        presets = ", ".join(PRESETS)
        raise Rejected(f"{what} named {name!r}: limits are those of {presets}, a file or an account.", code="limits")
    return Limits(**{each.name: getattr(rows[0], each.name) for each in fields(Limits)})
