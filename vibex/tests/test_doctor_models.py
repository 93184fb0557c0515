"""The doctor says which model servers answer, which keys they refuse, and which models of bots go away or are too slow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from decisions.models import CatalogueModel, CatalogueRead, Interaction, Provider
from decisions.tests.catalogue_server import catalogue_server, openai_list, openrouter_list
from trading.tests.builders import make_bot
from vibex.doctor import LOOKS
from vibex.looks import Line
from vibex.model_looks import bot_model_lines, model_lines, server_lines

KEY = "sk-not-to-be-shown"


@pytest.fixture
def openrouter(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a way to put a server of ours where OpenRouter is."""
    from decisions.llm import endpoints

    def at(url: str) -> None:
        settings.OPENROUTER_API_KEY = KEY
        spec = endpoints.HOUSE["openrouter"]
        house = {"openrouter": type(spec)(spec.name, spec.dialect, url, spec.key_variable)}
        monkeypatch.setattr(endpoints, "HOUSE", house)
        monkeypatch.setattr(endpoints, "spec_fault", lambda spec, **_: "")

    return at


def said(lines: list[Line]) -> str:
    text = " | ".join(f"{line.state} {line.detail} {line.remedy}" for line in lines)
    assert KEY not in text
    assert all(line.remedy for line in lines if line.state in ("warn", "fail")), text
    return text


@pytest.mark.parametrize(
    ("left", "state"), [(50, "ok"), (10, "ok"), (9.99, "warn"), (0, "warn"), (-1, "warn"), (None, "ok")]
)
def test_a_low_balance_warns(openrouter: Any, left: float | None, state: str) -> None:
    with catalogue_server({"/key": {"data": {"limit_remaining": left}}}) as server:
        openrouter(server.url)
        (line,) = model_lines()
    assert line.state == state
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    said([line])


def test_a_refused_key_names_its_variable(openrouter: Any) -> None:
    with catalogue_server({"/key": (401, {})}) as server:
        openrouter(server.url)
        lines = list(model_lines())
    assert "fail" in said(lines)
    assert "Set OPENROUTER_API_KEY" in said(lines)


def test_a_retired_model_of_the_environment_is_told_with_its_successor(openrouter: Any, settings: Any) -> None:
    settings.LLM_MODEL = "x-ai/grok-4"
    with catalogue_server({"/key": {"data": {}}}) as server:
        openrouter(server.url)
        lines = list(model_lines())
    assert [line.state for line in lines] == ["ok", "warn"]
    assert lines[1].remedy == "LLM_MODEL=x-ai/grok-4.3"


def test_no_look_at_the_servers_of_the_environment_needs_a_database() -> None:
    (look,) = [look for look in LOOKS if look.name == "model"]
    assert (look.asks_database, look.needs_tables) == (False, False)
    (bots,) = [look for look in LOOKS if look.name == "models"]
    assert (bots.asks_database, bots.needs_tables) == (True, True)


def test_the_servers_of_the_environment_are_asked_without_a_database(openrouter: Any) -> None:
    # No database mark: pytest-django lets every query fail here.
    with catalogue_server({"/key": {"data": {"limit_remaining": 20}}}) as server:
        openrouter(server.url)
        assert "20.00 US dollars" in said(list(model_lines()))


def test_servers_are_asked_at_once(settings: Any) -> None:
    import threading

    from decisions.llm.endpoints import Endpoint
    from decisions.tests.catalogue_server import send

    both = threading.Barrier(2, timeout=10)

    def together(handler: Any) -> None:
        both.wait()
        send(handler, 200, b"{}")

    with catalogue_server({"/models": together}) as server:
        lines = server_lines([Endpoint(server.url, KEY, "one"), Endpoint(server.url, KEY, "two")])
    assert [line.state for line in lines] == ["ok", "ok"]


# -- models of bots ---------------------------------------------------------------------------------------


def listed(slug: str, **fields: Any) -> None:
    CatalogueRead.objects.update_or_create(provider="lan", defaults={"at": timezone.now()})
    CatalogueModel.objects.create(provider="lan", slug=slug, **fields)


