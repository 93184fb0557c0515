"""Records are what frozen dataclasses are to whoever reads them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import pytest

from vibex.lib.records import record


@record()
class Made:
    name: str
    size: int = 1
    tags: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    size: int = 1
    tags: tuple[str, ...] = field(default_factory=tuple)


@record(slots=False)
class Counted:
    size: int

    @cached_property
    def double(self) -> int:
        return 2 * self.size


def test_a_record_is_told_and_compared_by_its_fields():
    assert Made("a") == Made("a", 1, ()) != Made("a", 2)
    assert {Made("a"): 1}[Made("a")] == 1
    assert repr(Made("a")) == repr(Frozen("a")).replace("Frozen", "Made")
    assert [each.name for each in fields(Made)] == [each.name for each in fields(Frozen)]


def test_a_record_is_replaced_and_not_changed():
    made = Made("a", tags=("x",))
    assert replace(made, size=3) == Made("a", 3, ("x",))
    assert made.size == 1


def test_a_record_has_no_room_for_what_is_no_field():
    with pytest.raises(AttributeError):
        Made("a").sise = 2  # type: ignore[attr-defined]


def test_without_slots_it_keeps_what_is_worked_out_once_and_a_copy_works_it_out_anew():
    counted = Counted(2)
    assert counted.double is counted.double == 4
    assert replace(counted, size=5).double == 10
