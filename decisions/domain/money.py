"""What a call to a model may cost, before anybody says what it did."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Final

from decisions.domain.question import Prompt

CHARS_PER_TOKEN: Final = 2.35
"""Of prompts that are full of numbers, measured on recorded ones (research: llm.md 5.1); four would be 41 % too few."""
USUAL_COST: Final = Decimal("0.02")
"""US dollars that a call counts as where neither its cost nor a price is known."""
MILLION: Final = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    prompt: Decimal
    reply: Decimal


def tokens_in(text: str) -> int:
    """Return about how many tokens a text has."""
    return ceil(len(text) / CHARS_PER_TOKEN)


def tokens_of(prompt: Prompt) -> int:
    """Return about how many tokens both texts of a prompt have."""
    return tokens_in(prompt.system) + tokens_in(prompt.user)


def cost_of(price: Price | None, prompt_tokens: int, reply_tokens: int) -> Decimal:
    """Return US dollars with ten decimals; without a price, the usual cost of a call."""
    if price is None:
        return USUAL_COST
    return ((price.prompt * prompt_tokens + price.reply * reply_tokens) / MILLION).quantize(Decimal("1e-10"))
