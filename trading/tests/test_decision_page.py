"""The page of a decision: its way, the requests, long texts on demand, and nothing of it for anybody else."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from decisions.models import Approval, Cycle, Decision, Interaction
from tests.support import demo_way
from tests.support.demo import demo, person
from tests.support.demo_way import DEEPSEEK, GROK, SECRET, asked, body, cycle_at, decided, entry
from trading.domain.way_rows import Station
from trading.models import Order, Position
from trading.selectors.cycle_text import LONGEST_SHOWN
from trading.selectors.trace import cycle_to_show, trace_of

pytestmark = pytest.mark.django_db
PARTS = ("prompt", "reasoning", "reply")


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=3, equity_points=5)
    client.force_login(made.user)
    return made


def page_of(client, cycle, status=200):
    answer = client.get(f"/cycles/{cycle.pk}/")
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def texts_of(row, part, suffix="/"):
    return f"/cycles/{row.cycle_id}/interactions/{row.pk}/{part}{suffix}"


def way_of(cycle):
    trace = trace_of(cycle_to_show(cycle.account.owner, cycle.pk))
    return {mark.station.value: (mark.state.name, mark.code) for mark in trace.way.stations}, trace


# -- the way -------------------------------------------------------------------------------------------------


def test_a_ladder_is_told_from_the_first_request_to_the_result(client, made):
    cycle = demo_way.ladder(made)
    stations, trace = way_of(cycle)
    assert stations["answered"] == ("PASSED", "")
    assert stations["meaning"] == ("PARTLY", "stop_loss.side")
    assert stations["risk"] == ("PARTLY", "size.risk, cap.group")
    assert stations["result"] == ("PASSED", "")
    assert [row.symbol for row in trace.way.rows] == ["BTCUSDT", "XRPUSDT", "ETHUSDT", "SOLUSDT"]
    page = page_of(client, cycle)
    for text in (
        "json.syntax: it ends inside of an object",
        "After 1 reply that could not be read",
        "Request 2 of 2 is used",
        "about 0.00264 USD, nobody said",
        "6,120 (4,890 cached)",
        "1 closed: +10.05 net",
        "not traded: stop, −1.00 × risk",
        f"uv run manage.py replay {cycle.pk}",
    ):
        assert text in page, text


def test_requests_of_a_ladder_follow_each_other_on_one_axis_up_to_the_deadline(made):
    asking = way_of(demo_way.ladder(made))[1].askings[0]
    first, second = (rung.bar for rung in asking.rungs)
    assert (first.start, first.width, first.deadline) == (0.0, 28.07, 100.0)  # 8.42 of 30 s
    assert second.start == pytest.approx(28.07)
    assert (first.late, second.late) == (False, False)


def test_models_that_are_asked_at_once_begin_together_and_a_late_reply_with_its_request(made):
    together = way_of(demo_way.together(made))[1].askings[0]
    assert [rung.bar.start for rung in together.rungs] == [0.0, 0.0, 0.0]
    given_up, late = way_of(demo_way.rejected(made))[1].askings[0].rungs
    assert (given_up.bar.start, late.bar.start, late.bar.late) == (0.0, 0.0, True)
    assert late.bar.width == 100.0
    assert given_up.bar.deadline == pytest.approx(87.98)  # 30 of 34.1 s


def test_votes_and_shadows_stand_with_their_models_and_are_said_not_to_be_traded(client, made):
    cycle = demo_way.together(made)
    stations, trace = way_of(cycle)
    assert stations["answered"] == ("PARTLY", "http.503")
    assert [len(rung.votes) for rung in trace.askings[0].rungs] == [2, 2, 0]
    assert trace.way.rows[1].mark(Station.MEANING).text == "models disagree"
    assert stations["meaning"] == ("PARTLY", "")
    page = page_of(client, cycle)
    assert "<dt>Cost</dt> <dd>nothing</dd>" in page.replace("</dt><dd>", "</dt> <dd>")  # the refused one
    assert page.count(">agrees<") == 3
    assert page.count(">differs<") == 1
    shadowed = demo_way.ladder(made)
    page = page_of(client, shadowed)
    assert "not traded" in page
    assert "+4.27" in page
    assert [row.decision.symbol for row in way_of(shadowed)[1].ruled] == ["BTCUSDT", "XRPUSDT", "ETHUSDT"]


def test_money_that_nobody_stated_counts_as_an_estimate_until_a_late_reply_states_it(client, made):
    spent = way_of(demo_way.ladder(made))[1].spent
    assert (spent.cost, spent.assumed) == (Decimal("0.01635"), Decimal("0.00264"))
    cycle = demo_way.rejected(made)
    assert (way_of(cycle)[1].spent.cost, way_of(cycle)[1].spent.assumed) == (Decimal("0.00231"), 0)
    assert "of which" not in page_of(client, cycle)


def test_a_shadow_or_a_replay_never_bears_on_the_way(made):
    cycle = cycle_at(made, 30)
    asked(cycle, DEEPSEEK)
    decided(cycle, 1, "BTCUSDT")
    before = way_of(cycle)[0]
    for purpose in ("shadow", "replay", "dry_run"):
        asked(cycle, GROK, "rejected", "json.syntax: it ends", purpose=purpose)
    assert way_of(cycle)[0] == before


@pytest.mark.parametrize(
    ("outcome", "reason", "station", "code"),
    [
        ("no_answer", "unreachable: no connection to host", "answered", "unreachable"),
        ("no_answer", "http.429: host answered 429", "answered", "http.429"),
        ("rejected", "envelope.finish: it was cut", "parsed", "envelope.finish"),
        ("rejected", "text.fences: not exactly one", "parsed", "text.fences"),
        ("rejected", "json.nan: NaN", "parsed", "json.nan"),
        ("rejected", "reply.decision_id: another", "parsed", "reply.decision_id"),
        ("answered", "BTCUSDT held: quantity.greater_than", "schema", "quantity.greater_than"),
        ("answered", "BTCUSDT held: stop_loss.off_tick", "meaning", "stop_loss.off_tick"),
    ],
)
def test_each_reason_stops_at_its_station(client, made, outcome, reason, station, code):
    cycle = cycle_at(made, 30, seen={})
    asked(cycle, DEEPSEEK, outcome, reason)
    stations, _ = way_of(cycle)
    assert stations[station] == ("STOPPED", code)
    behind = list(Station)[list(Station).index(Station(station)) + 1 :]
    assert {stations[each.value][0] for each in behind} == {"UNREACHED"}
    assert f"<code>{code}</code>" in page_of(client, cycle)


def test_held_symbols_are_read_from_what_is_kept_of_them_before_their_words(made):
    cycle = cycle_at(made, 30, seen={})
    asked(cycle, DEEPSEEK, "answered", "X" * 300, parameters={"held": {"ETHUSDT": "stop_loss.side"}})
    assert way_of(cycle)[0]["meaning"] == ("STOPPED", "stop_loss.side")


def test_a_ruling_that_refuses_all_stops_at_risk(made):
    cycle = cycle_at(made, 30)
    hit = {"rule": "cap.gross", "effect": "refused", "text": "full", "numbers": {}}
    decided(cycle, 1, "BTCUSDT", "buy_to_enter", verdict="refused", hits=[hit], **entry())
    assert way_of(cycle)[0]["risk"] == ("STOPPED", "cap.gross")


def test_rules_decide_without_a_model_and_the_page_says_so(client, made):
    cycle = made.cycles[0]
    stations, _ = way_of(cycle)
    assert {stations[name][0] for name in ("asked", "answered", "parsed", "schema", "meaning")} == {"UNNEEDED"}
    assert stations["orders"] == ("PASSED", "")
    assert stations["result"] == ("WAITING", "")
    page = page_of(client, cycle)
    assert "Decided by rules: no model is asked" in page
    assert "No model was asked in this cycle." in page


def test_nobody_asked_abandoned_and_waiting_for_approval_are_told(client, made):
    unasked, abandoned = demo_way.unasked(made), demo_way.abandoned(made)
    assert way_of(unasked)[0]["asked"] == ("STOPPED", "budget.day")
    assert "2.00 of 2.00 USD of this day are used up" in page_of(client, unasked)
    assert way_of(abandoned)[0]["orders"] == ("STOPPED", "abandoned")
    waits = made.cycles[-1]
    assert way_of(waits)[0]["orders"] == ("WAITING", "")
    assert "waits for approval" in page_of(client, waits)
    Approval.objects.update(state="rejected", reason="not before the news", at=timezone.now())
    assert way_of(waits)[0]["orders"] == ("STOPPED", "approval.rejected")


def test_a_failed_cycle_stops_at_its_step_and_a_running_one_waits_there(client, made):
    failed = cycle_at(made, 30, status="failed", stage="snapshot", error="Retryable: the venue is silent", timings={})
    assert way_of(failed)[0]["asked"] == ("STOPPED", "failed")
    assert "the venue is silent" in page_of(client, failed)
    running = cycle_at(made, 31, status="running", stage="ask", timings={}, ended=None)
    assert way_of(running)[0]["answered"] == ("WAITING", "")
    assert "not yet" in page_of(client, running)


def test_what_happened_to_a_position_later_stands_with_its_decision(client, made):
    cycle = demo_way.ladder(made)
    decision = Decision.objects.get(cycle=cycle, kind="live", symbol="BTCUSDT")
    position = Position.objects.get(decision=decision)
    Order.objects.create(
        account=made.account, bot=made.bot, position=position, role="stop", symbol="BTCUSDT", side="SELL", state="live",
        type="STOP_MARKET", client_order_id="moved", trigger=Decimal("70290.5"), created=position.opened + timedelta(hours=1),
        close_position=True,
    )  # fmt: skip
    page = page_of(client, cycle)
    assert "Ordered for this position later:" in page
    assert "70,290.5" in page
    assert "by target at 71,102.3" in page
    assert "realised +11.08, fees 0.91, funding −0.12" in page
    assert "Other orders" not in page


def test_an_entry_that_nobody_counted_yet_says_so(client, made):
    assert "counted later" in page_of(client, demo_way.abandoned(made))


def test_the_cycles_before_and_after_are_one_step_away(client, made):
    first, second, third = (cycle_at(made, hours) for hours in (90, 80, 70))
    page = page_of(client, second)
    assert f'href="/cycles/{first.pk}/" rel="prev"' in page
    assert f'href="/cycles/{third.pk}/" rel="next"' in page
    assert 'rel="prev"' not in page_of(client, first)
    newest = Cycle.objects.filter(bot=made.bot).latest("scheduled_for")
    assert 'rel="next"' not in page_of(client, newest)


# -- long texts ----------------------------------------------------------------------------------------------


def test_the_page_holds_no_long_text_and_each_is_one_request_away(client, made):
    row = Interaction.objects.filter(cycle=demo_way.ladder(made), used=True, attempt=1).get()
    page = page_of(client, row.cycle)
    assert "You are a trading agent." not in page
    for part in PARTS:
        assert f'href="{texts_of(row, part)}"' in page  # also without a script
        assert f'hx-get="{texts_of(row, part)}"' in page
        whole = client.get(texts_of(row, part)).content.decode()
        alone = client.get(texts_of(row, part), headers={"HX-Request": "true"}).content.decode()
        assert "<html" in whole
        assert "<html" not in alone
        assert "data-copy=" in alone
        assert texts_of(row, part, ".txt") in alone


def test_the_reply_is_shown_as_it_came_and_laid_out_beside_it(client, made):
    row = asked(cycle_at(made, 30), DEEPSEEK, reply=body({"coin": "BTCUSDT", "signal": "hold"}))
    page = client.get(texts_of(row, "reply")).content.decode()
    assert "{&quot;id&quot;: &quot;gen-1&quot;" in page
    assert "  &quot;decisions&quot;: [\n    {\n      &quot;coin&quot;: &quot;BTCUSDT&quot;" in page


@pytest.mark.parametrize("part", PARTS)
def test_what_looks_like_a_secret_is_masked_on_pages_and_in_files_and_stays_as_it_was_stored(client, made, part):
    text = f"my key is {SECRET} and api_key=hunter2hunter2"
    row = asked(cycle_at(made, 30), DEEPSEEK, reply=text, user_prompt=text, reasoning=text)
    for address in (texts_of(row, part), texts_of(row, part, ".txt")):
        said = client.get(address).content.decode()
        assert "my key is ***" in said
        assert SECRET not in said
        assert "hunter2hunter2" not in said
    row.refresh_from_db()
    assert row.reply == text


def test_secrets_in_words_of_a_decision_and_of_the_diary_are_masked(client, made):
    cycle = cycle_at(made, 30)
    decided(cycle, 1, "BTCUSDT", justification=f"Use {SECRET}", invalidation_condition=f"{SECRET} is gone")
    cycle.diary.create(bot=made.bot, at=made.now, kind="hold", text=f"Held. {SECRET}")
    page = page_of(client, cycle)
    assert SECRET not in page
    assert page.count("***") == 3
    assert SECRET not in client.get(f"/accounts/{made.account.pk}/diary/").content.decode()


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "</pre></details><script>", "{{ 7|add:7 }}", '" onload="x']
)
def test_hostile_words_are_text_wherever_they_stand(client, made, hostile):
    cycle = cycle_at(made, 30)
    row = asked(
        cycle, hostile[:120], "rejected", hostile, reply=body(text=hostile), user_prompt=hostile, reasoning=hostile,
        model_served=hostile, finish_reason=hostile[:40], generation_id=hostile, parameters={"format": hostile, hostile: hostile},
    )  # fmt: skip
    hit = {"rule": hostile, "effect": "refused", "text": hostile, "numbers": {hostile: hostile}}
    decided(
        cycle, 1, "BTCUSDT", "buy_to_enter", verdict="refused", justification=hostile, invalidation_condition=hostile,
        hits=[hit], **entry(),
    )  # fmt: skip
    pages = [page_of(client, cycle), *(client.get(texts_of(row, part)).content.decode() for part in PARTS)]
    for page in pages:
        assert "<script>" not in page.replace("<script src=", "")
        assert '" onload="x' not in page
        assert "</pre></details><script>" not in page
    for part in PARTS:
        answer = client.get(texts_of(row, part, ".txt"))
        assert answer["Content-Type"] == "text/plain; charset=utf-8"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Disposition"] == (
            f'attachment; filename="cycle-{cycle.pk}-interaction-{row.pk}-{part}.txt"'
        )
        if part != "reply":
            assert hostile in answer.content.decode()


def test_direction_and_control_characters_stand_by_their_numbers(client, made):
    row = asked(cycle_at(made, 30), DEEPSEEK, reasoning="stop \u202e1.07 ABOVE\x1b[2J entry")
    page = client.get(texts_of(row, "reasoning")).content.decode()
    assert "stop ⟦U+202E⟧1.07 ABOVE⟦U+001B⟧[2J entry" in page
    assert "⟦U+…⟧" in page
    assert "\u202e" in client.get(texts_of(row, "reasoning", ".txt")).content.decode()


def test_of_a_reply_of_a_megabyte_the_page_shows_the_beginning_and_the_file_has_all(client, made):
    row = asked(cycle_at(made, 30), DEEPSEEK, "rejected", "json.size: too long", reply="a b " * 250_000)
    assert len(page_of(client, row.cycle)) < 60_000
    page = client.get(texts_of(row, "reply")).content.decode()
    assert "1.0 MB; only the beginning is shown" in page
    assert len(page) < LONGEST_SHOWN + 20_000
    assert client.get(texts_of(row, "reply", ".txt")).content.decode() == row.reply


def test_a_secret_at_the_end_of_what_is_shown_is_not_shown_by_its_half(client, made):
    row = asked(cycle_at(made, 30), DEEPSEEK, reply="a" * (LONGEST_SHOWN - 12) + f" {SECRET} " + "b" * 9000)
    assert SECRET[:9] not in client.get(texts_of(row, "reply")).content.decode()


# -- who sees it, and what it costs --------------------------------------------------------------------------


def test_what_is_anothers_is_not_found_page_texts_and_files(client, made):
    row = Interaction.objects.filter(cycle=demo_way.ladder(made), used=True).first()
    addresses = [f"/cycles/{row.cycle_id}/"]
    addresses += [texts_of(row, part, suffix) for part in PARTS for suffix in ("/", ".txt")]
    assert {client.get(address).status_code for address in addresses} == {200}
    assert client.get(texts_of(row, "password")).status_code == 404
    assert client.get(texts_of(row, "password", ".txt")).status_code == 404
    other = cycle_at(made, 60)
    assert client.get(f"/cycles/{other.pk}/interactions/{row.pk}/prompt/").status_code == 404
    for stranger in (person("mallory@vibex.local"), person("boss@vibex.local", is_staff=True, is_superuser=True)):
        client.force_login(stranger)
        assert {client.get(address).status_code for address in addresses} == {404}
        assert {client.post(address).status_code for address in addresses} == {405}
    client.logout()
    assert {client.get(address).status_code for address in addresses} == {302}


def queries_of(client, cycle):
    with CaptureQueriesContext(connection) as seen:
        page_of(client, cycle)
    return len(seen)


def big(made, hours, count):
    """Return a cycle of so many requests, decisions with everything that hangs on them, votes and shadows."""
    cycle = cycle_at(made, hours)
    for number in range(count):
        symbol = f"S{number}USDT"
        row = asked(cycle, DEEPSEEK, attempt=number, used=number == count - 1)
        decision = decided(cycle, number, symbol, "buy_to_enter", interaction=row, **entry())
        demo_way.afterwards(decision, "stop", -1.0, "-2")
        position = Position.objects.create(
            account=made.account, bot=made.bot, decision=decision, symbol=symbol, side="long", quantity=0, cost=0,
            entry_price=1, opened=made.now, closed=made.now, exit_reason="stop",
        )  # fmt: skip
        for role, owner in (("entry", cycle), ("stop", None)):
            Order.objects.create(
                account=made.account, bot=made.bot, position=position, role=role, symbol=symbol, side="BUY", state="done",
                type="LIMIT", client_order_id=f"{cycle.pk}-{number}-{role}", filled=1, quantity=1, cycle=owner,
                decision=decision if owner else None,
            )  # fmt: skip
        for kind, purpose in (("vote", "ensemble"), ("shadow", "shadow")):
            call = asked(cycle, GROK, purpose=purpose, used=False)
            demo_way.afterwards(
                decided(cycle, number, symbol, "buy_to_enter", kind=kind, interaction=call, **entry()), "open", 0.1, "1"
            )
        Approval.objects.create(decision=decision, state="rejected", by=made.user, at=made.now, until=made.now)
    return cycle


@pytest.mark.ci
def test_the_page_costs_the_same_few_queries_however_much_there_is(client, made):
    small, large = big(made, 30, 1), big(made, 31, 20)
    page_of(client, small)
    assert (queries_of(client, small), queries_of(client, large)) == (
        queries_of(client, large),
        queries_of(client, small),
    )
    assert queries_of(client, large) <= 12


def test_the_admin_leads_to_the_page_and_lists_no_long_text(client, made):
    row = Interaction.objects.filter(cycle=demo_way.ladder(made), used=True).first()
    Interaction.objects.update(reply=f"{SECRET} <script>", user_prompt="LONG" * 5000, reasoning="LONG")
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    with CaptureQueriesContext(connection) as seen:
        page = client.get("/admin/decisions/interaction/?used__exact=1&purpose__exact=cycle").content.decode()
    assert f'href="/cycles/{row.cycle_id}/#interaction-{row.pk}"' in page
    assert "LONG" not in page
    assert not any("user_prompt" in query["sql"] for query in seen if "decisions_interaction" in query["sql"])
    whole = client.get(f"/admin/decisions/interaction/{row.pk}/change/").content.decode()
    assert "*** &lt;script&gt;" in whole
    assert "LONGLONG" in whole
    assert SECRET not in whole
    decision = Decision.objects.filter(cycle=row.cycle, kind="shadow").first()
    for address in ("decision/?kind__exact=shadow&agrees__exact=1", "cycle/", "afterwards/?end__exact=target"):
        assert client.get(f"/admin/decisions/{address}").status_code == 200
    assert (
        f"/cycles/{row.cycle_id}/#decision-{decision.pk}" in client.get("/admin/decisions/decision/").content.decode()
    )
