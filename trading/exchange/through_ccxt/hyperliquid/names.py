"""Client ids at Hyperliquid. Ours are text; the venue takes 128 bits ("cloid") and calls an order by its number besides.

`vx` + mark of the installation + UUID becomes the bits of the UUID, its six fixed ones replaced by a check of the
mark. So an id of ours is known again from the bits alone, and what others chose is taken for ours in one of 64 cases,
in which nobody here knows the order anyway. Any other text becomes 128 bits of its digest, and its way back is only
remembered. What others placed is called by its cloid, or `oid:` and its number.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from binascii import Error
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

OURS: Final = re.compile(r"vx([a-z0-9]{4})([a-z2-7]{26})")
CLOID: Final = re.compile(r"0x[0-9a-f]{32}")
NUMBER: Final = re.compile(r"oid:([0-9]{1,16})")
KEPT: Final = 20_000
VERSION, VARIANT = 6, 8
"""The bytes of a UUID that hold its fixed bits: four of the first, two of the second."""


class Names:
    """Both ways between our client ids and the venue's. Safe from several threads.

    `mark` returns the four characters of this installation.
    """

    def __init__(self, mark: Callable[[], str]) -> None:
        self._mark = mark
        self._lock = threading.Lock()
        self._cloids: OrderedDict[str, str] = OrderedDict()
        self._numbers: OrderedDict[str, str] = OrderedDict()

    def cloid(self, client_order_id: str) -> str | None:
        """Return what the venue knows an order of this id by; None for one that it knows by its number only."""
        if NUMBER.fullmatch(client_order_id):
            return None
        if CLOID.fullmatch(client_order_id):
            return client_order_id
        raw = _packed(client_order_id)
        if raw is None:
            raw = hashlib.blake2b(client_order_id.encode(), digest_size=16).digest()
        cloid = f"0x{raw.hex()}"
        self._keep(self._cloids, cloid, client_order_id)
        return cloid

    def asked(self, client_order_id: str) -> str | int:
        """Return what orderStatus is asked with: a cloid, or a number."""
        found = NUMBER.fullmatch(client_order_id)
        return int(found[1]) if found else str(self.cloid(client_order_id))

    def ours(self, cloid: str | None, number: str) -> str:
        """Return our name of an order that the venue tells of by cloid (None: it has none) and number."""
        if not cloid:
            return f"oid:{number}"
        with self._lock:
            known = self._cloids.get(cloid)
        name = known or _unpacked(cloid, self._mark()) or cloid
        self._keep(self._numbers, number, name)
        return name

    def by_number(self, number: str) -> str | None:
        """Return the name of an order that was met before, by its number."""
        with self._lock:
            return self._numbers.get(number)

    def learn(self, number: str, name: str) -> None:
        """Remember the name of an order."""
        self._keep(self._numbers, number, name)

    def _keep(self, names: OrderedDict[str, str], key: str, value: str) -> None:
        with self._lock:
            names[key] = value
            names.move_to_end(key)
            while len(names) > KEPT:
                names.popitem(last=False)


def _packed(client_order_id: str) -> bytes | None:
    """Return the bits of an id of ours, None for another text."""
    found = OURS.fullmatch(client_order_id)
    if not found:
        return None
    try:
        raw = base64.b32decode(found[2].upper() + "======")
    except Error:
        return None
    packed = _checked(raw, found[1])
    # A text that could not be told again from its bits is no id of ours, whatever it looks like.
    return packed if _unpacked(f"0x{packed.hex()}", found[1]) == client_order_id else None


def _unpacked(cloid: str, mark: str) -> str | None:
    """Return the id of ours that has these bits, None where their check is not that of the mark."""
    if not CLOID.fullmatch(cloid):
        return None
    packed = bytes.fromhex(cloid[2:])
    if _checked(packed, mark) != packed:
        return None
    raw = bytearray(packed)
    raw[VERSION] = 0x40 | raw[VERSION] & 0x0F
    raw[VARIANT] = 0x80 | raw[VARIANT] & 0x3F
    return f"vx{mark}{base64.b32encode(bytes(raw)).decode().rstrip('=').lower()}"


def _checked(raw: bytes, mark: str) -> bytes:
    """Return the bits with the check of a mark where a UUID has its fixed ones."""
    bare = bytearray(raw)
    bare[VERSION] &= 0x0F
    bare[VARIANT] &= 0x3F
    check = hashlib.blake2b(bytes(bare), digest_size=1, key=mark.encode()).digest()[0]
    bare[VERSION] |= check & 0xF0
    bare[VARIANT] |= check << 6 & 0xC0
    return bytes(bare)
