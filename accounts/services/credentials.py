"""The keys of live accounts: sealed in the database, or in variables. What is opened is masked in every log from then on.

What is sealed names its account and kind, so a row that was copied to another account does not open there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.domain.credentials import ApiKeys, AsterV1Keys, AsterV3Keys, Keys, WalletKeys
from accounts.models import Account, AlertChannel, Credentials, SecondFactor
from accounts.services.alerts.channels import channel_url
from accounts.services.audit import Actor, audit_write
from accounts.services.sealing import all_keys, newest_key, opened, resealed, sealed
from vibex.lib.account_keys import FORMS, KeyForm, ends_like_a_file, forms_of, suffix_of
from vibex.lib.errors import NeedsOperator, Rejected
from vibex.lib.masking import register_secret

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEYS_OF_KIND: Mapping[str, type[Keys]] = {
    Credentials.Kind.ASTER_V3: AsterV3Keys,
    Credentials.Kind.ASTER_V1: AsterV1Keys,
    Credentials.Kind.API_KEY: ApiKeys,
    Credentials.Kind.WALLET: WalletKeys,
}
type Sealed = Credentials | AlertChannel | SecondFactor
RESEALED: Mapping[type[Sealed], str] = {
    Credentials: "credentials-reseal",
    AlertChannel: "alert-channel-reseal",
    SecondFactor: "second-factor-reseal",
}
SHOWN_FROM = 16
"""Of a key that is at least so long the last four characters are shown; of a shorter one none."""

WHOSE = ("user", "address", "key")
"""Parts that say whose money it is."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """What became of all rows when the sealing key was changed."""

    resealed: tuple[str, ...] = ()
    """Accounts, channels and second factors that an older key had sealed."""
    unchanged: tuple[str, ...] = ()
    """Those that the newest key had sealed already."""
    closed: tuple[str, ...] = ()
    """Those whose row no key opens."""


def keys_of(account: Account, *, stored: bool = True) -> Keys:
    """Return what a live account signs with: from its row, else from its variables.

    `stored`: False where it is known that there is no row, which is then not looked for.
    Raises NeedsOperator that says what to enter or set, or that the row does not open.
    """
    if not account.live:
        raise NeedsOperator(f"{account.name} trades on paper and has no keys.")
    row = Credentials.objects.filter(account=account).first() if stored else None
    keys = keys_of_row(row, account) if row else _from_variables(account)
    _mask(keys)
    return keys


def credentials_save(*, account: Account, keys: Keys, actor: Actor) -> Credentials:
    """Seal the keys of a live account, in place of those it has.

    Raises Rejected for a paper account, for keys of another venue and for keys of an impossible form.
    """
    _mask(keys)
    kind = kind_of(keys)
    if faults := credentials_faults(account, kind, asdict(keys)):
        raise Rejected(" ".join(f"{part}: {fault}." if part else fault for part, fault in faults.items()), code="keys")
    keys = make_keys(kind, asdict(keys))
    with transaction.atomic():
        # The account's row queues two people who enter the first keys at once.
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        row = Credentials.objects.filter(account=account).first()
        if row and _same(row, account, keys):
            return row
        before = {} if row is None else {"kind": row.kind, "public": row.public}
        row = row or Credentials(account=account)
        row.kind, row.public = kind, public_part(keys)
        row.sealed = sealed({"account": account.pk, "kind": kind, "keys": asdict(keys)})
        row.updated, row.updated_by = timezone.now(), actor
        row.save()
        after = {"kind": row.kind, "public": row.public}
        audit_write(actor=actor, action="credentials-save", obj=row, before=before, after=after)
    return row


def credentials_delete(*, credentials: Credentials, actor: Actor) -> None:
    """Take the keys of an account out of the database. It then looks for them in its variables."""
    with transaction.atomic():
        before = {"kind": credentials.kind, "public": credentials.public, "account": credentials.account_id}
        audit_write(actor=actor, action="credentials-delete", obj=credentials, before=before)
        credentials.delete()


def credentials_reseal(*, actor: Actor = None, dry_run: bool = False) -> Resealed:
    """Seal every row with the newest key: keys of accounts, addresses that alerts are sent to, second factors of people.

    When a row opens with no key, nothing is written and the result names it.
    """
    newest, every = newest_key(), all_keys()
    found: dict[str, list[str]] = {"resealed": [], "unchanged": [], "closed": []}
    old: list[Sealed] = []
    with transaction.atomic():
        for row in _sealed_rows():
            if _content(row, every) is None:
                found["closed"].append(_whose(row))
            elif _content(row, newest) is None:
                found["resealed"].append(_whose(row))
                old.append(row)
            else:
                found["unchanged"].append(_whose(row))
        if not (dry_run or found["closed"]):
            for row in old:
                row.sealed = resealed(row.sealed)
                row.save(update_fields=["sealed"])
                audit_write(actor=actor, action=RESEALED[type(row)], obj=row)
    return Resealed(*(tuple(found[name]) for name in ("resealed", "unchanged", "closed")))


def _sealed_rows() -> Iterator[Sealed]:
    yield from Credentials.objects.select_for_update(of=("self",)).select_related("account__owner").order_by("pk")
    yield from AlertChannel.objects.select_for_update(of=("self",)).select_related("user").order_by("pk")
    yield from SecondFactor.objects.select_for_update(of=("self",)).select_related("user").order_by("pk")


def _content(row: Sealed, keys: MultiFernet) -> object:
    """Return what a row holds; None when it does not open."""
    match row:
        case Credentials():
            return _opened(row, keys)
        case AlertChannel():
            return channel_url(row, keys)
        case SecondFactor():
            return opened(row.sealed, keys)


def _whose(row: Sealed) -> str:
    match row:
        case Credentials():
            return f"{row.account.name} of {row.account.owner}"
        case AlertChannel():
            return f"channel {row.name} of {row.user}"
        case SecondFactor():
            return f"second factor of {row.user}"


def credentials_faults(account: Account, kind: str, parts: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with the parts of an account's keys, by part; under "" what concerns them all."""
    if not account.live:
        return {"": "Only a live account has keys; this one trades on paper."}
    form = FORMS.get(kind)
    if form is None or form.venue != account.venue:
        fitting = " or ".join(f"{each.kind} ({each.title})" for each in forms_of(account.venue))
        return {
            "": f"Keys of the kind {kind} are not for {account.venue}: "
            + (f"use {fitting}." if fitting else "none are.")
        }
    wrong = {part: wrong for part, wrong in _part_faults(form, parts).items() if wrong}
    return wrong or _taken(account, form, parts)