@pytest.fixture
def lan(db: None) -> Any:
    with catalogue_server({"/models": openai_list("one")}) as server:
        Provider.objects.create(name="lan", base_url=server.url)
        yield server


@pytest.mark.django_db
def test_without_a_model_there_is_nothing_to_look_after() -> None:
    make_bot(status="running")
    (line,) = bot_model_lines()
    assert (line.state, line.detail) == ("ok", "no bot asks a model")


def test_models_that_are_well_are_one_line(lan: Any) -> None:
    listed("one", supported=["structured_outputs", "response_format"])
    make_bot(model="lan/one", status="running")
    lines = list(bot_model_lines())
    assert [line.state for line in lines] == ["ok", "ok"]
    assert lan.paths == ["/v1/models"]


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("lan/unknown", None, "lan does not list unknown"),
        ("lan/ending", {"expires": 3}, "in 3 days"),
        ("lan/gone", {"gone_at": timezone.now()}, "has not listed gone since"),
        ("lan/loose", {"supported": ["max_tokens"]}, "takes no schema"),
    ],
)
def test_a_model_that_goes_away_or_takes_no_schema_warns_with_the_name_of_its_bot(
    lan: Any, model: str, fields: dict[str, Any] | None, expected: str
) -> None:
    listed("one")
    if fields is not None:
        if "expires" in fields:
            fields = {"expires": timezone.now().date() + timedelta(days=fields["expires"])}
        listed(model.partition("/")[2], **fields)
    make_bot("trend", model="lan/one", fallback_models=[model], status="running")
    warned = [line for line in bot_model_lines() if line.state == "warn"]
    assert [line.name for line in warned] == ["model of trend"]
    assert expected in said(warned)


def test_a_retired_model_warns_with_its_successor(settings: Any, lan: Any) -> None:
    settings.LLM_BASE_URL = lan.url
    make_bot("old", model="openrouter/x-ai/grok-4", status="running")
    assert "openrouter/x-ai/grok-4.3" in said(list(bot_model_lines()))


def test_a_model_that_is_usually_too_slow_warns(lan: Any) -> None:
    listed("one")
    bot = make_bot("slow", model="lan/one", status="running", deadline_seconds=20)
    for _ in range(3):
        Interaction.objects.create(
            bot=bot, provider="lan", model_requested="one", outcome="answered", latency_ms=41_000
        )
    assert "lan/one usually takes 41 s, and has 20 s" in said(list(bot_model_lines()))


def test_a_provider_without_a_key_or_a_row_fails_with_what_to_do(lan: Any) -> None:
    make_bot("a", model="openai/gpt-5.6-luna", status="running")
    make_bot("b", model="nowhere/x", status="running")
    failed = [line for line in bot_model_lines() if line.state == "fail"]
    assert "set OPENAI_API_KEY" in said(failed)
    assert "no provider 'nowhere'" in said(failed)


def test_a_catalogue_that_was_never_or_not_lately_read_is_told(lan: Any) -> None:
    make_bot("a", model="lan/one", status="running")
    told = said(list(bot_model_lines()))
    assert "info the catalogue of lan has not been read" in told
    assert "models --refresh" in told
    long_ago = timezone.now() - timedelta(days=3)
    CatalogueRead.objects.create(provider="lan", at=long_ago, fault="http.503: lan answers 503")
    assert "warn the catalogue of lan is of" in said(list(bot_model_lines()))


def test_an_openrouter_of_ones_own_is_asked_for_its_balance(db: None, settings: Any) -> None:
    settings.MODEL_KEYS = {"ROUTER": KEY}
    routes = {"/models": openrouter_list(), "/key": {"data": {"limit_remaining": 2}}}
    with catalogue_server(routes) as server:
        Provider.objects.create(
            name="router", dialect="openrouter", base_url=server.url, key_variable="LLM_API_KEY_ROUTER"
        )
        make_bot(model="router/a/b", status="running")
        assert "2.00 US dollars are left" in said(list(bot_model_lines()))
