"""Halting, resuming and real money on the pages: what is asked first, and who may."""

from __future__ import annotations

import re

import pytest

from accounts.models import Account, AuditEntry, Bot, Incident, Job, LiveApproval
from decisions.models import Cycle
from tests.support.access import confirmed
from tests.support.demo import PASSWORD
from trading.models import Halt, Reconciliation
from trading.services import (
    act_work,
)  # both before any test puts something else in the place of one
from trading.services.halt import account_halt
from trading.tests.approval_kit import AskingHouse
from trading.tests.builders import make_account
from trading.tests.page_acts_kit import address, confirm, fields, house_with_a_page, position, text
from vibex.lib.variables import Features

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def house(monkeypatch, client) -> AskingHouse:
    return house_with_a_page(monkeypatch, client)


# -- halt and resume ---------------------------------------------------------------------------------------------------


def test_an_account_is_halted_from_its_desk_and_lifted_when_all_is_proved(client, house):
    page = text(client.get(address(house, "halt")))
    assert "2 working orders" in page
    assert "worth 2,020.00 USDT" in page
    done = text(confirm(client, address(house, "halt"), reason="test"))
    assert "is halted and is flat" in done
    assert (house.account.state, house.held()) == ("halted", 0)
    assert "You need the permission" in text(client.get(address(house, "resume")))
    refusal = confirm(client, address(house, "resume"), reason="looked at")
    assert house.account.state == "halted", text(refusal)
    may_resume(house)
    page = text(client.get(address(house, "resume")))
    assert "✓ yes The exchange has shown that the halt did its work." in page
    assert "Say why" in text(confirm(client, address(house, "resume")))
    assert house.account.state == "halted"
    assert "may open positions again" in text(confirm(client, address(house, "resume"), reason="looked at"))
    assert house.account.state == "active"
    assert "is active already" in text(client.get(address(house, "resume")))


def may_resume(house: AskingHouse) -> None:
    from django.contrib.auth.models import Permission

    house.owner.user_permissions.add(Permission.objects.get(codename="resume_account"))


def test_a_halt_that_keeps_positions_says_so_on_the_page_that_is_shown_again(client, real, monkeypatch):
    client.force_login(real.owner)
    path = address(real, "halt")
    assert "close BTCUSDT long, worth 2,020.00 USDT, at market" in text(client.get(path))
    again = client.post(path, fields(client.get(path)) | {"typed": "wrong", "keep_positions": "yes"})
    assert again.status_code == 409
    said = text(again)
    assert "keep BTCUSDT long, worth 2,020.00 USDT, with stop and target" in said
    assert "no order of ours that could open is working" in said
    for untrue in ("at market", "until it is flat", "closes what Vibex did not open"):
        assert untrue not in said


def test_a_choice_in_the_question_of_a_halt_changes_what_it_says_and_leaves_the_form(client, house):
    """With scripts the words are put anew in place, beside what was typed; without, the box is sent with the form."""
    page = client.get(address(house, "halt")).content.decode()
    box = re.search(r"<input type=\"checkbox\".*?>", page, re.DOTALL).group()
    for told in (f'hx-get="{address(house, "halt")}"', 'hx-select="#act-says"', 'hx-trigger="change"'):
        assert told in box
    assert box.count('hx-target="#act-says"') == page.count('id="act-says"') == 1
    part = client.get(address(house, "halt"), {"keep_positions": "yes"}, headers=HTMX).content.decode()
    words = re.search(r'<div id="act-says".*?</div>', part, re.DOTALL).group()
    assert "keep BTCUSDT long, worth 2,020.00 USDT, with stop and target" in words
    assert "<input" not in words, "what was typed is beside it"
    assert 'id="act-version"' in part, "the mark of what is shown comes along"


def test_a_halt_that_closes_already_keeps_nothing_and_says_so(client, house):
    account_halt(account=house.account, reason="test")
    said = text(client.get(f"{address(house, 'halt')}?keep_positions=yes"))
    assert "That halt closes positions: they are not kept." in said
    assert "It also closes what Vibex did not open." in said


def test_a_halt_that_is_not_proved_is_not_offered_to_be_lifted(client, house):
    may_resume(house)
    account_halt(account=house.account, reason="test")
    Halt.objects.update(flat_at=None, problem="the exchange does not answer")
    page = client.get(address(house, "resume"))
    assert "has not shown it flat yet: the exchange does not answer" in text(page)
    assert 'name="token"' not in page.content.decode()


def test_a_resume_from_before_another_halt_is_shown_anew(client, house):
    may_resume(house)
    account_halt(account=house.account, reason="first")
    given = fields(client.get(address(house, "resume"))) | {"reason": "looked at"}
    account_halt(account=house.account, reason="second")
    assert client.post(address(house, "resume"), given).status_code == 409
    assert house.account.state == "halted"


