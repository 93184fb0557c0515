"""The doctor's looks at models: do their servers answer and take the keys, and do those that bots name still exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils import timezone

from accounts.models import Bot
from vibex.lib.errors import Rejected
from vibex.looks import Line, State

if TYPE_CHECKING:
    from decisions.domain.model_state import ModelState
    from decisions.llm.endpoints import Endpoint

MODEL_SECONDS: Final = 4.0
AT_ONCE: Final = 8
LOW_BALANCE: Final = Decimal(10)
"""US dollars. With less OpenRouter looks at the balance before each call, which takes time (research: llm.md 1.6)."""
OLD_CATALOGUE: Final = timedelta(days=2)
REFRESH: Final = "uv run manage.py models --refresh"
IN_ADMIN: Final = "Choose another model in the admin: stop the bot, then /admin/accounts/bot/"


# -- servers that the environment names -------------------------------------------------------------------


def model_lines() -> Iterator[Line]:
    """Yield whether each server with a key answers and takes it. Asks for its list: that costs nothing."""
    from decisions.llm.endpoints import house_endpoints

    endpoints = house_endpoints()
    if not endpoints:
        yield Line("model", "ok", "none is set: rules decide")
        return
    yield from server_lines(endpoints)
    yield from _of_environment()


def server_lines(endpoints: Iterable[Endpoint]) -> list[Line]:
    """Return one line for each server; all of them are asked at once."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="doctor-model") as pool:
        return list(pool.map(_server, endpoints))


def _server(endpoint: Endpoint) -> Line:
    from decisions.llm.catalogue import Unread, key_fetch, status_fetch

    try:
        # OpenRouter lists its models to anybody; what it says of the key needs the key.
        if endpoint.is_openrouter and endpoint.key:
            return _balance(endpoint, key_fetch(endpoint, seconds=MODEL_SECONDS).remaining)
        status = status_fetch(endpoint, seconds=MODEL_SECONDS)
    except Unread as fault:
        if fault.status:
            return _answered(endpoint, fault.status)
        where = "Check the network and the address; bots hold while no model answers."
        return Line("model", "fail", f"{endpoint.host} does not answer: {fault}", where)
    return _answered(endpoint, status)


def _answered(endpoint: Endpoint, status: int) -> Line:
    host = endpoint.host
    if status in (401, 403):
        return Line("model", "fail", f"{host} refuses the key ({status})", f"Set {_variable(endpoint)} to a valid key.")
    if status == 404:
        return Line("model", "warn", f"{host} answers, but lists no models (404)", "Check the path of its address.")
    if status >= 300:
        return Line("model", "fail", f"{host} answers {status}", "Try again later; bots hold while no model answers.")
    return Line("model", "ok", f"{host} answers")


def _balance(endpoint: Endpoint, left: Decimal | None) -> Line:
    if left is None:
        return Line("model", "ok", f"{endpoint.host} answers and takes the key")
    state: State = "warn" if left < LOW_BALANCE else "ok"
    remedy = "Add credit, or raise the limit of the key, at openrouter.ai." if state == "warn" else ""
    return Line("model", state, f"{endpoint.host} takes the key, {left:.2f} US dollars are left on it", remedy)


def _variable(endpoint: Endpoint) -> str:
    """Return the variable of a key, without a look into the database for the servers that the house knows."""
    from decisions.domain.providers import HOUSE, KEY_OF_LOCAL, LOCAL, own_key_variable

    if endpoint.provider == LOCAL:
        return KEY_OF_LOCAL
    known = HOUSE.get(endpoint.provider)
    return known.key_variable if known else own_key_variable(endpoint.provider)


def _of_environment() -> Iterator[Line]:
    """Yield that the model of the first bot is retired, when it is."""
    from decisions.domain.presets import OPENROUTER, successor_of

    if (
        settings.LLM_MODEL
        and not settings.LLM_BASE_URL
        and (successor := successor_of(f"{OPENROUTER}/{settings.LLM_MODEL}"))
    ):
        instead = successor.removeprefix(f"{OPENROUTER}/")
        yield Line("model", "warn", f"LLM_MODEL names {settings.LLM_MODEL}, which is retired", f"LLM_MODEL={instead}")


# -- models that bots name --------------------------------------------------------------------------------


def bot_model_lines() -> Iterator[Line]:
    """Yield what is wrong with the models of bots that are not stopped, and with servers that only they name."""
    from decisions.selectors.models_asked import bots_by_model, model_states

    asking = {name: bots for name, bots in bots_by_model().items() if not name.startswith("rules/")}
    if not asking:
        yield Line("models", "ok", "no bot asks a model")
        return
    yield from _servers_of(asking)
    yield from _catalogues_of(asking)
    states = model_states(asking)
    found = [line for name, bots in asking.items() for line in _model(states[name], bots)]
    yield from found or [Line("models", "ok", f"{len(asking)} models of bots are as they should be")]


def _servers_of(names: Iterable[str]) -> Iterator[Line]:
    from decisions.llm.endpoints import endpoint_of, house_endpoints
    from decisions.selectors.catalogue import asked_provider

    looked = {endpoint.base_url for endpoint in house_endpoints()}
    endpoints: list[Endpoint] = []
    for provider in sorted({asked_provider(name.partition("/")[0]) for name in names}):
        try:
            endpoint = endpoint_of(provider)
        except Rejected as refusal:
            yield Line("model", "fail", str(refusal), "Set the variable and start again, or change the bot.")
            continue
        if endpoint.base_url not in looked:
            endpoints.append(endpoint)
    yield from server_lines(endpoints)


def _catalogues_of(names: Iterable[str]) -> Iterator[Line]:
    """Yield which catalogues have not been read, or not for long: what follows is as old as they are."""
    from decisions.models import CatalogueRead
    from decisions.selectors.catalogue import asked_provider

    read = {row.provider: row for row in CatalogueRead.objects.all()}
    for provider in sorted({asked_provider(name.partition("/")[0]) for name in names}):
        row = read.get(provider)
        if row is None or row.at is None:
            fault = f": {row.fault}" if row else ""
            yield Line("models", "info", f"the catalogue of {provider} has not been read{fault}", REFRESH)
        elif timezone.now() - row.at > OLD_CATALOGUE:
            yield Line(
                "models", "warn", f"the catalogue of {provider} is of {row.at:%F %H:%M} UTC: {row.fault}", REFRESH
            )


def _model(state: ModelState, bots: list[Bot]) -> Iterator[Line]:
    from decisions.selectors.catalogue import catalogue_known

    whose = ", ".join(sorted({bot.name for bot in bots}))
    if state.warns:
        remedy = f"{IN_ADMIN} offers {state.successor}" if state.successor else IN_ADMIN
        yield Line(f"model of {whose}", "warn", state.words, remedy)
    if state.schema is False:
        text = f"{state.name} takes no schema: more of its replies cannot be read, and hold"
        yield Line(f"model of {whose}", "warn", text, IN_ADMIN)
    provider, _, model = state.name.partition("/")
    usual = catalogue_known().usual_seconds(provider, model)
    deadline = min(bot.deadline_seconds for bot in bots)
    if usual > deadline:
        text = f"{state.name} usually takes {usual:.0f} s, and has {deadline} s"
        yield Line(f"model of {whose}", "warn", text, "Lower its effort, raise the deadline, or choose another model.")
