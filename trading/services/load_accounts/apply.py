"""What a file of accounts changes, and the change itself: all of it in one transaction, or nothing.

The difference is found by doing everything and taking it back, so what is shown has passed every check of the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.domain.credentials import Keys
from accounts.forms import OF_PAPER
from accounts.models import Account, Credentials, RiskLimits, User
from accounts.services import account_change, account_create, limits_change
from accounts.services.accounts import CHANGEABLE
from accounts.services.credentials import (
    credentials_faults,
    credentials_save,
    keys_of_row,
    kind_of,
    make_keys,
    public_part,
)
from trading.selectors.equity import equity_of
from trading.services.load_accounts.bots import bot_load
from trading.services.load_accounts.difference import Action, Difference, Item, created, differences, shown
from trading.services.load_accounts.faults import BadFile, FileFault, path_of
from trading.services.load_accounts.form import AccountIn, AccountsFile, CredentialsIn, LimitsIn
from vibex.lib.account_keys import FORMS, VENUES
from vibex.lib.env import BadEnvironment, secret_of
from vibex.lib.errors import NeedsOperator, Rejected
from vibex.lib.masking import register_secret

FIXED = ("venue", "mode", "network", "starting_balance")
NEW, STORED, CLOSED = "(new)", "(stored)", "(does not open)"
"""What is shown in place of a secret."""


def owner_of(email: str | None) -> User:
    """Return the person whose accounts are meant. Raises Rejected when that is nobody, or not said and not clear."""
    people = User.objects.filter(is_active=True)
    if email is not None:
        if (owner := people.filter(email__iexact=email).first()) is None:
            raise Rejected(f"There is nobody with the address {email}, or that person is switched off.", code="owner")
        return owner
    found = list(people.order_by("pk")[:2])
    if len(found) != 1:
        raise Rejected("Say whose accounts they are: --owner EMAIL.", code="owner")
    return found[0]


def accounts_load(
    *,
    given: AccountsFile,
    owner: User,
    write: bool,
    expected: tuple[Item, ...] | None = None,
    actor: User | None = None,
) -> tuple[Item, ...]:
    """Return what differs, and with `write` make it so. Raises BadFile with all faults; then nothing was written.

    With `expected`, what was shown before, it raises Rejected when something has changed in between.
    """
    load = _Load(owner, actor)
    with transaction.atomic():
        load.run(given)
        if load.faults:
            raise BadFile(load.faults)
        if expected is not None and tuple(load.items) != expected:
            raise Rejected(
                "Somebody has changed something since the difference was shown: start again.", code="conflict"
            )
        if not write:
            transaction.set_rollback(True)
    return tuple(load.items)


class _Load:
    """One pass over the file: everything is done, and what could not be is noted."""

    def __init__(self, owner: User, actor: User | None = None) -> None:
        self._owner, self._actor = owner, actor
        self._names: set[str] = set()
        self.items: list[Item] = []
        self.faults: list[FileFault] = []

    def run(self, given: AccountsFile) -> None:
        self._names = {account.name for account in given.accounts}
        numbered = list(enumerate(given.accounts))
        # Live accounts come after the paper accounts that they name.
        for at, account in sorted(numbered, key=lambda each: (each[1].promoted_from is not None, each[0])):
            self._load(account, path_of("accounts", at))

    def _load(self, given: AccountIn, path: str) -> None:
        account = self._account(given, path)
        if account is None:
            return
        self._limits(account, given, path)
        if given.credentials is not None:
            self._keys(account, given.credentials, f"{path}.credentials")
        for number, bot in enumerate(given.bots):
            where = f"{path}.bots[{number}]"
            with self._told(where):
                self._add(bot_load(account, bot, partial(self._fault, where), self._actor))

    def _account(self, given: AccountIn, path: str) -> Account | None:
        """Return the account as it is to be; one without a key when it could not be made; None when nothing follows."""
        known = Account.objects.filter(owner=self._owner, name=given.name).first()
        stated = {name: getattr(given, name) for name in (*FIXED, *CHANGEABLE) if name in given.model_fields_set}
        if known is not None:
            return self._known_account(known, given, stated, path)
        if given.venue not in (*VENUES, *OF_PAPER):
            self._fault(path, "venue", f"has to be one of {', '.join((*VENUES, *OF_PAPER))}")
            return None
        paper = self._paper_account(given, path)
        if given.promoted_from is not None and paper is None:
            return None
        values = {name: getattr(given, name) for name in (*FIXED, *CHANGEABLE)}
        account = Account(owner=self._owner, name=given.name, **values)
        with self._told(path):
            account = account_create(
                owner=self._owner, name=given.name, promoted_from=paper, actor=self._actor, **values
            )
            fields = created(values | {"promoted_from": given.promoted_from})
            self._add(Item("account", given.name, given.name, "create", fields))
        return account

    def _known_account(self, known: Account, given: AccountIn, stated: dict[str, Any], path: str) -> Account | None:
        """Change what may change of an account that is there. What is fixed and differs is a fault."""
        for name in [name for name in FIXED if name in stated and stated[name] != getattr(known, name)]:
            self._fixed(path, name, shown(getattr(known, name)))
        paper = known.promoted_from.name if known.promoted_from else None
        if "promoted_from" in given.model_fields_set and given.promoted_from != paper:
            self._fixed(path, "promoted_from", shown(paper))
        new = {name: value for name, value in stated.items() if name in CHANGEABLE}
        changed = differences({name: getattr(known, name) for name in new}, new)
        with self._told(path):
            if changed:
                account_change(account=known, actor=self._actor, **new)
            self._add(Item("account", known.name, known.name, "change" if changed else "unchanged", changed))
        return known

    def _paper_account(self, given: AccountIn, path: str) -> Account | None:
        if given.promoted_from is None:
            return None
        paper = Account.objects.filter(owner=self._owner, name=given.promoted_from).first()
        if paper is None:
            in_file = given.promoted_from in self._names
            why = "is no paper account, or could not be made" if in_file else f"is no account of {self._owner}"
            self._fault(path, "promoted_from", f"{given.promoted_from} {why}")
        return paper

    def _limits(self, account: Account, given: AccountIn, path: str) -> None:
        stated = {
            name: getattr(given.limits, name) for name in LimitsIn.model_fields if name in given.limits.model_fields_set
        }
        limits = RiskLimits.objects.filter(account_id=account.pk).first() or RiskLimits(account=account)
        changed = differences({name: getattr(limits, name) for name in stated}, stated)
        for name, value in stated.items():
            setattr(limits, name, value)
        with self._told(f"{path}.limits"):
            if account._state.adding:
                limits.full_clean(exclude=["account"])
            elif changed:
                limits_change(limits=limits, actor=self._actor, equity=equity_of(account.pk))
        if stated and not account._state.adding:
            self._add(Item("limits", account.name, "limits", "change" if changed else "unchanged", changed))

    def _keys(self, account: Account, given: CredentialsIn, path: str) -> None:
        parts = self._parts(given, path)
        if parts is None:
            return
        secret = {part.name for part in FORMS[given.kind].parts if part.secret}
        if faults := credentials_faults(account, given.kind, parts):
            for name, wrong in faults.items():
                self._fault(path, f"{name}_variable" if name in secret else name, wrong)
            return
        keys = make_keys(given.kind, parts)
        row = Credentials.objects.filter(account_id=account.pk).first()
        if not account._state.adding:
            with self._told(path):
                changed = _of_keys(row, account, keys)
                credentials_save(account=account, keys=keys, actor=self._actor)
                action: Action = "create" if row is None else "change" if changed else "unchanged"
                self._add(Item("keys", account.name, "keys", action, changed))

    def _parts(self, given: CredentialsIn, path: str) -> dict[str, str] | None:
        """Return the parts of the keys, secrets from their variables; None when one of these is not to be had."""
        parts: dict[str, str | None] = {}
        for part in FORMS[given.kind].parts:
            if not part.secret:
                parts[part.name] = getattr(given, part.name)
                continue
            where = f"{part.name}_variable"
            # Its name is not repeated: somebody may have written a secret that looks like one.
            try:
                parts[part.name] = secret_of(getattr(given, where))
            except BadEnvironment:
                self._fault(path, where, "names a variable whose file cannot be used")
            else:
                if (value := parts[part.name]) is None:
                    self._fault(path, where, "names a variable that is not set")
                else:
                    register_secret(value)
        found = {name: value for name, value in parts.items() if value is not None}
        return found if len(found) == len(FORMS[given.kind].parts) else None

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Note a refusal as faults of the fields that it names, and go on."""
        try:
            with transaction.atomic():
                yield
        except (Rejected, ValidationError) as refusal:
            cause = refusal.__cause__ if isinstance(refusal, Rejected) else refusal
            if isinstance(cause, ValidationError) and hasattr(cause, "error_dict"):
                for field, messages in cause.message_dict.items():
                    self._fault(path, "" if field == "__all__" else field, " ".join(messages))
            else:
                self._fault(path, "", str(refusal))

    def _add(self, item: Item | None) -> None:
        if item is not None:
            self.items.append(item)

    def _fixed(self, path: str, name: str, value: str) -> None:
        self._fault(path, name, f"was decided when the account was made: it is {value}. Make another account instead")

    def _fault(self, path: str, field: str, wrong: str) -> None:
        self.faults.append(FileFault(f"{path}.{field}" if field else path, wrong))


def _of_keys(row: Credentials | None, account: Account, keys: Keys) -> tuple[Difference, ...]:
    """Return what differs between the stored keys and others, without a secret."""
    public = public_part(keys)
    if row is None:
        return created({"kind": kind_of(keys), **public})
    try:
        old: dict[str, Any] = asdict(keys_of_row(row, account))
    except NeedsOperator:
        old = {}
    new = asdict(keys)
    hidden = [name for name in new if name not in public and old.get(name) != new[name]]
    kinds = differences({"kind": row.kind}, {"kind": kind_of(keys)})
    # A key is shown by its end, which may be the same for another one.
    seen = [name for name in public if old.get(name) != new[name]]
    return (
        *kinds,
        *(Difference(name, shown(row.public.get(name)), public[name]) for name in seen),
        *(Difference(name, STORED if old else CLOSED, NEW) for name in hidden),
    )