def kind_of(keys: Keys) -> str:
    """Return the kind under which keys are stored."""
    return next(kind for kind, made in KEYS_OF_KIND.items() if isinstance(keys, made))


def make_keys(kind: str, parts: Mapping[str, str]) -> Keys:
    """Return the keys that parts of the right form make."""
    return KEYS_OF_KIND[kind](**{part.name: part.parse(parts[part.name]) for part in FORMS[kind].parts})


def public_part(keys: Keys) -> dict[str, str]:
    """Return what may be shown of keys: addresses, and the end of a key that is long enough."""
    parts = asdict(keys)
    shown = {part.name: parts[part.name] for part in FORMS[kind_of(keys)].parts if not part.secret}
    if "key" in parts:
        shown["key"] = "…" + (parts["key"][-4:] if len(parts["key"]) >= SHOWN_FROM else "")
    return shown


def keys_of_row(row: Credentials, account: Account) -> Keys:
    """Return the keys of a row. Raises NeedsOperator for one that does not open, or is another account's."""
    content = _opened(row, all_keys())
    if content is None or row.account_id != account.pk:
        raise NeedsOperator(
            f"The keys of {account.name} in the database do not open: CREDENTIALS_KEY is not the one that sealed them, or the "
            "row was copied from another account. Add the right key to CREDENTIALS_KEY, or enter the keys anew in the admin."
        )
    keys = make_keys(row.kind, content)
    _mask(keys)
    return keys