# -- real money --------------------------------------------------------------------------------------------------------


@pytest.fixture
def real(house) -> AskingHouse:
    paper = Account.objects.get(pk=house.account.pk)
    paper.pk, paper.name = None, "before"
    paper.save()
    Account.objects.filter(pk=house.account.pk).update(mode="live", promoted_from=paper)
    house.owner.set_password(PASSWORD)
    house.owner.save()
    return house


def test_on_real_money_the_name_of_the_account_is_typed(client, real, monkeypatch):
    client.force_login(real.owner)
    done = []
    monkeypatch.setattr("trading.api.positions.close_work", lambda job, **_: done.append("closed"))
    path = address(real, "close", position())
    for typed in ("", "pap", "PAPER"):
        page = client.post(path, fields(client.get(path)) | {"typed": typed})
        assert page.status_code == 409
        assert "Type the name of the account to confirm: paper" in text(page)
    assert done == []
    client.post(path, fields(client.get(path)) | {"typed": " paper "})
    assert done == ["closed"]


def test_on_real_money_what_may_raise_risk_wants_a_confirmation_and_a_close_does_not(client, real):
    client.force_login(real.owner)
    path = address(real, "move-stop", position())
    page = client.post(path, {"price": "98500"})
    assert (page.status_code, "Confirm that it is you" in page.content.decode()) == (403, True)
    assert client.post(address(real, "close", position()), {}).status_code == 409, "only the name is missing"


def stopped(real: AskingHouse, client) -> str:
    """Sign in and confirm; return the address of the question whether the bot, which is stopped, is started."""
    Bot.objects.update(status="stopped", capital=500)
    client.force_login(real.owner)
    client.get("/profile/")
    confirmed(client)
    return address(real, "start-bot", real.bot)


def test_a_start_that_would_be_refused_by_the_gate_says_so_in_the_question(client, real, settings):
    path = stopped(real, client)
    page = text(client.get(path))
    assert (
        "Live trading is switched off: set FEATURE_LIVE_TRADING=yes and restart. Until then a start is refused." in page
    )
    refused = text(client.post(path, fields(client.get(path)) | {"typed": "paper"}, follow=True))
    assert "Not done. " in refused
    assert "Live trading is switched off" in refused
    assert Bot.objects.get().status == "stopped"
    settings.FEATURES = Features(live_trading=True)
    assert "Nobody has let paper trade with real money" in text(client.get(path))
    LiveApproval.objects.create(account=real.account, actor=real.owner, evidence={"signs": None})
    assert "Until then" not in text(client.get(path))


def test_a_decision_that_can_only_close_says_so_in_the_question(client, real):
    stopped(real, client)
    page = client.get(address(real, "decide", real.bot))
    assert "switched off: set FEATURE_LIVE_TRADING=yes and restart. Until then nothing of it opens" in text(page)
    assert 'name="token"' in page.content.decode(), "a close is never refused"


def test_a_bot_on_real_money_is_started_after_it_was_said_what_it_will_do(client, real, monkeypatch):
    started = []
    monkeypatch.setattr(act_work, "bot_start", lambda bot, **_: started.append(bot.name) or bot)
    path = stopped(real, client)
    said = text(client.get(path))
    for told in (real.bot.model, "every 3m candle of BTCUSDT", "real money of paper at sim", "it sizes by 500.00 USDT"):
        assert told in said
    assert "Equity of paper: 9," in said
    assert client.post(path, fields(client.get(path))).status_code == 409, "without the name"
    old = fields(client.get(path))
    Bot.objects.update(model="rules/other")
    changed = client.post(path, old | {"typed": "paper"})
    assert (changed.status_code, "rules/other decides" in text(changed)) == (409, True)
    assert started == []
    given = fields(changed) | {"typed": "paper"}
    done = client.post(path, given, follow=True)
    assert f"{real.bot.name} is started." in text(done)
    client.post(path, given)
    assert started == [real.bot.name], "once, however often the form is sent"


def test_a_bot_of_a_halted_account_is_not_offered_to_be_started(client, real):
    path = stopped(real, client)
    account_halt(account=real.account, reason="storm")
    page = client.get(path)
    assert "while it is, nothing opens" in text(page)
    assert 'name="token"' not in page.content.decode()
    assert client.post(path, {"typed": "paper"}).status_code == 409
    assert Bot.objects.get().status == "stopped"


