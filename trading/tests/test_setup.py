"""The first account: one form, all or nothing, once; whoever may make none reads whom to ask."""

from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.domain.limit_clashes import cautions, clashes
from accounts.domain.limit_presets import PRESETS
from accounts.domain.limits import DEFAULTS
from accounts.models import Account, AuditEntry, Bot, RiskLimits, Role
from marketdata.models import Feed
from tests.support.demo import account_of, person
from tests.support.demo_market import market
from trading.selectors.setting_up import deciders
from trading.services.setup import first_account_make
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db

GOOD = {
    "name": "paper",
    "market": "sim",
    "starting_balance": "2500",
    "decider": "rules/trend",
    "other": "",
    "limits": "careful",
    "bot_name": "first",
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "more_symbols": "",
    "interval": "15m",
}


@pytest.fixture
def beginner(client):
    market(timezone.now())
    who = person("beginner@vibex.local", time_zone="Europe/Berlin")
    client.force_login(who)
    return who


def sent(client, **changes):
    return client.post("/setup/", GOOD | changes)


# -- the page ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/setup/"])
def test_who_has_no_account_sees_the_form(client, beginner, path):
    answer = client.get(path)
    assert answer.status_code == 200
    text = answer.content.decode()
    for said in (
        "Your first account",
        "Simulated market",
        "May lose at most 1.5 % of equity a day",
        "May lose at most 3 % of equity a day",
        'value="BTCUSDT"',
        'action="/setup/"',
    ):
        assert said in text


def test_missing_keys_are_named_and_never_asked_for(client, beginner):
    text = client.get("/setup/").content.decode()
    assert "OPENROUTER_API_KEY" in text
    assert 'type="password"' not in text
    assert "openrouter/" not in [name for name, _ in deciders().models]


def test_models_are_offered_once_there_is_a_key(client, beginner, settings):
    settings.OPENROUTER_API_KEY = "sk-or-v1-" + "ab12" * 16
    settings.LLM_MODEL = "deepseek/deepseek-v4-flash"
    text = client.get("/setup/").content.decode()
    assert 'value="openrouter/deepseek/deepseek-v4-flash" selected' in text
    assert settings.OPENROUTER_API_KEY not in text


def test_who_may_make_no_account_reads_whom_to_ask(client):
    person("boss@vibex.local", is_superuser=True, is_staff=True)
    client.force_login(person("viewer@vibex.local", role=Role.VIEWER))
    for path in ("/", "/setup/"):
        text = client.get(path).content.decode()
        assert "boss@vibex.local" in text
        assert "<form" not in text.split("<main")[1]
    assert sent(client).status_code == 403
    assert not Account.objects.exists()


def test_without_a_market_the_page_says_what_to_start(client):
    client.force_login(person())
    text = client.get("/").content.decode()
    assert "make up" in text
    assert "Make account and bot" not in text
    assert sent(client).status_code == 422
    assert not Account.objects.exists()


def test_nobody_who_is_not_signed_in_sees_it(client):
    assert client.get("/setup/").status_code == 302
    assert sent(client).status_code == 302


# -- making it --------------------------------------------------------------------------------------------


def test_it_makes_account_limits_and_a_stopped_bot_and_leads_to_the_desk(client, beginner):
    answer = sent(client, more_symbols="solusdt,  BTCUSDT")
    account = Account.objects.get(owner=beginner)
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/{account.pk}/")
    assert (account.mode, account.venue, account.starting_balance) == ("paper", "sim", Decimal(2500))
    assert account.time_zone == "Europe/Berlin"
    limits = RiskLimits.objects.get(account=account)
    assert limits.stated() == PRESETS["careful"].limits
    bot = account.bots.get()
    assert (bot.status, bot.model, bot.interval) == (Bot.Status.STOPPED, "rules/trend", "15m")
    assert bot.symbols == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert bot.timeframes[0] == "15m"
    actors = set(AuditEntry.objects.filter(account_id=account.pk).values_list("actor__email", flat=True))
    assert actors == {beginner.email}
    desk = client.get(answer["Location"]).content.decode()
    assert "is ready" in desk
    assert f"/bots/{bot.pk}/start/" in desk


def test_the_usual_limits_are_those_of_a_new_account(client, beginner):
    sent(client, limits="usual")
    assert RiskLimits.objects.get(account__owner=beginner).stated() == DEFAULTS


def test_sent_twice_it_makes_one_account(client, beginner):
    first, second = sent(client), sent(client, name="another")
    assert first["Location"] == second["Location"]
    assert Account.objects.filter(owner=beginner).count() == 1
    assert Bot.objects.count() == 1


def test_the_service_makes_none_for_who_has_one(beginner):
    known = account_of(beginner, "old")
    values = {name: GOOD[name] for name in ("name", "market", "limits", "bot_name", "symbols", "interval")}
    done = first_account_make(owner=beginner, model="rules/trend", starting_balance=Decimal(5), **values)
    assert (done.account, done.made) == (known, False)
    assert Account.objects.count() == 1


def test_who_has_an_account_is_led_to_it(client, beginner):
    account = account_of(beginner, "old")
    assert client.get("/setup/")["Location"] == f"/accounts/{account.pk}/"


def test_a_testnet_is_a_network_and_no_venue(client, beginner):
    now = timezone.now()
    Feed.objects.create(venue="aster-testnet", kind="live", market_at=now)
    answer = sent(client, market="aster-testnet")
    assert answer.status_code == 422
    assert "is not traded at aster-testnet" in answer.content.decode()
    assert not Account.objects.exists()


# -- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "two words"}, "letters, numbers, underscores or hyphens"),
        ({"name": ""}, "required"),
        ({"starting_balance": "0"}, "greater than or equal to 10"),
        ({"starting_balance": "many"}, "Enter a number"),
        ({"market": "nowhere"}, "Select a valid choice"),
        ({"limits": "reckless"}, "Select a valid choice"),
        ({"symbols": [], "more_symbols": ""}, "Choose at least one"),
        ({"more_symbols": "NOSUCHUSDT"}, "is not traded at sim"),
        ({"interval": "7m"}, "Select a valid choice"),
        ({"other": "rules/astrology"}, "rules/trend"),
        ({"other": "openrouter/x-ai/grok-4.3"}, "OPENROUTER_API_KEY"),
        ({"bot_name": "two words"}, "letters, numbers, underscores or hyphens"),
    ],
)
def test_what_cannot_work_is_refused_at_its_field_and_nothing_is_made(client, beginner, changes, said):
    answer = sent(client, **changes)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert said in text
    assert "Nothing was made yet" in text
    assert 'value="2500"' in text or "starting_balance" in changes
    assert (Account.objects.count(), Bot.objects.count(), RiskLimits.objects.count()) == (0, 0, 0)


def test_a_bot_that_is_refused_takes_its_account_with_it(beginner):
    values = {name: GOOD[name] for name in ("name", "market", "limits", "bot_name", "interval")}
    with pytest.raises(Rejected):
        first_account_make(
            owner=beginner, model="rules/trend", starting_balance=Decimal(50), symbols=["NOSUCHUSDT"], **values
        )
    assert not Account.objects.exists()


def test_limits_to_begin_with_contradict_nothing():
    for preset in PRESETS.values():
        assert clashes(preset.limits) == ()
        assert tuple(cautions(preset.limits)) == ()


def test_careful_limits_are_nowhere_looser_than_the_usual():
    careful = PRESETS["careful"].limits
    for name in PRESETS["careful"].changed:
        assert getattr(careful, name) <= getattr(DEFAULTS, name) or name == "target_required", name
