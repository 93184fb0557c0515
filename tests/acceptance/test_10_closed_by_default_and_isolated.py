"""Acceptance test 10: closed by default and isolated.

Every route and every stream is closed to who is not signed in, and what belongs to another is not found. No secret stands in
a response, a page, a log, a prompt or a column of the database; a form that is saved without touching the key keeps it; no
default password or secret starts in production. With prices that are too old, a budget that is used up or a template that is
missing, a cycle holds and says why.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.test import Client
from django.urls import reverse

from accounts.domain.credentials import AsterV3Keys
from accounts.models import Account, Bot, User
from accounts.services.credentials import credentials_save, keys_of
from accounts.tests.test_admin import form_of
from decisions.deciders import rules
from decisions.models import DiaryEntry, Interaction, PromptTemplate
from decisions.services import prompt_template_install
from decisions.tests.builders import MODEL
from decisions.tests.llm_server import model_server
from marketdata.domain.snapshot import Quote
from tests.acceptance.kit import answering, decisions_text, looked_at
from tests.api.isolation_kit import ADMIN_OPEN, OPEN
from tests.support.demo import person
from tests.support.walk import Route, routes
from trading.models import Order
from trading.services import live
from trading.services.live import cycle_run
from trading.tests.builders import make_bot
from trading.tests.listening import Listener, cookie_of, listening
from trading.tests.live_kit import BUY, live_house
from trading.tests.venue_support import NOON, StillMarket
from vibex.lib import env
from vibex.lib.clock import SimulatedClock
from vibex.tests.test_environment import PRODUCTION, faults

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
WORDS = ("change-me", "password", "admin", "vibex", "secret")
LLM_KEY = "sk-or-v1-of-an-acceptance-test-0123456789"


def all_routes() -> list[Route]:
    found = list(routes())
    assert len(found) > 100
    return found


def address_of(route: Route, key: int) -> str:
    """Return an address of a route with `key` for every object in it."""
    path = re.sub(r"\(\?P<format>[^)]*\)/?\??|\\Z|\$|\^", "", route.pattern)
    path = re.sub(r"\(\?P<\w+>[^()]*(\([^()]*\))?[^()]*\)", str(key), path)
    path = re.sub(r"<(?:int|path):\w+>|<id>", str(key), path)
    return "/" + re.sub(r"<str:\w+>|<slug:\w+>", "stop", path).replace("\\.", ".")


def test_10_every_route_and_stream_is_closed_and_what_is_anothers_is_not_found(client):
    bot = make_bot("alices")
    for route in all_routes():
        address = address_of(route, bot.account_id)
        if route.pattern in {*OPEN, *ADMIN_OPEN}:
            continue
        for method in ("get", "post", "put", "delete"):
            answer = getattr(client, method)(address)
            assert answer.status_code in (302, 401, 403), f"{method} {address}: {answer.status_code}"
            assert answer.status_code != 302 or "/sign-in/" in answer["Location"] or "/login/" in answer["Location"]
    stranger = person("mallory@vibex.local")
    address = f"/ws/bots/{bot.pk}/stream/"
    assert not async_to_sync(Listener(address).open)()
    assert async_to_sync(heard)(address, cookie_of(stranger)) == {"type": "closed", "code": 4004}
    client.force_login(stranger)
    for address in (f"/accounts/{bot.account_id}/", f"/api/v1/accounts/{bot.account_id}/", f"/api/v1/bots/{bot.pk}/"):
        assert client.get(address).status_code == 404
    client.force_login(bot.account.owner)
    assert client.get(f"/api/v1/accounts/{bot.account_id}/").status_code == 200


async def heard(address: str, cookie: str) -> dict[str, Any]:
    """Return what a stream says first to who subscribes."""
    async with listening(address, cookie) as listener:
        return await listener.subscribe()


# -- secrets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lived(monkeypatch, settings, caplog) -> Iterator[tuple[Bot, set[str]]]:
    """Let a live account trade by a model, with everything logged, and return its bot and all that is secret about it."""
    prompt_template_install()
    caplog.set_level(logging.DEBUG)
    with live_house(monkeypatch) as house, model_server(answering(decisions_text)) as model:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = model.url, LLM_KEY
        looked_at(house)
        house.cycle(BUY)
        assert house.held()
        Bot.objects.filter(pk=house.bot.pk).update(model=f"openrouter/{MODEL}")
        house.cycle()
        assert Interaction.objects.get().user_prompt
        keys = keys_of(house.account)
        assert isinstance(keys, AsterV3Keys)
        yield house.bot, {keys.private_key.removeprefix("0x"), LLM_KEY}


def test_10b_no_secret_is_in_a_response_a_page_a_log_a_prompt_or_a_column(lived, client, caplog):
    bot, secrets = lived
    assert not any(secret in caplog.text for secret in secrets), "a log"
    caplog.set_level(logging.WARNING)
    own = Client()
    own.force_login(bot.account.owner)
    client.force_login(User.objects.create_superuser("boss@vibex.local"))
    for route in all_routes():
        pattern = route.pattern
        if not route.admin or "/<path:object_id>/change/" in pattern or "accounts/" in pattern:
            reader, address = client if route.admin else own, address_of(route, bot.account_id)
            answer = reader.get(address)
            said = b"".join(answer if answer.streaming else [answer.content]).decode(errors="replace")
            assert not any(secret in said for secret in secrets), address
    for model in apps.get_models():
        for row in model._default_manager.values():  # prompts are columns as well
            assert not any(secret in str(row) for secret in secrets), model.__name__


def test_10c_a_form_that_is_saved_without_touching_the_key_keeps_it(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    account = make_bot("keyed").account
    Account.objects.filter(pk=account.pk).update(mode="live", venue="aster", network="testnet")
    account = Account.objects.get(pk=account.pk)
    stored = AsterV3Keys("0x" + 20 * "a1", "0x" + 20 * "b2", "0x" + 32 * "c3")
    row = credentials_save(account=account, keys=stored, actor=None)
    form = {**form_of(account), "time_zone": "Europe/Berlin"}
    form |= {f"credentials-0-{name}": value for name, value in row.public.items()}
    form |= {"credentials-TOTAL_FORMS": "1", "credentials-INITIAL_FORMS": "1", "credentials-0-id": str(row.pk)}
    form |= {"credentials-0-account": str(account.pk), "credentials-0-kind": row.kind, "credentials-0-private_key": ""}
    address = reverse("admin:accounts_account_change", args=[account.pk])
    assert client.post(address, form).status_code == 302
    account = Account.objects.get(pk=account.pk)
    assert (account.time_zone, keys_of(account)) == ("Europe/Berlin", stored)


def test_10d_no_default_password_or_secret_starts_in_production(tmp_path: Path):
    assert env.read(tmp_path, PRODUCTION).VIBEX_ENV == "prod"
    for name in ("SECRET_KEY", "CREDENTIALS_KEY"):
        for value in ("", *WORDS, "django-insecure-" + 50 * "x", env.VARIABLES[name].example):
            assert name in faults(tmp_path, **{**PRODUCTION, name: value}), f"{name}={value}"


# -- holds ---------------------------------------------------------------------------------------------------------


@dataclass
class Old(StillMarket):
    """Prices that nobody has confirmed for a while."""

    by: timedelta = timedelta(0)

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        return super().quote(symbol, at=at - self.by)


@pytest.fixture
def hold(monkeypatch, settings) -> Any:
    """Return a function that lets a bot decide on a market, and says what its diary says."""
    prompt_template_install()
    monkeypatch.setitem(rules.RULES, "buyer", lambda question: (BUY,))
    monkeypatch.setattr(live, "market_clock", lambda venue: SimulatedClock(NOON))

    def decides(name: str, *, market: StillMarket | None = None, **bot: Any) -> str:
        monkeypatch.setattr(live, "market_for", lambda venue: market or StillMarket())
        made = make_bot(name, **{"model": "rules/buyer", **bot})
        assert cycle_run(bot_id=made.pk, scheduled_for=NOON).status == "done"
        return " ".join(DiaryEntry.objects.filter(bot=made).values_list("text", flat=True))

    with model_server(answering(decisions_text)) as model:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = model.url, LLM_KEY
        decides.asked = model.requests  # type: ignore[attr-defined]
        yield decides


def test_10e_a_cycle_holds_and_says_why(hold):
    assert "long 0.02" in hold("fresh")
    entered = Order.objects.count()
    assert "the last price is 45 s old" in hold("old", market=Old(by=timedelta(seconds=45)))
    told = hold("spent", model=f"openrouter/{MODEL}", cost_per_day=D(0))
    assert "budget: 0.00 of 0.00 US dollars of today are used" in told
    PromptTemplate.objects.all().delete()
    assert "there is no prompt template 'arena'" in hold("wordless", model=f"openrouter/{MODEL}")
    assert hold.asked == [], "nobody was asked"
    assert Order.objects.count() == entered
