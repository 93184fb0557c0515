"""Keys of live accounts: sealed, bound to their account, opened by the right key only, and masked once opened."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from accounts.domain.credentials import ApiKeys, AsterV1Keys, AsterV3Keys, Keys, WalletKeys
from accounts.models import Account, AuditEntry, Credentials, User
from accounts.services import account_create
from accounts.services.credentials import credentials_delete, credentials_reseal, credentials_save, keys_of
from tests.support.demo import person
from vibex.lib.account_keys import GivenKeys
from vibex.lib.errors import NeedsOperator, Rejected
from vibex.lib.masking import mask_text

pytestmark = pytest.mark.django_db
USER, SIGNER = "0x" + 20 * "a1", "0x" + 20 * "b2"
PRIVATE = "0x" + 32 * "c3"
V3 = AsterV3Keys(USER, SIGNER, PRIVATE)
V1 = AsterV1Keys("key-of-sixteen-or-more", "the-secret-of-it")
BINANCE = ApiKeys("binance-key-0123456789", "binance-secret-987")
WALLET = WalletKeys(USER, "0x" + 32 * "d4")
OF_VENUE = [("aster", V3), ("aster", V1), ("binance_usdm", BINANCE), ("hyperliquid", WALLET)]


@pytest.fixture
def owner() -> User:
    return person()


def live(owner: User, name: str = "main", venue: str = "aster", **more: Any) -> Account:
    return account_create(owner=owner, name=name, venue=venue, mode="live", network="testnet", **more)


def given(settings: Any, *whose: tuple[str, str], kind: str = "aster_v1", **parts: str) -> None:
    parts = parts or {"key": "key-from-variables", "secret": "secret-from-variables"}
    settings.ACCOUNT_KEYS = dict.fromkeys(whose, GivenKeys(kind, parts))


@pytest.mark.parametrize(("venue", "keys"), OF_VENUE)
def test_what_is_saved_is_what_an_account_signs_with(owner: User, venue: str, keys: Keys) -> None:
    account = live(owner, venue=venue)
    credentials_save(account=account, keys=keys, actor=owner)
    assert keys_of(account) == keys


@pytest.mark.parametrize(("venue", "keys"), OF_VENUE)
def test_no_secret_stands_in_the_database_or_the_audit_trail(owner: User, venue: str, keys: Keys) -> None:
    row = credentials_save(account=live(owner, venue=venue), keys=keys, actor=owner)
    written = row.sealed + json.dumps(row.public) + str(list(AuditEntry.objects.values()))
    for name in ("private_key", "secret", "key"):
        secret = getattr(keys, name, None)
        assert secret is None or secret.removeprefix("0x") not in written
    assert AuditEntry.objects.get(action="credentials-save").actor == owner


def test_what_may_be_shown_are_addresses_and_the_end_of_a_long_key(owner: User) -> None:
    account = live(owner)
    assert credentials_save(account=account, keys=V3, actor=owner).public == {"user": USER, "signer": SIGNER}
    assert credentials_save(account=account, keys=V1, actor=owner).public == {"key": "…more"}
    assert credentials_save(account=account, keys=AsterV1Keys("short", "secret"), actor=owner).public == {"key": "…"}
    assert Credentials.objects.count() == 1


def test_the_same_keys_again_are_no_change(owner: User) -> None:
    account = live(owner)
    for _ in range(2):
        credentials_save(account=account, keys=V3, actor=owner)
    assert AuditEntry.objects.filter(action="credentials-save").count() == 1


def test_a_private_key_is_one_key_with_and_without_0x(owner: User) -> None:
    account = live(owner)
    credentials_save(account=account, keys=AsterV3Keys(USER, SIGNER, 32 * "C3"), actor=owner)
    assert keys_of(account) == V3


@pytest.mark.parametrize(
    ("venue", "keys", "says"),
    [
        ("aster", BINANCE, "aster_v3"),
        ("hyperliquid", V3, "wallet"),
        ("binance_usdm", V1, "api_key"),
        ("aster", AsterV3Keys("0x12", SIGNER, PRIVATE), "user: must be an address"),
        ("aster", AsterV3Keys(USER, PRIVATE, SIGNER), "private_key: must be a private key"),
        ("aster", AsterV1Keys("", "secret-of-nothing"), "key: is missing"),
        ("aster", AsterV1Keys("two words", "secret-of-nothing"), "key: must be one word"),
    ],
)
def test_keys_of_another_venue_or_form_are_refused_without_being_shown(
    owner: User, venue: str, keys: Keys, says: str
) -> None:
    with pytest.raises(Rejected, match=says) as refused:
        credentials_save(account=live(owner, venue=venue), keys=keys, actor=owner)
    assert PRIVATE not in str(refused.value)
    assert not Credentials.objects.exists()


@pytest.mark.parametrize(("venue", "keys"), OF_VENUE)
def test_two_accounts_never_share_a_wallet_or_key(owner: User, venue: str, keys: Keys) -> None:
    first, second = live(owner, venue=venue), live(owner, "second", venue)
    row = credentials_save(account=first, keys=keys, actor=owner)
    with pytest.raises(Rejected, match=f"is that of main of {owner} already") as refused:
        credentials_save(account=second, keys=keys, actor=owner)
    for name in ("private_key", "secret", "key"):
        assert getattr(keys, name, PRIVATE).removeprefix("0x") not in str(refused.value)
    credentials_delete(credentials=row, actor=owner)
    credentials_save(account=second, keys=keys, actor=owner)


def test_an_address_is_the_same_wallet_however_it_is_written_but_on_the_mainnet_it_is_another_one(owner: User) -> None:
    credentials_save(account=live(owner), keys=V3, actor=owner)
    capitals = AsterV3Keys("0x" + USER[2:].upper(), SIGNER, PRIVATE)
    with pytest.raises(Rejected, match="user: is that of main"):
        credentials_save(account=live(owner, "second"), keys=capitals, actor=owner)
    paper = account_create(owner=owner, name="paper", venue="aster")
    real = account_create(owner=owner, name="real", venue="aster", mode="live", promoted_from=paper)
    credentials_save(account=real, keys=capitals, actor=owner)


def test_a_paper_account_has_no_keys(owner: User, settings: Any) -> None:
    paper = account_create(owner=owner, name="main", venue="aster")
    given(settings, ("aster", "MAIN"), ("aster", ""))
    with pytest.raises(Rejected, match="paper"):
        credentials_save(account=paper, keys=V3, actor=owner)
    with pytest.raises(NeedsOperator, match="paper"):
        keys_of(paper)


def test_a_row_copied_to_another_account_does_not_open(owner: User) -> None:
    mine, other = live(owner, "mine"), live(owner, "other")
    row = credentials_save(account=mine, keys=V3, actor=owner)
    Credentials.objects.create(account=other, kind=row.kind, public=row.public, sealed=row.sealed)
    with pytest.raises(NeedsOperator, match="copied"):
        keys_of(other)
    assert keys_of(mine) == V3


def test_a_row_whose_kind_was_changed_does_not_open(owner: User) -> None:
    account = live(owner)
    credentials_save(account=account, keys=V3, actor=owner)
    Credentials.objects.update(kind="aster_v1")
    with pytest.raises(NeedsOperator):
        keys_of(account)


@pytest.mark.parametrize("sealed", ["", "nonsense", "gAAAAABm"])
def test_a_damaged_row_needs_a_person(owner: User, sealed: str) -> None:
    account = live(owner)
    credentials_save(account=account, keys=V3, actor=owner)
    Credentials.objects.update(sealed=sealed)
    with pytest.raises(NeedsOperator, match="enter the keys anew"):
        keys_of(account)
    credentials_save(account=account, keys=V1, actor=owner)
    assert keys_of(account) == V1


def test_another_sealing_key_opens_nothing_and_never_falls_back_to_variables(owner: User, settings: Any) -> None:
    account = live(owner)
    credentials_save(account=account, keys=V3, actor=owner)
    given(settings, ("aster", "MAIN"))
    settings.CREDENTIALS_KEYS = (Fernet.generate_key().decode(),)
    with pytest.raises(NeedsOperator, match="CREDENTIALS_KEY"):
        keys_of(account)


# --- variables


def test_the_row_goes_before_the_variables_and_its_end_gives_way_to_them(owner: User, settings: Any) -> None:
    account = live(owner)
    given(settings, ("aster", "MAIN"))
    row = credentials_save(account=account, keys=V3, actor=owner)
    assert keys_of(account) == V3
    credentials_delete(credentials=row, actor=owner)
    assert keys_of(account) == AsterV1Keys("key-from-variables", "secret-from-variables")
    assert AuditEntry.objects.get(action="credentials-delete").before["account"] == account.pk


def test_without_keys_it_is_said_which_variables_to_set(owner: User) -> None:
    with pytest.raises(NeedsOperator) as told:
        keys_of(live(owner, "grid-2"))
    for name in ("ASTERDEX_USER_GRID_2", "ASTERDEX_PRIVATE_KEY_GRID_2", "ASTERDEX_API_SECRET_GRID_2", "admin"):
        assert name in str(told.value)


def test_variables_without_a_name_belong_to_the_only_live_account_of_aster(owner: User, settings: Any) -> None:
    first = live(owner, "first")
    live(owner, "elsewhere", "binance_usdm")
    account_create(owner=owner, name="paper", venue="aster")
    given(settings, ("aster", ""))
    assert keys_of(first) == AsterV1Keys("key-from-variables", "secret-from-variables")
    second = live(owner, "second")
    for account in (first, second):
        with pytest.raises(NeedsOperator, match=f"ASTERDEX_API_KEY_{account.name.upper()}"):
            keys_of(account)


def test_variables_of_another_venue_are_not_taken(owner: User, settings: Any) -> None:
    given(settings, ("binance_usdm", "MAIN"), kind="api_key")
    with pytest.raises(NeedsOperator):
        keys_of(live(owner))


def test_accounts_whose_names_fall_together_get_nothing_from_variables(owner: User, settings: Any) -> None:
    one, other = live(owner, "grid-2"), live(person("other@vibex.local"), "grid_2")
    given(settings, ("aster", "GRID_2"))
    for account in (one, other):
        with pytest.raises(NeedsOperator, match="rename one"):
            keys_of(account)
    credentials_save(account=one, keys=V3, actor=owner)
    assert keys_of(one) == V3
    with pytest.raises(NeedsOperator, match="rename one"):
        keys_of(other)  # the variables may have been meant for the first


@pytest.mark.parametrize("name", ["file", "main-file"])
def test_a_name_that_reads_like_a_file_gets_nothing_from_variables(owner: User, settings: Any, name: str) -> None:
    given(settings, ("aster", "FILE"), ("aster", "MAIN_FILE"), ("aster", ""))
    with pytest.raises(NeedsOperator, match="files"):
        keys_of(live(owner, name))


# --- masking


@pytest.mark.parametrize("sealed", [True, False])
def test_an_opened_secret_is_masked_from_then_on(owner: User, settings: Any, sealed: bool) -> None:
    secret = f"never-seen-before-{sealed}"
    account = live(owner)
    if sealed:
        credentials_save(account=account, keys=AsterV1Keys(f"key-{secret}", secret), actor=owner)
    else:
        given(settings, ("aster", "MAIN"), key=f"key-{secret}", secret=secret)
    keys_of(account)
    assert secret not in mask_text(f"the venue said: {secret} is unknown")
    assert secret not in repr(keys_of(account))


def test_no_log_line_holds_a_secret(owner: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    account = live(owner)
    credentials_save(account=account, keys=V1, actor=owner)
    keys_of(account)
    assert V1.secret not in caplog.text


# --- rotation


def rotate(*arguments: str) -> str:
    said = StringIO()
    call_command("rotate_credentials_key", *arguments, stdout=said)
    assert "\n\n" not in said.getvalue()
    return said.getvalue()


@pytest.fixture
def two(owner: User) -> list[Account]:
    accounts = [live(owner, "one"), live(owner, "two")]
    for account, wallet in zip(accounts, (USER, SIGNER), strict=True):
        credentials_save(account=account, keys=replace(V3, user=wallet), actor=owner)
    return accounts


def test_rotation_seals_everything_anew_so_that_the_old_key_can_go(two: list[Account], settings: Any) -> None:
    new = Fernet.generate_key().decode()
    settings.CREDENTIALS_KEYS = (new, *settings.CREDENTIALS_KEYS)
    before = set(Credentials.objects.values_list("sealed", flat=True))
    assert "2 would be sealed" in rotate("--dry-run")
    assert set(Credentials.objects.values_list("sealed", flat=True)) == before
    assert "2 sealed with the newest key, 0 were" in rotate()
    settings.CREDENTIALS_KEYS = (new,)
    assert [keys_of(account) for account in two] == [V3, replace(V3, user=SIGNER)]
    assert "0 sealed with the newest key, 2 were" in rotate()
    resealed = AuditEntry.objects.filter(action="credentials-reseal")
    assert {entry.account_id for entry in resealed} == {account.pk for account in two}
    assert resealed.count() == 2


def test_rotation_goes_on_where_it_was_left(two: list[Account], owner: User, settings: Any) -> None:
    new = Fernet.generate_key().decode()
    settings.CREDENTIALS_KEYS = (new, *settings.CREDENTIALS_KEYS)
    credentials_save(account=two[0], keys=V1, actor=owner)  # sealed with the new key already
    done = credentials_reseal()
    assert (len(done.resealed), len(done.unchanged)) == (1, 1)


def test_rotation_writes_nothing_and_names_what_no_key_opens(two: list[Account], settings: Any) -> None:
    Credentials.objects.filter(account=two[1]).update(sealed=Fernet(Fernet.generate_key()).encrypt(b"{}").decode())
    settings.CREDENTIALS_KEYS = (Fernet.generate_key().decode(), *settings.CREDENTIALS_KEYS)
    before = list(Credentials.objects.order_by("pk").values_list("sealed", flat=True))
    with pytest.raises(CommandError, match=r"two of operator@vibex\.local") as refused:
        rotate()
    assert "one of" not in str(refused.value)
    assert list(Credentials.objects.order_by("pk").values_list("sealed", flat=True)) == before


# --- accounts that may be live


def test_a_live_account_on_mainnet_follows_from_a_paper_one_of_its_owner_and_venue(owner: User) -> None:
    paper = account_create(owner=owner, name="paper", venue="aster")
    account = account_create(owner=owner, name="real", venue="aster", mode="live", promoted_from=paper)
    assert (account.live, account.real, account.badge) == (True, True, "live")


@pytest.mark.parametrize("wrong", ["none", "of another", "elsewhere", "live", "testnet"])
def test_a_live_account_on_mainnet_is_refused_without_the_right_paper_account(owner: User, wrong: str) -> None:
    papers = {
        "none": lambda: None,
        "of another": lambda: account_create(owner=person("b@vibex.local"), name="p", venue="aster"),
        "elsewhere": lambda: account_create(owner=owner, name="p", venue="sim"),
        "live": lambda: live(owner, "p"),
        "testnet": lambda: account_create(owner=owner, name="p", venue="aster", network="testnet"),
    }
    paper = papers[wrong]()
    with pytest.raises(Rejected, match="paper account"):
        account_create(owner=owner, name="real", venue="aster", mode="live", promoted_from=paper)
    assert not Account.objects.filter(name="real").exists()


def test_no_account_is_live_where_there_is_no_money(owner: User) -> None:
    with pytest.raises(Rejected, match="aster, binance_usdm, hyperliquid"):
        live(owner, venue="sim")
