"""Replies kept in the data folder, so that the same prompt need not be paid for twice while something is developed.

Only where LLM_REPLY_CACHE is set, which production refuses. The decision's id differs in each prompt: it is left out of
the key, and the kept reply gets the new one. Nothing else of a reply is ever changed, and one that was kept is marked.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from django.conf import settings

PLACE: Final = "reply-cache"
STANDS_FOR: Final = "{{decision_id}}"


def kept_reply(base_url: str, body: dict[str, Any], decision_id: str) -> bytes | None:
    """Return the body of an earlier reply to the same prompt with the same parameters, None where there is none."""
    if not _is_on():
        return None
    try:
        kept = _place(base_url, body, decision_id).read_bytes()
    except OSError:
        return None
    return kept.replace(STANDS_FOR.encode(), decision_id.encode())


def reply_keep(base_url: str, body: dict[str, Any], decision_id: str, raw: bytes) -> None:
    """Keep the body of a usable reply."""
    if not _is_on() or STANDS_FOR.encode() in raw:
        return
    place = _place(base_url, body, decision_id)
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_suffix(".new")
    new.write_bytes(raw.replace(decision_id.encode(), STANDS_FOR.encode()))
    new.replace(place)


def _is_on() -> bool:
    return bool(settings.LLM_REPLY_CACHE) and settings.VIBEX_ENV != "prod"


def _place(base_url: str, body: dict[str, Any], decision_id: str) -> Path:
    said = json.dumps([base_url, body], sort_keys=True).replace(decision_id, STANDS_FOR)
    return Path(settings.VIBEX_DATA_DIR) / PLACE / f"{sha256(said.encode()).hexdigest()}.json"
