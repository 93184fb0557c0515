"""The page of an account in the admin: limits in words and with their rules, what clashes, and who changed what."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.urls import reverse

from accounts.domain.limit_words import KINDS, summary
from accounts.models import AuditEntry
from accounts.services import account_create, audit_write, limits_change
from accounts.services.bots import bot_delete
from accounts.services.promotion import limits_confirm
from accounts.tests.test_admin import change
from decisions.services.outside import outside_text_add, outside_text_end
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import NOW, market
from trading.domain.risk import RULES
from trading.limits_admin import OTHERS
from trading.models import EquityPoint, Position
from trading.services.load_accounts import accounts_load, file_check
from trading.services.schedule import bot_start, bot_stop
from trading.services.standing import lock_lift, lock_put

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def boss(client):
    user = person("boss@vibex.local", is_staff=True, is_superuser=True)
    client.force_login(user)
    client.user = user
    return client


def page_of(client, account):
    return client.get(reverse("admin:accounts_account_change", args=[account.pk]))


def form_of(page):
    return page.context["inline_admin_formsets"][0].formset.forms[0]


def changes_page(client, account, query=""):
    return client.get(reverse("admin:accounts_account_changes", args=[account.pk]) + query)


def position_of(account):
    return Position.objects.create(
        account=account, symbol="BTCUSDT", side="long", quantity=1, peak_quantity=1, cost=1, entry_price=1, leverage=1,
        opened=AT,
    )  # fmt: skip


def told(client, account):
    """Return who did what and the changed fields of each line of the page."""
    return [
        (each.who, each.what, {line.name: (line.old, line.new) for line in each.lines})
        for each in changes_page(client, account).context["changes"]
    ]


def test_all_limits_stand_in_the_form_in_words_with_default_and_rules(boss):
    account = account_of(person())
    form = form_of(page_of(boss, account))
    assert set(KINDS) <= set(form.fields)
    assert form.fields["daily_loss"].help_text.startswith("Share of the equity at the start of the day")
    for part in ("Now 3 %.", "Default: 0.03, which is 3 %.", "Read by the loss limits."):
        assert part in form.fields["daily_loss"].help_text
    assert 'title="All notional in the symbol' in form.fields["max_group"].help_text
    assert "cap.group" in form.fields["max_group"].help_text


def test_each_limit_is_read_by_a_rule_or_by_somebody_who_is_named(boss):
    read = {name for rule in RULES for name in rule.limits}
    assert set(KINDS) - read <= OTHERS.keys()


def test_the_summary_stands_above_the_form_and_follows_what_was_saved(boss):
    account = account_of(person())
    assert "1 % in a trade" in page_of(boss, account).content.decode()
    change(boss, account, **{"limits-0-risk_per_trade": "0.005"})
    account.limits.refresh_from_db()
    page = page_of(boss, account).content.decode()
    for sentence in summary(account.limits.stated()):
        assert sentence in page
    assert "0.5 % in a trade" in page
    assert page.index("0.5 % in a trade") < page.index('name="limits-0-risk_per_trade"')


@pytest.mark.parametrize(
    ("entered", "field", "said"),
    [
        ({"max_position": "1.6"}, "max_position", "can never be reached"),
        ({"risk_per_trade": "0.04"}, "risk_per_trade", "a single stop would break the limit of the day"),
        ({"opens_per_hour": "31"}, "opens_per_hour", "30 are allowed in a day"),
        ({"daily_loss": "3"}, "daily_loss", "Must be above 0 and below 1, for example 0.01 for 1 %."),
        ({"equity_floor": "20000"}, "equity_floor", "Equity is 10,000.00"),
        ({"min_spread": "", "max_spread": "NaN"}, "max_spread", "Enter a number"),
        ({"cooldown_minutes": "-1"}, "cooldown_minutes", "greater than or equal to 0"),
        ({"losing_pause_minutes": "9" * 30}, "losing_pause_minutes", ""),
    ],
)
def test_what_clashes_is_refused_at_its_field_and_changes_nothing(boss, entered, field, said):
    account = account_of(person())
    EquityPoint.objects.create(account=account, at=AT, wallet=10_000, unrealised=0, equity=10_000)
    answer = change(boss, account, **{f"limits-0-{name}": value for name, value in entered.items()})
    assert answer.status_code == 200
    assert "May lose at most 3 % of equity a day" in answer.content.decode(), "what stands above is what is stored"
    assert "limit-warnings" not in answer.content.decode()
    errors = form_of(answer).errors
    assert set(errors) == {field}
    assert said in " ".join(errors[field])
    parts = {part.name: part for part in next(iter(answer.context["inline_admin_formsets"][0]))}
    assert not any(part.is_collapsible for part in parts.values() if field in part.fields), "the part with it is open"
    assert not AuditEntry.objects.exclude(action="sign-in").exists()


def test_what_is_unwise_is_saved_and_asked_about(boss):
    account = account_of(person())
    answer = change(boss, account, **{"limits-0-max_positions": "4"})
    assert answer.status_code == 302
    asked = [str(message) for message in get_messages(answer.wsgi_request) if message.level_tag == "warning"]
    assert len(asked) == 1
    assert "When the stops of all 4 positions are hit, 4 % is lost" in asked[0]
    assert "When the stops of all 4 positions are hit" in page_of(boss, account).content.decode()


def test_a_file_of_accounts_hears_the_same(boss):
    owner = person()
    account = account_of(owner)
    EquityPoint.objects.create(account=account, at=AT, wallet=900, unrealised=0, equity=900)
    given = {"accounts": [{"name": "paper", "limits": {"equity_floor": 1000}}]}
    with pytest.raises(Exception, match="equity_floor"):
        accounts_load(given=file_check(given), owner=owner, write=True)


# -- who changed what --------------------------------------------------------------------------------------------


def test_every_way_to_change_something_is_told_newest_first_in_words(boss):
    market(NOW)
    owner = person()
    account = account_create(owner=owner, name="paper", venue="sim", actor=owner)
    bot = bot_of(account)
    change(boss, account, **{"limits-0-losing_pause_minutes": "90", "limits-0-trailing_stop": "0.015"})
    given = {"accounts": [{"name": "paper", "time_zone": "Europe/Berlin", "limits": {"sides": "long"}}]}
    accounts_load(given=file_check(given), owner=owner, write=True)
    bot_start(bot=bot, actor=owner, reason="by hand")
    bot_stop(bot=bot, actor=owner, reason="by hand")
    lock = lock_put(account=account, symbol="BTCUSDT", reason="Two stops in a row.")
    lock_lift(lock=lock, actor=boss.user)
    limits_confirm(account=account, actor=boss.user)
    found = told(boss, account)
    assert [(who, what) for who, what, _ in found] == [
        ("boss@vibex.local", "confirmed the limits as they are"),
        ("boss@vibex.local", "lifted a lock"),
        (str(owner), f"stopped the bot {bot.name}"),
        (str(owner), f"started the bot {bot.name}"),
        ("Vibex", "changed the limits"),
        ("Vibex", "changed the account"),
        ("boss@vibex.local", "changed the limits"),
        (str(owner), "set its first limits"),
        (str(owner), "made the account"),
    ]
    changed = {what: lines for _, what, lines in reversed(found)}
    assert changed["changed the account"] == {"time zone": ("UTC", "Europe/Berlin")}
    assert changed["changed the limits"] == {"sides": ("long and short", "long only")}
    assert found[6][2] == {"losing pause": ("4 h", "1 h 30 min"), "trailing stop": ("none", "1.5 %")}
    assert changed["lifted a lock"]["reason"][0] == "Two stops in a row."
    assert changed["set its first limits"]["daily loss"][1] == "3 %"


def test_what_was_done_to_what_is_on_the_account_is_told_too_also_of_a_bot_that_is_gone(boss):
    owner = person()
    account = account_of(owner)
    bot, position = bot_of(account), position_of(account)
    audit_write(actor=boss.user, action="position-stop", obj=position, before={"stop": "90"}, after={"stop": "95"})
    text = outside_text_add(bot=bot, source="desk", text="the venue closes at noon", author=owner)
    outside_text_end(text=text, actor=owner)
    bot_delete(bot=bot, actor=owner)
    audit_write(actor=owner, action="prompt-template-add", obj=owner)
    found = told(boss, account)
    assert [(who, what) for who, what, _ in found] == [
        (str(owner), "deleted the bot trend"),
        (str(owner), "ended a text from outside"),
        (str(owner), "showed a bot a text from outside"),
        ("boss@vibex.local", "moved the stop of a position"),
    ]
    assert found[-1][2] == {"stop": ("90", "95")}


def test_what_belongs_to_another_account_is_not_told(boss):
    mine, other = account_of(person()), account_of(person("other@vibex.local"))
    other.limits.max_leverage = 2
    limits_change(limits=other.limits, actor=None)
    lock_lift(lock=lock_put(account=other, symbol="", reason="x"), actor=boss.user)
    assert told(boss, mine) == []
    assert [what for _, what, _ in told(boss, other)] == ["lifted a lock", "changed the limits"]


def test_the_page_is_paged_and_costs_the_same_however_long_the_trail_is(boss, django_assert_max_num_queries):
    account = account_of(person())
    for number in range(120):
        AuditEntry.objects.create(
            actor=boss.user,
            action="limits-change",
            object_type="accounts.risklimits",
            object_id=str(account.limits.pk),
            account_id=account.pk,
            before={"opens_per_day": number},
            after={"opens_per_day": number + 1},
            at=AT + timedelta(minutes=number),
        )
    with django_assert_max_num_queries(12):
        page = changes_page(boss, account, "?page=3")
    assert len(page.context["changes"]) == 20
    assert "page 3 of 3" in page.content.decode()
    assert changes_page(boss, account, "?page=nonsense").context["page"].number == 1


def test_what_somebody_wrote_is_text_and_values_that_are_none_are_said_as_they_are(boss):
    account = account_of(person())
    AuditEntry.objects.create(
        action="limits-change",
        object_type="accounts.risklimits",
        object_id=str(account.limits.pk),
        account_id=account.pk,
        before={"daily_loss": "<script>", "gone_limit": "1"},
        after={"daily_loss": "0.030000", "gone_limit": "2"},
    )
    page = changes_page(boss, account).content.decode()
    assert "&lt;script&gt;" in page
    assert "<script>→" not in page
    assert "gone limit" in page


def test_the_history_is_for_those_who_may_see_accounts(client):
    account = account_of(person())
    clerk = person("clerk@vibex.local", is_staff=True)
    client.force_login(clerk)
    assert changes_page(client, account).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="view_account"))
    assert changes_page(client, account).status_code == 200
    assert client.get(reverse("admin:accounts_account_changes", args=[0])).status_code == 404
    client.logout()
    assert changes_page(client, account).status_code == 302


def test_the_page_of_an_account_links_to_its_history(boss):
    account = account_of(person())
    assert reverse("admin:accounts_account_changes", args=[account.pk]) in page_of(boss, account).content.decode()


def test_the_gate_to_real_money_shows_what_the_account_may_do(boss, settings):
    paper = account_create(owner=boss.user, name="paper", venue="aster")
    live = account_create(owner=boss.user, name="live", venue="aster", mode="live", promoted_from=paper)
    live.limits.daily_loss = Decimal("0.0175")
    limits_change(limits=live.limits, actor=boss.user)
    page = boss.get(reverse("admin:accounts_account_live", args=[live.pk])).content.decode()
    assert "May lose at most 1.75 % of equity a day" in page
