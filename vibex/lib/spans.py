"""Stretches of work for whoever draws traces. Nobody does unless `vibex.telemetry` says so: then this costs one comparison."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Drawer(Protocol):
    """Draws spans somewhere."""

    def span(self, name: str, attributes: dict[str, str | int]) -> AbstractContextManager[None]:
        """Draw the block."""
        ...

    def step(self, name: str) -> None:
        """Let the span of now go on with a step of this name; the one before it is over."""
        ...

    def note(self, attributes: dict[str, str | int]) -> None:
        """Add to what is told of the span of now."""
        ...


_drawers: list[Drawer] = []


def draw_with(drawer: Drawer | None) -> None:
    """Let everything from now on be drawn by `drawer`; by nobody with None."""
    _drawers[:] = [] if drawer is None else [drawer]


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """Draw the block as one stretch. Attributes are names and numbers of rows, never what people or models said."""
    if not _drawers:
        yield
        return
    with _drawers[0].span(name, attributes):
        yield


def note(**attributes: str | int) -> None:
    """Add to what is told of the stretch of now. Nothing happens outside of one."""
    if _drawers:
        _drawers[0].note(attributes)


def step(name: str) -> None:
    """Say that the stretch of now has come to the step `name`. Nothing happens outside of one."""
    if _drawers:
        _drawers[0].step(name)
