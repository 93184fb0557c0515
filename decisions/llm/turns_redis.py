"""Turns and places in Redis: one script a look, by Redis's own clock, in keys that expire."""

from __future__ import annotations

from typing import Any, Final

from decisions.domain.turns import LATE, SKEW, Step, Wanted
from decisions.llm.shared import redis_answering, redis_client

PREFIX: Final = "vibex:ask:"
KEPT: Final = 300
"""Seconds after which a bucket that nobody takes from is forgotten: it has been full for long."""

# The rules of decisions/domain/turns.py, word for word; a test holds the two side by side.
NOW: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function place()
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then return false end
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[2])
  if redis.call('TTL', KEYS[2]) < tonumber(ARGV[3]) then
    redis.call('EXPIRE', KEYS[2], math.ceil(tonumber(ARGV[3])) + 1)
  end
  return true
end
"""
TAKE: Final = (
    NOW
    + """
local burst, rate, longest, skew = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local known = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = burst, now
if known[1] and known[2] then
  tokens, at = tonumber(known[1]), tonumber(known[2])
  if not (at - skew <= now and now < at) then
    tokens, at = math.min(burst, tokens + math.max(0, now - at) * rate), now
  end
end
local wait = math.max(0, (1 - tokens) / rate)
if wait > longest then return {'late', string.format('%.6f', wait), ''} end
if wait == 0 and not place() then return {'busy', '0', ''} end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens - 1), 'at', string.format('%.6f', at))
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[8]) + math.ceil(wait))
if wait == 0 then return {'go', '0', ''} end
return {'wait', string.format('%.6f', wait), string.format('%.6f', now + wait)}
"""
)
PLACE: Final = (
    NOW
    + """
if now > tonumber(ARGV[4]) or not place() then return {'busy', '0', ''} end
return {'go', '0', ''}
"""
)


class RedisTurns:
    """The port `Turns` in the Redis at REDIS_URL. Raises RedisError or OSError when it does not answer, or did not just now."""

    def take(self, wanted: Wanted, *, longest: float, keep: float) -> Step:
        rate = wanted.rate
        said, wait, due = self._run(TAKE, wanted, keep, rate.burst, rate.per_second, longest, SKEW, KEPT)
        return Step(said == "go", float(wait), float(due) if due else None)

    def place(self, wanted: Wanted, *, due: float, keep: float) -> Step:
        said, *_ = self._run(PLACE, wanted, keep, due + LATE)
        return Step(said == "go", due=due)

    def leave(self, wanted: Wanted) -> None:
        redis_client(hurried=True).zrem(f"{PREFIX}places:{wanted.places}", wanted.holder)

    def _run(self, script: str, wanted: Wanted, keep: float, *more: float) -> Any:
        keys = [f"{PREFIX}turns:{wanted.bucket}", f"{PREFIX}places:{wanted.places}"]
        with redis_answering() as client:
            return client.register_script(script)(keys=keys, args=[wanted.at_once, wanted.holder, keep, *more])
