"""One of several processes that want to run cycles of the same account. Run by test_lease_contention.py.

Appends a line when it holds the lease and one when it let go, so that overlaps can be seen afterwards.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django

SHORT = timedelta(seconds=0.4)


def main(bot_id: int, seconds: float, diary: Path) -> None:
    django.setup()
    from django.db import transaction

    from accounts.models import Bot
    from decisions.models import Cycle
    from trading.services import lease

    lease.LEASE = SHORT  # type: ignore[misc]
    bot = Bot.objects.select_related("account").get(pk=bot_id)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        cycle = lease.cycle_acquire(bot=bot, scheduled_for=datetime.now(UTC))
        if cycle is None:
            time.sleep(0.005)
            continue
        for _ in range(3):
            time.sleep(0.01)
            # As an order intent does: what is written in the transaction of a renewal belongs to its holder alone.
            with transaction.atomic():
                held = lease.cycle_renew(cycle=cycle)
                if held:
                    _note(diary, cycle.pk)
            if not held:
                break
        lease.cycle_finish(cycle=cycle, status=Cycle.Status.DONE)


def _note(diary: Path, cycle_id: int) -> None:
    with diary.open("ab", buffering=0) as file:
        file.write(f"{time.monotonic_ns()} {cycle_id} {os.getpid()}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
