"""The texts of a request that may be long: read one by one where somebody looks at them, never in lists."""

from typing import Final

LONG_TEXTS: Final = ("system_prompt", "user_prompt", "reply", "reasoning")
"""Columns of Interaction."""
