"""The lists of the admin as files, and accounts from a text: what is written is what was shown, and no secret leaves."""

import csv
import io
import json
from decimal import Decimal

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import Account, AuditEntry, RiskLimits, Role
from decisions.models import DiaryEntry
from tests.support.access import confirmed
from tests.support.demo import account_of, bot_of, demo, person
from trading.models import Position

pytestmark = pytest.mark.django_db

MODELS = list(admin.site._registry)


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def boss(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return client


def _staff(client, *permissions, role=Role.TRADER):
    who = person("staff@vibex.local", is_staff=True, role=role)
    for name in permissions:
        app, codename = name.split(".")
        who.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client.force_login(who)
    return who


# -- files ------------------------------------------------------------------------------------------------


def _exported(client, model, action, rows):
    keys = [row.pk for row in rows]
    answer = client.post(url(model, "changelist"), {"action": action, "_selected_action": keys})
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()


def test_a_list_is_exported_as_a_table_without_formulas(boss):
    made = demo(cycles=2, equity_points=2)
    entry = DiaryEntry.objects.create(bot=made.bot, at=made.now, kind="note", text='=HYPERLINK("http://x")', data={})
    lines = list(csv.DictReader(io.StringIO(_exported(boss, DiaryEntry, "export_csv", [entry]))))
    assert len(lines) == 1
    assert lines[0]["text"] == '\'=HYPERLINK("http://x")'
    assert lines[0]["bot_id"] == str(made.bot.pk)


def test_a_list_is_exported_as_json_with_every_digit(boss):
    made = demo(cycles=2, equity_points=2)
    position = made.positions[0]
    rows = json.loads(_exported(boss, Position, "export_json", made.positions[:3]))
    assert len(rows) == 3
    mine = next(row for row in rows if row["id"] == position.pk)
    assert mine["realised"] == f"{Position.objects.get(pk=position.pk).realised:f}"
    assert mine["opened"] == position.opened.isoformat()


def test_no_secret_leaves_in_an_export(boss):
    demo(cycles=2, equity_points=2)
    for model in MODELS:
        rows = list(model.objects.all()[:1])
        if rows:
            head = _exported(boss, model, "export_csv", rows).splitlines()[0].split(",")
            assert not {"password", "sealed", "digest", "token", "jti", "recovery"} & set(head), model._meta.label


# -- import -----------------------------------------------------------------------------------------------

TEXT = """accounts:
  - name: paper
    limits: {max_leverage: 2}
    bots:
      - {name: second, symbols: [BTCUSDT], interval: 15m}
"""


@pytest.fixture
def given(boss):
    """Somebody who has confirmed, because an import may make an account with real money."""
    confirmed(boss)
    made = demo(cycles=2, equity_points=2)
    return made, {"owner": made.user.pk, "kind": "yaml", "text": TEXT}


def test_an_import_shows_what_would_change_and_writes_only_that(boss, given):
    made, data = given
    place = reverse("admin:accounts_account_import")
    page = boss.post(place, data | {"act": "look"})
    text = page.content.decode()
    assert "2 of 3 would be made or changed" in text
    assert "max_leverage" in text
    assert "5 → 2" in text
    assert made.account.bots.count() == 1
    seen = page.context["seen"]
    answer = boss.post(place, data | {"act": "write", "seen": seen}, follow=True)
    assert "Written: 2 of 3" in answer.content.decode()
    assert RiskLimits.objects.get(account=made.account).max_leverage == 2
    assert made.account.bots.get(name="second").status == "stopped"
    entry = AuditEntry.objects.filter(action="bot-create").latest("pk")
    assert entry.actor.email == "boss@vibex.local"


def test_what_changed_since_it_was_shown_is_not_written(boss, given):
    made, data = given
    place = reverse("admin:accounts_account_import")
    seen = boss.post(place, data | {"act": "look"}).context["seen"]
    RiskLimits.objects.filter(account=made.account).update(max_leverage=4)
    answer = boss.post(place, data | {"act": "write", "seen": seen})
    assert "look again" in answer.content.decode()
    assert RiskLimits.objects.get(account=made.account).max_leverage == 4
    assert made.account.bots.count() == 1


@pytest.mark.parametrize("other", ["owner", "kind", "text"])
def test_what_is_written_is_of_the_person_and_the_text_that_were_shown(boss, given, other):
    """Both stand in fields beside the button: what they said when it was shown is what counts."""
    _, data = given
    place = reverse("admin:accounts_account_import")
    two = [demo(f"{name}@vibex.local", name="paper", feed=False, cycles=1, equity_points=2) for name in ("one", "two")]
    first = data | {"owner": two[0].user.pk, "text": json.dumps({"accounts": [{"name": "fresh", "venue": "sim"}]})}
    seen = boss.post(place, first | {"act": "look"}).context["seen"]
    changed = {"owner": two[1].user.pk, "kind": "json", "text": first["text"].replace("}", " }")}
    answer = boss.post(place, first | {other: changed[other], "act": "write", "seen": seen})
    assert "look again" in answer.content.decode()
    assert not Account.objects.filter(name="fresh").exists()
    browser = first | {"act": "write", "seen": seen}
    assert boss.post(place, browser).status_code == 302
    assert Account.objects.get(name="fresh").owner == two[0].user


def test_lines_may_end_as_a_browser_sends_them(boss, given):
    _, data = given
    place = reverse("admin:accounts_account_import")
    seen = boss.post(place, data | {"act": "look"}).context["seen"]
    sent = data | {"text": TEXT.replace("\n", "\r\n"), "act": "write", "seen": seen}
    assert boss.post(place, sent).status_code == 302


def test_what_was_exported_can_be_imported_and_changes_nothing(boss, given):
    made, data = given
    bot_of(
        made.account,
        "other",
        capital=Decimal("1000.5"),
        shadow_models=["rules/hold"],
        interval="1h",
        timeframes=["1h", "4h"],
    )
    RiskLimits.objects.filter(account=made.account).update(daily_loss=Decimal("0.0175"), equity_floor=Decimal(4000))
    form = {"action": "export_file", "_selected_action": [made.account.pk]}
    answer = boss.post(url(Account, "changelist"), form)
    text = answer.content.decode()
    assert "daily_loss: '0.0175'" in text
    assert answer["Content-Disposition"].endswith('.yaml"')
    place = reverse("admin:accounts_account_import")
    page = boss.post(place, data | {"text": text, "act": "look"}).content.decode()
    assert "Nothing would change" in page, page
    other = person("second@vibex.local")
    seen = boss.post(place, data | {"text": text, "act": "look", "owner": other.pk}).context["seen"]
    boss.post(place, data | {"text": text, "act": "write", "owner": other.pk, "seen": seen})
    copy = Account.objects.get(owner=other)
    assert copy.limits.stated() == RiskLimits.objects.get(account=made.account).stated()
    assert sorted(copy.bots.values_list("name", "status")) == [("other", "stopped"), ("trend", "stopped")]
    assert copy.bots.get(name="other").capital == Decimal("1000.5")


def test_a_file_holds_accounts_of_one_owner(boss, given):
    other = account_of(person("second@vibex.local"))
    form = {"action": "export_file", "_selected_action": [given[0].account.pk, other.pk]}
    answer = boss.post(url(Account, "changelist"), form, follow=True)
    assert "of one owner" in answer.content.decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accounts: [", "is not YAML"),
        ("accounts:\n  - name: paper\n    limits: {max_leverage: 50}\n", "max_leverage"),
        ("accounts:\n  - name: paper\n    levrage: 5\n", "not known here"),
        (
            "accounts:\n  - name: paper\n    credentials: {kind: api_key, key_variable: SECRET_KEY, secret_variable: B}\n",
            "enter keys on the page of the account",
        ),
    ],
)
def test_an_import_that_cannot_be_used_is_refused_with_its_faults(boss, given, text, said):
    answer = boss.post(reverse("admin:accounts_account_import"), given[1] | {"text": text, "act": "look"})
    assert said in answer.content.decode()
    assert "Nothing was written" in answer.content.decode()


def test_an_import_is_for_who_may_make_and_change_all_of_it(client):
    demo(cycles=2, equity_points=2)
    _staff(client, "accounts.add_account", "accounts.view_account")
    assert client.get(reverse("admin:accounts_account_import")).status_code == 403
