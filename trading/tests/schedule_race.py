"""One of several schedulers that send the same ticks: run by test_schedule_twice as a process of its own.

python -m trading.tests.schedule_race seed            prints the id of a running bot
python -m trading.tests.schedule_race tick BOT SECONDS
"""

from __future__ import annotations

import os
import sys
import time


def main(what: str, *arguments: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")
    import django

    django.setup()
    if what == "seed":
        sys.stdout.write(str(seed()))
    else:
        tick(int(arguments[0]), float(arguments[1]))


def seed() -> int:
    """Make a running bot on a replay in which a 3m candle closes every second."""
    from trading.services.schedule import bot_start
    from trading.tests import schedule_house as house

    house.market("recorded", speed=180.0)
    return bot_start(bot=house.bot(house.account("replay", "recorded")), actor=None).pk


def tick(bot_id: int, seconds: float) -> None:
    from trading.tasks import bot_tick

    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        bot_tick(bot_id, at_once=True)
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