def _part_faults(form: KeyForm, parts: Mapping[str, str]) -> dict[str, str]:
    return {part.name: _fault(part.parse, parts.get(part.name, "")) for part in form.parts}


def _taken(account: Account, form: KeyForm, parts: Mapping[str, str]) -> dict[str, str]:
    """Return the fault of a wallet or key that another live account has: each would take the other's positions for foreign."""
    name = next(part.name for part in form.parts if part.name in WHOSE)
    rows = Credentials.objects.filter(account__venue=account.venue, account__network=account.network, kind=form.kind)
    for row in rows.exclude(account_id=account.pk).select_related("account__owner"):
        theirs = row.public if name != "key" else _opened(row, all_keys()) or {}
        if theirs.get(name, "").casefold() == parts[name].casefold():
            # Whose accounts there are is nobody else's business.
            mine = row.account.owner_id == account.owner_id
            whose = f"{row.account.name} of {row.account.owner}" if mine else "another person's account"
            return {name: f"is that of {whose} already. Two accounts never share one: take its keys out there first"}
    return {}


def _fault(parse: Any, value: str) -> str:
    if not value:
        return "is missing"
    try:
        parse(value)
    except ValueError as wrong:
        return str(wrong)
    return ""


def _same(row: Credentials, account: Account, keys: Keys) -> bool:
    try:
        return keys_of_row(row, account) == keys
    except NeedsOperator:
        return False  # what does not open is replaced


def _opened(row: Credentials, keys: MultiFernet) -> dict[str, str] | None:
    """Return the parts of the keys in a row; None when it does not open, or names another account or kind."""
    content = opened(row.sealed, keys)
    if content is None or (content.get("account"), content.get("kind")) != (row.account_id, row.kind):
        return None
    parts: dict[str, str] = content["keys"]
    return parts


def _mask(keys: Keys) -> None:
    parts = asdict(keys)
    for part in FORMS[kind_of(keys)].parts:
        if part.secret:
            # Without 0x, so that a private key is found in both spellings.
            register_secret(parts[part.name].removeprefix("0x"))


def _from_variables(account: Account) -> Keys:
    suffix = suffix_of(account.name)
    live = Account.objects.filter(mode=Account.Mode.LIVE, venue=account.venue).select_related("owner").order_by("pk")
    others = [other for other in live if other.pk != account.pk]
    if ends_like_a_file(suffix):
        raise NeedsOperator(
            f"The live account {account.name} has no keys, and with its name variables would be read as names of files: "
            f"enter its keys in the admin, on the page of the account."
        )
    if sharing := [other for other in others if suffix_of(other.name) == suffix]:
        names = ", ".join(f"{other.name} of {other.owner}" for other in sharing)
        raise NeedsOperator(
            f"The live account {account.name} has no keys, and its variables would end with {suffix}, as those of {names}: "
            "enter its keys in the admin, on the page of the account, or rename one."
        )
    given = settings.ACCOUNT_KEYS.get((account.venue, suffix))
    if given is None and not others:
        given = settings.ACCOUNT_KEYS.get((account.venue, ""))
    if given is None:
        raise NeedsOperator(f"The live account {account.name} has no keys: {_what_to_do(account, suffix)}")
    return make_keys(given.kind, given.parts)


def _what_to_do(account: Account, suffix: str) -> str:
    choices = [", ".join(form.variables(suffix)) for form in forms_of(account.venue)]
    if not choices:
        return f"there are no live accounts at {account.venue}."
    return f"enter them in the admin, on the page of the account, or set {' (or '.join(choices)}{')' * (len(choices) - 1)} and restart."
