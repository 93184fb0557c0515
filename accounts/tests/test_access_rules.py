"""The rules of getting in, without a database: scopes, the form of keys, when a code counts."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.domain.access import (
    RECOVERY_FORM,
    code_plain,
    digest_of,
    is_fresh,
    key_make,
    key_prefix,
    recovery_codes,
    scopes_of,
    step_of_code,
)

NOON = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)
STEP = int(NOON.timestamp()) // 30


def code_at(step: int) -> str:
    return f"{step % 1_000_000:06d}"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (["trade"], ("read", "trade")),
        (["admin"], ("read", "admin")),
        (["admin", "trade", "admin"], ("read", "trade", "admin")),
        (["read"], ("read",)),
    ],
)
def test_read_goes_with_each_scope_and_trade_and_admin_do_not_hold_one_another(asked, given):
    assert scopes_of(asked) == given


def test_a_scope_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="root"):
        scopes_of(["read", "root"])


def test_keys_differ_begin_with_what_may_be_shown_and_carry_256_bits():
    (first, key), (second, other) = key_make(), key_make()
    assert first != second
    assert key != other
    assert key.startswith(f"{first}_")
    assert key_prefix(key) == first
    assert len(first) == 12
    assert len(key.removeprefix(f"{first}_")) == 43


@pytest.mark.parametrize("text", ["", "vbx_abcdefgh", "vbx_abcdefgh_short", "vbx_ABCDEFGH_" + "a" * 43, "x" * 56])
def test_what_has_not_the_form_of_a_key_is_none(text):
    assert key_prefix(text) is None
    assert key_prefix("vbx_abcdefgh_" + "a" * 43 + "\n") is None


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_code_counts_within_one_step_to_either_side(off):
    assert step_of_code(code_at(STEP + off), at=NOON, last=0, code_at=code_at) == STEP + off


@pytest.mark.parametrize("off", [-2, 2])
def test_a_code_of_two_steps_away_does_not_count(off):
    assert step_of_code(code_at(STEP + off), at=NOON, last=0, code_at=code_at) is None


def test_a_code_counts_once_and_so_does_every_older_one():
    assert step_of_code(code_at(STEP), at=NOON, last=STEP, code_at=code_at) is None
    assert step_of_code(code_at(STEP - 1), at=NOON, last=STEP, code_at=code_at) is None
    assert step_of_code(code_at(STEP + 1), at=NOON, last=STEP, code_at=code_at) == STEP + 1


def test_recovery_codes_are_ten_different_ones_and_are_read_however_they_are_written():
    codes = recovery_codes()
    assert len(set(codes)) == 10
    assert all(RECOVERY_FORM.fullmatch(code_plain(code)) for code in codes)
    assert code_plain(codes[0].upper().replace("-", " ")) == code_plain(codes[0])
    assert code_plain(" 123 456 ") == "123456"


def test_a_digest_does_not_hold_the_secret():
    assert digest_of("vbx_secret") != digest_of("vbx_secreT")
    assert "secret" not in digest_of("vbx_secret")


def test_a_confirmation_is_fresh_for_so_many_minutes_and_no_longer():
    assert is_fresh(NOON, now=NOON + timedelta(minutes=14, seconds=59), minutes=15)
    assert not is_fresh(NOON, now=NOON + timedelta(minutes=15), minutes=15)
    assert not is_fresh(None, now=NOON, minutes=15)
