"""What theory says of a queue with c servers, Poisson arrivals and exponential service: M/M/c, after Erlang (1917)."""

from __future__ import annotations

import math


def waits(load: float, servers: int) -> float:
    """Return the probability that an arrival waits (Erlang C). `load` is arrival rate × mean service, below `servers`.

    By the recursion of Erlang B, which never overflows: B(0) = 1, B(c) = load·B(c−1) ÷ (c + load·B(c−1)).
    """
    if not 0 < load < servers:
        raise ValueError(
            f"a load of {load:g} on {servers} servers has no steady state: it has to lie between 0 and {servers}"
        )
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    busy = load / servers
    return blocked / (1 - busy + busy * blocked)


def mean_wait(rate: float, service: float, servers: int) -> float:
    """Return the mean seconds that an arrival waits, those that do not wait included."""
    load = rate * service
    return waits(load, servers) * service / (servers - load)


def wait_beyond(seconds: float, rate: float, service: float, servers: int) -> float:
    """Return the probability that an arrival waits longer than `seconds`."""
    load = rate * service
    return waits(load, servers) * math.exp(-(servers - load) * seconds / service)
