"""Records: frozen dataclasses that are made thousands of times a second.

`dataclass(frozen=True)` guards its fields while a program runs, and pays for that at every birth: it sets each field past its
own guard, which takes a record of fourteen fields three microseconds instead of half a one. The type checker guards these:
whoever assigns to a field of one does not get past mypy. They are equal, hashed and replaced as the others are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record[T](*, slots: bool = True) -> Callable[[type[T]], type[T]]:
    """Return what makes a class a record. Without slots it has room for what is worked out of it once."""
    return dataclass(slots=slots, unsafe_hash=True)
