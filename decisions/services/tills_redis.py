"""Counters of what models use, in Redis: a hash for each bot and day, one script a step, gone after a quiet while."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, Final

from decisions.domain.till import HELD, QUIET, UNITS, Allowed, Entry, Till, units
from decisions.llm.shared import redis_answering, redis_client
from vibex.lib.installation import installation_tag

PREFIX: Final = "vibex:spend"

# A hash holds what is used (spent, tokens) and a field r:<key> for each call under way: cost, tokens, until when.
READ: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local used = redis.call('HMGET', KEYS[1], 'spent', 'tokens')
if not used[1] then return {} end
local all, reserved, held = redis.call('HGETALL', KEYS[1]), 0, 0
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'r:' then
    local cost, tokens, ends = string.match(all[i + 1], '(%d+) (%d+) ([%d.]+)')
    if tonumber(ends) > now then reserved, held = reserved + cost, held + tokens
    else redis.call('HDEL', KEYS[1], all[i]) end
  end
end
local spent, tokens = tonumber(used[1]), tonumber(used[2])
"""
SAID: Final = "string.format('%.0f', spent), string.format('%.0f', tokens), string.format('%.0f', reserved), held"
LOOK: Final = f"{READ} return {{{SAID}, ''}}"
BEGIN: Final = """
if ARGV[1] == '1' then redis.call('DEL', KEYS[1]) end
if redis.call('EXISTS', KEYS[1]) == 1 then return end
redis.call('HSET', KEYS[1], 'spent', ARGV[2], 'tokens', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
"""
RESERVE: Final = f"""{READ}
local cost, wanted = tonumber(ARGV[2]), tonumber(ARGV[3])
local most, most_tokens = tonumber(ARGV[4]), tonumber(ARGV[5])
if (most and spent + reserved + cost > most) or (most_tokens and tokens + held + wanted > most_tokens) then
  return {{{SAID}, ''}}
end
redis.call('HSET', KEYS[1], 'r:' .. ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. string.format('%.3f', now + ARGV[6]))
redis.call('EXPIRE', KEYS[1], ARGV[7])
return {{{SAID}, ARGV[1]}}
"""
SETTLE: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return end
if ARGV[1] ~= '' then redis.call('HDEL', KEYS[1], 'r:' .. ARGV[1]) end
if redis.call('HINCRBY', KEYS[1], 'spent', ARGV[2]) < 0 then redis.call('HSET', KEYS[1], 'spent', 0) end
if redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[3]) < 0 then redis.call('HSET', KEYS[1], 'tokens', 0) end
redis.call('EXPIRE', KEYS[1], ARGV[4])
"""


class RedisTills:
    """The port `Tills` in the Redis at REDIS_URL. Raises RedisError or OSError when it does not answer, or did not just now."""

    def read(self, bot_id: int, day: date) -> Till | None:
        return _till(_run(LOOK, bot_id, day))

    def begin(self, bot_id: int, day: date, till: Till, *, anew: bool = False) -> None:
        _run(BEGIN, bot_id, day, int(anew), units(till.spent), till.tokens, round(QUIET))

    def reserve(self, bot_id: int, day: date, allowed: Allowed, wanted: Entry) -> tuple[Till | None, str]:
        most = "" if allowed.cost is None else units(allowed.cost)
        most_tokens = "" if allowed.tokens is None else allowed.tokens
        values = (uuid.uuid4().hex, units(wanted.cost), wanted.tokens, most, most_tokens, HELD, round(QUIET))
        said = _run(RESERVE, bot_id, day, *values)
        return _till(said), str(said[4]) if said else ""

    def settle(self, bot_id: int, day: date, held: Entry | None, cost: Decimal, tokens: int) -> None:
        values: list[str | int] = [held.key if held else "", units(cost), tokens, round(QUIET)]
        # Asked also of one that was silent just now: what is not booked where it was set aside is not booked at all.
        redis_client(hurried=True).register_script(SETTLE)(keys=[key_of(bot_id, day)], args=values)


def key_of(bot_id: int, day: date) -> str:
    return f"{PREFIX}:{installation_tag()}:{bot_id}:{day:%Y-%m-%d}"


def _run(script: str, bot_id: int, day: date, *values: str | float) -> Any:
    with redis_answering() as client:
        return client.register_script(script)(keys=[key_of(bot_id, day)], args=list(values))


def _till(said: Any) -> Till | None:
    if not said:
        return None
    spent, tokens, reserved, held = (int(value) for value in said[:4])
    return Till(spent * UNITS, tokens, reserved * UNITS, held)
