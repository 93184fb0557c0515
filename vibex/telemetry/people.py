"""E-mail addresses, which the masking of the log leaves: in what leaves the machine nobody is named."""

from __future__ import annotations

import re
from typing import Any, Final

from vibex.lib.masking import MASK

# What ends in figures is a version, vibex@0.2.0, and no address.
_MAIL: Final = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,63}\b")


def without_people(value: Any) -> Any:
    """Return plain data with the mail addresses in its texts masked; what comes of `mask_value` is plain."""
    if isinstance(value, str):
        return _MAIL.sub(MASK, value)
    if isinstance(value, dict):
        return {name: without_people(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_people(part) for part in value]
    return value
