"""Accounts with their limits, and bots, as tables: what was exported comes back, and what is wrong is told by its line."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.models import Account, AuditEntry, Bot, RiskLimits
from tests.support.access import confirmed
from tests.support.demo import account_of, bot_of, demo, person
from trading.services.load_accounts import BadFile, bots_table, by_line, file_check, table_read
from trading.services.load_accounts.table import NONE
from vibex.lib import cells

pytestmark = pytest.mark.django_db
PLACE = "/admin/accounts/account/import/"


@pytest.fixture
def boss(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    confirmed(client)
    return client


@pytest.fixture
def made():
    made = demo(cycles=2, equity_points=2)
    Bot.objects.update(status="stopped")
    return made


def exported(client, model, rows):
    form = {"action": "export_table", "_selected_action": [row.pk for row in rows]}
    answer = client.post(reverse(f"admin:accounts_{model._meta.model_name}_changelist"), form)
    assert answer.status_code == 200, answer
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].endswith('.csv"')
    return answer.content.decode()


def look(client, owner, text, **more):
    return client.post(PLACE, {"owner": owner.pk, "kind": "csv", "text": text, "act": "look", **more})


def write(client, owner, text):
    seen = look(client, owner, text).context["seen"]
    assert seen
    return look(client, owner, text, act="write", seen=seen)


# -- there and back ----------------------------------------------------------------------------------------------------


def test_accounts_with_their_limits_come_back_and_change_nothing(boss, made):
    RiskLimits.objects.filter(account=made.account).update(
        daily_loss=Decimal("0.0175"), trailing_stop=None, equity_floor=Decimal(4000), sides="long", pyramiding=True
    )
    text = exported(boss, Account, [made.account, account_of(made.user, "-second")])
    assert "Nothing would change" in look(boss, made.user, text).content.decode()
    other = person("other@vibex.local")
    assert write(boss, other, text).status_code == 302
    copy = Account.objects.get(owner=other, name="paper")
    assert copy.limits.stated() == RiskLimits.objects.get(account=made.account).stated()
    assert Account.objects.filter(owner=other, name="-second").exists()


def test_bots_come_back_with_their_lists_and_what_they_have_not(boss, made):
    bot_of(
        made.account, "-other", capital=Decimal("1000.50000001"), shadow_models=["rules/hold"], interval="1h",
        timeframes=["1h", "4h"], approval=True, tokens_per_day=5_000,
    )  # fmt: skip
    text = exported(boss, Bot, made.account.bots.all())
    looked = look(boss, made.user, text)
    assert "Nothing would change" in looked.content.decode(), looked.context["faults"] or looked.context["items"]
    Bot.objects.filter(name="-other").update(capital=None, shadow_models=[], approval=False)
    Bot.objects.filter(name="trend").update(capital=Decimal(7))
    page = look(boss, made.user, text).content.decode()
    for said in ("7 → none", "none → 1000.50000001", "none → rules/hold", "no → yes"):
        assert said in page
    assert write(boss, made.user, text).status_code == 302
    back = Bot.objects.get(name="-other")
    assert (back.capital, back.shadow_models, back.approval) == (
        Decimal("1000.50000001"), ["rules/hold"], True,
    )  # fmt: skip
    assert Bot.objects.get(name="trend").capital is None
    entry = AuditEntry.objects.filter(action="bot-change").latest("pk")
    assert entry.actor.email == "boss@vibex.local"


def test_what_begins_like_a_formula_is_defused_and_read_back(made):
    bot = Bot(
        account=Account(name="-a"), name="-b", model="=HYPERLINK(1)", prompt_template="'=x", symbols=["+A", "B,C"],
        served_models=["(none)"], fallback_models=["@cf/a", "b"], timeframes=["3m"], ensemble_models=["'quoted"],
    )  # fmt: skip
    text = bots_table([bot])
    (row,) = csv.DictReader(io.StringIO(text))
    assert {row["account"], row["name"], row["model"]} == {"'-a", "'-b", "'=HYPERLINK(1)"}
    assert not [cell for cell in row.values() if cells.FORMULA.match(cell) and not cells.NUMBER.fullmatch(cell)]
    (account,) = file_check(table_read(text, "it").content).accounts
    (back,) = account.bots
    assert (account.name, back.name, back.model, back.prompt_template) == ("-a", "-b", "=HYPERLINK(1)", "'=x")
    assert (back.symbols, back.served_models) == (["+A", "B,C"], ["(none)"])
    assert (back.fallback_models, back.ensemble_models, back.shadow_models) == (["@cf/a", "b"], ["'quoted"], [])


@pytest.mark.parametrize(
    "text", ["", "plain", "'", "''", "'a", "=1", "'=1", "''=1", "-5", "-5x", "'-5", "+a", "@", "\t", "it's"]
)
def test_every_text_is_kept_by_a_cell(text):
    assert cells.read(cells.kept(text)) == text
    assert not cells.FORMULA.match(cells.kept(text)) or cells.NUMBER.fullmatch(text)


def test_what_a_person_writes_with_an_apostrophe_is_left_alone():
    assert cells.read("'tis") == "'tis"


# -- how spreadsheets write --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_cells_are_parted_as_spreadsheets_do_and_empty_ones_and_lines_say_nothing(boss, made, between):
    head = between.join(["account", "name", "symbols", "interval", "approval", "capital", "max_tokens"])
    line = between.join(["paper", "fresh", '"BTCUSDT, ETHUSDT"', "15m", "TRUE", "", "8000"])
    text = f"\ufeff{head}\r\n\r\n{line}\r\n{between * 6}\r\n"
    assert write(boss, made.user, text).status_code == 302
    bot = made.account.bots.get(name="fresh")
    assert (bot.symbols, bot.approval, bot.capital, bot.max_tokens) == (["BTCUSDT", "ETHUSDT"], True, None, 8000)
    assert bot.status == "stopped"


def test_an_empty_cell_leaves_a_limit_and_the_word_for_nothing_takes_it_away(boss, made):
    RiskLimits.objects.filter(account=made.account).update(equity_floor=Decimal(4000), trailing_stop=Decimal("0.02"))
    text = f"name,limits.equity_floor,limits.trailing_stop,limits.max_leverage\npaper,,{NONE},2\n"
    assert write(boss, made.user, text).status_code == 302
    limits = RiskLimits.objects.get(account=made.account)
    assert (limits.equity_floor, limits.trailing_stop, limits.max_leverage) == (Decimal(4000), None, 2)


def test_what_changed_since_it_was_shown_is_not_written(boss, made):
    text = "name,limits.max_leverage\npaper,2\n"
    seen = look(boss, made.user, text).context["seen"]
    RiskLimits.objects.filter(account=made.account).update(max_leverage=4)
    assert "look again" in look(boss, made.user, text, act="write", seen=seen).content.decode()
    assert RiskLimits.objects.get(account=made.account).max_leverage == 4


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,levrage\npaper,5\n", "line 1, levrage: is not known here"),
        ("name,limits.max_levrage\npaper,5\n", "line 1, limits.max_levrage: is not known here; did you mean limits.max_leverage?"),
        ("name,credentials.secret\npaper,hush\n", "line 1, credentials.secret: is not known here"),
        ("name,0123456789abcdef\npaper,x\n", "line 1, …: is not known here"),
        ("name,venue,name\npaper,sim,paper\n", "line 1: has the column name twice"),
        ("venue\nsim\n", "line 1: has to name the columns"),
        ("", "This field is required"),
        ("\n\n", "line 1: has to name the columns"),
        ("name,venue\n", "accounts: list should have at least 1 item"),
        ("name,venue\npaper,sim,more\n", "line 2: has more cells than the first line"),
        ('name,venue\n"paper,sim\n', "is no table at line"),
        ("name,limits.max_leverage\npaper,many\n", "line 2, limits.max_leverage: input should be a valid integer"),
        ("name,limits.max_leverage\n\npaper,50\n", "line 3, limits.max_leverage"),
        ("name,limits.daily_loss\npaper,much\n", "line 2, limits.daily_loss: has to be a number"),
        ("name,limits.pyramiding\npaper,perhaps\n", "line 2, limits.pyramiding: input should be a valid boolean"),
        ("name,venue\npaper,sim\npaper,sim\n", "line 3, name: paper stands in the file more than once"),
        ("account,name,symbols\n,fresh,BTCUSDT\n", "line 2, account: is missing"),
        ("account,name,symbols\npaper,,BTCUSDT\n", "line 2, name: is missing"),
        ("account,name,symbols,interval\npaper,one,BTCUSDT,3m\npaper,two,NOSUCH,3m\n", "line 3, symbols: "),
        ("account,name,symbols,interval\nnowhere,one,BTCUSDT,3m\n", "line 2, venue: has to be one of"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_by_its_line_and_nothing_is_written(boss, made, text, said):
    before = Account.objects.count(), Bot.objects.count()
    answer = look(boss, made.user, text)
    page = answer.content.decode().replace("&#x27;", "'")
    assert said in page, answer.context["faults"]
    assert "hush" not in "".join(answer.context["faults"] and map(str, answer.context["faults"]))
    assert (Account.objects.count(), Bot.objects.count()) == before


def test_faults_of_what_has_no_line_stay_as_they_are():
    with pytest.raises(BadFile) as refusal:
        table_read("name\n'\n\"", "the text")
    assert "the text: is no table" in str(by_line(refusal.value, {}))


def test_a_table_is_of_one_owner(boss, made):
    other = bot_of(account_of(person("other@vibex.local")))
    for model, rows in ((Account, [made.account, other.account]), (Bot, [made.bot, other])):
        form = {"action": "export_table", "_selected_action": [row.pk for row in rows]}
        address = reverse(f"admin:accounts_{model._meta.model_name}_changelist")
        assert "of one owner" in boss.post(address, form, follow=True).content.decode()