def test_a_decision_on_real_money_is_asked_for_by_name_and_leads_to_its_cycle(client, real, monkeypatch):
    asked = []
    cycle = Cycle.objects.latest("pk").pk
    done = {"cycle": cycle, "status": "done", "text": "BTCUSDT: held"}
    monkeypatch.setattr("trading.api.cycles.cycle_work", lambda job, bot: asked.append(bot.name) or done)
    stopped(real, client)
    path = address(real, "decide", real.bot)
    page = client.get(path)
    assert f"Ask {real.bot.model} once about BTCUSDT" in text(page)
    assert client.post(path, fields(page) | {"typed": "other"}).status_code == 409
    assert asked == []
    shown = client.post(path, fields(page) | {"typed": "paper"}, follow=True)
    assert "BTCUSDT: held" in text(shown)
    assert f'href="/cycles/{cycle}/"' in shown.content.decode()
    assert asked == [real.bot.name]


def test_the_pages_ask_before_a_bot_trades_real_money_and_their_forms_do_nothing_at_once(client, real):
    question = stopped(real, client)
    desk = client.get(f"/accounts/{real.account.pk}/").content.decode()
    page = client.get(f"/bots/{real.bot.pk}/").content.decode()
    for shown in (desk, page):
        assert f'href="{question}"' in shown
        assert f"/bots/{real.bot.pk}/start/" not in shown
    assert f'href="{address(real, "decide", real.bot)}"' in page
    assert f"/bots/{real.bot.pk}/decide/" not in page
    assert client.post(f"/bots/{real.bot.pk}/start/")["Location"] == question
    assert client.post(f"/bots/{real.bot.pk}/start/", headers=HTMX)["HX-Redirect"] == question
    assert client.post(f"/bots/{real.bot.pk}/decide/")["Location"] == address(real, "decide", real.bot)
    assert Bot.objects.get().status == "stopped"
    assert not Job.objects.exists()


def test_on_paper_the_gate_is_not_spoken_of(client, house):
    Bot.objects.update(status="stopped")
    for act in ("start-bot", "decide"):
        assert "Until then" not in text(client.get(address(house, act, house.bot)))


def test_on_paper_a_bot_starts_and_decides_by_one_button(client, house):
    Bot.objects.update(status="stopped")
    desk = client.get(f"/accounts/{house.account.pk}/").content.decode()
    assert f'hx-post="/bots/{house.bot.pk}/start/"' in desk
    assert "/acts/start-bot/" not in desk
    assert f'action="/bots/{house.bot.pk}/decide/"' in client.get(f"/bots/{house.bot.pk}/").content.decode()


# -- who may -----------------------------------------------------------------------------------------------------------


def test_a_viewer_closes_and_halts_and_moves_nothing(client, house):
    house.owner.groups.clear()
    client.force_login(house.owner)
    assert client.post(address(house, "move-stop", position()), {"price": "98500"}).status_code == 403
    assert "Move stop" not in client.get(f"/accounts/{house.account.pk}/").content.decode()
    confirm(client, address(house, "close", position()))
    assert house.held() == 0


def test_an_incident_is_resolved_once_with_its_reason(client, house):
    incident = Incident.objects.create(account=house.account, kind="gap", text="A candle is missing.")
    path = f"/accounts/{house.account.pk}/incidents/{incident.pk}/resolve/"
    assert "Resolved: A candle is missing." in text(client.post(path, {"reason": "seen"}, follow=True))
    assert "resolved already" in text(client.post(path, {"reason": "again"}, follow=True))
    assert [entry.after for entry in AuditEntry.objects.filter(action="incident-resolve")] == [{"reason": "seen"}]
    foreign = Incident.objects.create(account=make_account("other"), kind="gap", text="Theirs.")
    assert client.post(path.replace(f"/{incident.pk}/", f"/{foreign.pk}/")).status_code == 404


def test_a_job_that_runs_is_looked_at_again_and_is_nobody_elses(client, house):
    now = house.clock.at.replace(year=2099)
    job = Job.objects.create(
        owner=house.owner, kind="close", account=house.account, request={"position": position().pk}, alive_until=now,
        progress=[{"at": now.isoformat(), "text": "closing BTCUSDT"}],
    )  # fmt: skip
    path = f"/accounts/{house.account.pk}/acts/done/{job.pk}/"
    part = client.get(path, headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in part
    assert "closing BTCUSDT" in part
    Job.objects.update(status="lost")
    assert "hx-trigger" not in client.get(path, headers=HTMX).content.decode()
    client.force_login(make_account("other").owner)
    assert client.get(path).status_code == 404


def test_the_last_comparison_is_named_among_what_must_be_true(client, house):
    may_resume(house)
    account_halt(account=house.account, reason="test")
    Reconciliation.objects.create(account=house.account, trigger="test", agreed=False, left=["BTCUSDT: gone"])
    assert "Books and exchange differed last time" in text(client.get(address(house, "resume")))
