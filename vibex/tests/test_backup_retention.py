"""Which backups are kept, and how they are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibex.backup.domain.names import Name, name_of
from vibex.backup.domain.retention import Keep, expired

OURS, THEIRS = "abcd", "wxyz"
START = datetime(2026, 1, 1, tzinfo=UTC)
times = st.integers(0, 400 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
names = st.lists(times, min_size=1, max_size=200, unique=True).map(lambda all_: [Name(OURS, at) for at in all_])
keeps = st.builds(Keep, st.integers(1, 30), st.integers(1, 20), st.integers(1, 10))


def kept_of(all_: list[Name], keep: Keep) -> set[Name]:
    return set(all_) - set(expired(all_, tag=OURS, keep=keep))


@given(names, keeps)
def test_the_newest_is_kept_and_no_more_than_was_asked_for(all_, keep):
    kept = kept_of(all_, keep)
    assert max(all_, key=lambda name: name.at) in kept
    assert len(kept) <= keep.hours + keep.days + keep.weeks


@given(names, keeps)
def test_what_was_kept_once_is_kept_again_when_nothing_is_new(all_, keep):
    kept = kept_of(all_, keep)
    assert kept_of(list(kept), keep) == kept


@given(names, keeps)
def test_each_of_the_newest_days_and_weeks_has_its_last_one(all_, keep):
    kept = kept_of(all_, keep)
    for span, count in ((datetime.date, keep.days), (lambda at: at.isocalendar()[:2], keep.weeks)):
        newest = sorted({span(name.at) for name in all_})[-count:]
        for each in newest:
            assert max((n for n in all_ if span(n.at) == each), key=lambda n: n.at) in kept


@given(names, names, keeps)
def test_those_of_another_installation_are_left_alone(ours, theirs, keep):
    others = [Name(THEIRS, name.at) for name in theirs]
    assert {name.tag for name in expired([*ours, *others], tag=OURS, keep=keep)} <= {OURS}


def test_a_quarter_of_hourly_backups_ends_with_24_hours_14_days_and_8_weeks():
    there: set[Name] = set()
    for hour in range(90 * 24):
        there.add(Name(OURS, START + timedelta(hours=hour, minutes=7)))
        there -= set(expired(there, tag=OURS))
        assert len(there) <= 46
    at = sorted(name.at for name in there)
    newest = at[-1]
    assert [newest - timedelta(hours=n) for n in range(24)] == at[-1:-25:-1]
    assert {(newest - timedelta(days=n)).date() for n in range(14)} <= {each.date() for each in at}
    assert len({each.isocalendar()[:2] for each in at}) == 8


def test_keeping_none_of_something_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Keep(hours=0)


@given(times)
def test_a_name_is_read_as_it_was_written(at):
    name = Name(OURS, at.replace(microsecond=0))
    assert {name_of(str(name)), name_of(f"{name}.dump.age"), name_of(name.manifest)} == {name}


@pytest.mark.parametrize(
    "file",
    ["", "vibex.sqlite3", "vibex-abcd-20261301T000000Z.json", "vibex-ab1d-20260101T000000Z", "my-vibex-abcd-20260101T000000Z",
     "vibex-abcd-20260101T000000Zjson", "vibex-abcd-20260101T000000", ".vibex-abcd-20260101T000000Z.part"],
)  # fmt: skip
def test_what_is_none_of_ours_has_no_name(file):
    assert name_of(file) is None
