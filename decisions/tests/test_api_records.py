"""Decisions, calls of models, cycles and the diary over the API: slim lists, whole rows, each its owner's alone."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission

from decisions.models import Afterwards, Approval, Decision
from decisions.tests.api_kit import AT, Records, person

pytestmark = pytest.mark.django_db
LISTS = ("decisions/", "interactions/", "cycles/", "diary/")


@pytest.fixture
def alice():
    return Records()


def ids(rows):
    return [row["id"] for row in rows]


def test_a_list_of_decisions_has_what_was_acted_on_unless_it_is_asked_for_more(alice):
    call, live = alice.call(), alice.decision()
    shadow = alice.decision(live.cycle, kind="shadow", interaction=call)
    vote = alice.decision(live.cycle, kind="vote", interaction=call, verdict="")
    assert ids(alice.rows("decisions/")) == [live.pk]
    assert ids(alice.rows("decisions/", kind="shadow")) == [shadow.pk]
    assert ids(alice.rows("decisions/", kind="any")) == [vote.pk, shadow.pk, live.pk]
    assert ids(alice.rows("decisions/", kind="vote", cycle=live.cycle_id)) == [vote.pk]


def test_a_decision_tells_its_reasons_the_rules_that_spoke_the_question_to_a_person_and_what_became_of_it(alice):
    hits = [{"rule": "size.risk", "effect": "reduced", "text": "Too large.", "numbers": {"asked": "2", "allowed": "1"}}]
    made = alice.decision(
        action="buy_to_enter", justification="because", hits=hits, rule_ids=["size.risk"], verdict="reduced",
        asked_quantity=Decimal("2.50"), quantity=Decimal("1.25"), leverage=3,
    )  # fmt: skip
    Approval.objects.create(decision=made, state="rejected", until=AT, by=alice.owner, at=AT, reason="not now")
    Afterwards.objects.create(
        decision=made, end="stop", entry_price=1, exit_price=2, until=AT, net=-3, multiple=-1.0, best=0.2, worst=-1.0
    )
    told = alice.get(f"decisions/{made.pk}/")
    assert (told["justification"], told["hits"], told["rule_ids"]) == ("because", hits, ["size.risk"])
    assert (told["asked_quantity"], told["quantity"], told["leverage"]) == ("2.5", "1.25", 3)
    assert told["approval"] | {"created": ""} == {
        "state": "rejected", "until": "2026-03-14T15:00:00Z", "created": "", "by": alice.owner.pk,
        "at": "2026-03-14T15:00:00Z", "reason": "not now", "ruled_again": None,
    }  # fmt: skip
    assert (told["afterwards"]["end"], told["afterwards"]["net"]) == ("stop", "-3")
    (line,) = alice.rows("decisions/", approval="rejected")
    assert (line["approval"], line["account"]) == ("rejected", alice.account.pk)
    assert "justification" not in line


def test_a_decision_that_nobody_was_asked_about_says_null(alice):
    told = alice.get(f"decisions/{alice.decision().pk}/")
    assert (told["approval"], told["approved_from"], told["afterwards"]) == (None, None, None)


def test_a_decision_names_the_one_whose_approval_it_came_from(alice):
    first, again = alice.decision(), alice.decision()
    Approval.objects.create(decision=first, state="approved", until=AT, ruled_again=again)
    assert alice.get(f"decisions/{again.pk}/")["approved_from"] == first.pk
    assert alice.get(f"decisions/{first.pk}/")["approval"]["ruled_again"] == again.pk


def test_calls_are_listed_without_their_texts_and_told_whole_one_by_one(alice):
    call = alice.call(
        system_prompt="be careful", user_prompt="prices", reply='{"decisions": []}', reasoning="hm", cost="0.00231",
        parameters={"effort": "low"}, prompt_tokens=6120, attempt=1, used=False,
    )  # fmt: skip
    late = alice.call(outcome="late", late_of=call)
    listed = next(row for row in alice.rows("interactions/") if row["id"] == call.pk)
    assert (listed["cost"], listed["prompt_tokens"], listed["attempt"], listed["used"]) == ("0.00231", 6120, 1, False)
    assert not {"texts", "parameters", "reply", "user_prompt"} & set(listed)
    told = alice.get(f"interactions/{call.pk}/")
    assert told["texts"] == {
        "system_prompt": "be careful", "user_prompt": "prices", "reply": '{"decisions": []}', "reasoning": "hm", "cut": []
    }  # fmt: skip
    assert (told["late"], told["parameters"]) == (late.pk, {"effort": "low"})
    assert alice.get(f"interactions/{late.pk}/")["late_of"] == call.pk
    assert ids(alice.rows("interactions/", used="true")) == [late.pk]
    assert ids(alice.rows("interactions/", outcome="late", model="peer/one")) == [late.pk]


def test_staff_that_may_see_accounts_sees_that_a_model_was_called_and_not_what_was_said(alice):
    call = alice.call(reply="what I hold", cost="1.5")
    staff = Records("clerk", owner=person("clerk", is_staff=True))
    assert staff.client.get(f"/api/v1/interactions/{call.pk}/").status_code == 404
    staff.owner.user_permissions.add(Permission.objects.get(codename="view_any"))
    told = staff.get(f"interactions/{call.pk}/")
    assert (told["cost"], told["texts"]) == ("1.5", None)
    assert "what I hold" not in str(told)


def test_a_cycle_tells_its_steps_and_what_went_wrong(alice):
    failed = alice.cycle(
        status="failed", stage="ask", error="no answer", timings={"ask": 30_000.5}, seen={"BTCUSDT": {}}
    )
    done = alice.cycle()
    told = alice.get(f"cycles/{failed.pk}/")
    assert (told["stage"], told["error"], told["timings"]) == ("ask", "no answer", {"ask": 30_000.5})
    assert ids(alice.rows("cycles/")) == [done.pk, failed.pk]
    assert ids(alice.rows("cycles/", status="failed")) == [failed.pk]
    assert ids(alice.rows("cycles/", ordering="scheduled_for")) == [failed.pk, done.pk]
    assert "error" not in alice.rows("cycles/")[0]


def test_a_time_narrows_each_list_and_begins_with_its_first_moment(alice):
    first, second = alice.decision(), alice.decision()
    for path in ("decisions/", "cycles/"):
        key = {"decisions/": "pk", "cycles/": "cycle_id"}[path]
        at = second.at.isoformat()
        assert ids(alice.rows(path, since=at)) == [getattr(second, key)]
        assert ids(alice.rows(path, until=at)) == [getattr(first, key)]


def test_below_an_account_or_a_bot_stands_what_belongs_to_it(alice):
    bob = Records("bob")
    other = Records("second", owner=alice.owner)
    for each in (alice, bob, other):
        cycle = each.cycle()
        each.call(cycle), each.decision(cycle), each.entry("said")
    for name in LISTS:
        for above in (f"accounts/{alice.account.pk}", f"bots/{alice.bot.pk}"):
            (row,) = alice.rows(f"{above}/{name}")
            assert row["bot"] == alice.bot.pk
            assert bob.client.get(f"/api/v1/{above}/{name}").status_code == 404
        assert {row["bot"] for row in alice.rows(name)} == {alice.bot.pk, other.bot.pk}
        assert ids(alice.rows(name, bot=bob.bot.pk)) == []


def test_what_is_anothers_is_not_there(alice):
    bob, cycle = Records("bob"), alice.cycle()
    made = {
        "cycles/": cycle, "interactions/": alice.call(cycle), "decisions/": alice.decision(cycle), "diary/": alice.entry("x")
    }  # fmt: skip
    for path, row in made.items():
        assert alice.get(f"{path}{row.pk}/")["id"] == row.pk
        assert bob.client.get(f"/api/v1/{path}{row.pk}/").status_code == 404
        assert bob.rows(path) == []


@pytest.mark.parametrize("path", LISTS)
def test_what_does_not_fit_is_refused_by_name(alice, path):
    wrong = [
        *(
            ("bot", 10**30),
            ("bot", -1),
            ("bot", "x"),
            ("account", 2**63),
            ("since", "yesterday"),
            ("simbol", "BTCUSDT"),
        ),
        *(("ordering", "colour"), ("fields", "password"), ("until", "10000-01-01T00:00:00Z"), ("bot", "1\x00")),
    ]
    for name, value in wrong:
        assert name in alice.refused(path, **{name: value})


@pytest.mark.parametrize("path", LISTS)
def test_the_first_and_the_last_moment_are_moments_wherever_one_lives(path):
    tokyo = Records("tokyo", owner=person("tokyo", time_zone="Asia/Tokyo"))
    for at in ("0001-01-01T00:00:00", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59Z"):
        assert tokyo.rows(path, since=at) == tokyo.rows(path, until=at) == []


def test_times_are_told_in_utc_wherever_one_lives():
    tokyo = Records("tokyo", owner=person("tokyo", time_zone="Asia/Tokyo"))
    assert tokyo.get(f"diary/{tokyo.entry('x').pk}/")["at"] == "2026-03-14T15:01:00Z"


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_two_queries_however_long_it_is(alice, path, django_assert_num_queries):
    for _ in range(6):
        cycle = alice.cycle()
        call = alice.call(cycle)
        Approval.objects.create(decision=alice.decision(cycle, interaction=call), until=AT)
        alice.entry("said", cycle=cycle)
    alice.rows(path)  # a sign-in is written down once
    with django_assert_num_queries(4):  # session and person; accounts and rows
        assert len(alice.rows(path)) == 6


@pytest.mark.parametrize("path", ["decisions/", "diary/"])
def test_a_table_has_the_same_rows_and_no_formula(alice, path):
    alice.entry('=HYPERLINK("http://evil.example")')
    alice.decision(symbol="@SUM(A1)")
    answer = alice.client.get(f"/api/v1/{path}?format=csv")
    text = b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode()
    assert answer.status_code == 200
    lines = text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("id,at,account,bot,cycle,kind,symbol")
    assert not {cell[:1] for cell in lines[1].replace('"', "").split(",")} & set("=@+")


def test_ordering_turns_a_list_around(alice):
    made = [alice.decision() for _ in range(3)]
    assert ids(alice.rows("decisions/", ordering="at")) == [row.pk for row in made]
    assert Decision.objects.count() == 3


def test_pages_show_every_row_once_also_of_one_moment(alice):
    cycle = alice.cycle()
    made = [alice.decision(cycle, sequence=n).pk for n in range(5)]
    page, seen = alice.get("decisions/", limit=2), []
    while True:
        seen += ids(page["results"])
        if page["next"] is None:
            break
        page = alice.client.get(page["next"]).json()
    assert seen == made[::-1]
    assert cycle.began - AT == timedelta(minutes=1)
