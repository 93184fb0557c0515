"""How one environment variable is declared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vibex.lib.parsers import Parser


@dataclass(frozen=True, slots=True)
class Variable:
    """How one variable is read and explained."""

    parse: Parser
    help: str
    example: str
    default: str | Mapping[str, str] | None = None
    """Text as it would stand in the environment; by environment name where that matters; None leaves it unset."""
    secret: bool = False
    by_file: bool = False
    """Whether it may come from a file though it is no secret, beside one that is."""
    section: str = ""

    @property
    def has_file(self) -> bool:
        """Whether `NAME_FILE` may name a file that holds the value."""
        return self.secret or self.by_file

    def default_for(self, environment: str) -> str | None:
        if isinstance(self.default, Mapping):
            return self.default.get(environment)
        return self.default


def variable(parse: Parser, help: str, *, example: str, **more: Any) -> Any:
    return field(metadata={"variable": Variable(parse, help, example, **more)})
