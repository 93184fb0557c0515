"""How shadows compare with the one that decides: shares with their counts, and results that are counted alike."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Account, Bot, User
from decisions.domain.shares import Share
from decisions.models import Afterwards, Cycle, Decision, Interaction
from decisions.selectors.agreement import Fared, agreement

ENTER, HOLD, SELL = "buy_to_enter", "hold", "sell_to_enter"
NOW = timezone.now()


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        (5, 10, 0.2366, 0.7634),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (95, 100, 0.8882, 0.9785),
    ],
)
def test_the_interval_is_the_published_one(part, whole, low, high):
    """Figures of Newcombe (1998) and of the formula of Wilson (1927)."""
    share = Share(part, whole)
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_its_share_and_no_case_tells_nothing(part, more):
    share = Share(part, part + more)
    if not share.whole:
        assert (share.value, share.low, share.high) == (None, 0.0, 1.0)
        return
    assert 0.0 <= share.low <= share.value + 1e-12 <= share.high + 2e-12 <= 1.0 + 2e-12
    assert share.low < share.high


class House:
    """A bot whose cycles are told one by one."""

    def __init__(self):
        owner = User.objects.create_user("someone@example.com", "a password that is long")
        account = Account.objects.create(owner=owner, name="paper", venue="sim")
        self.bot = Bot.objects.create(account=account, name="first", symbols=["A", "B"], timeframes=["3m"])
        self.cycles = 0

    def cycle(self, live, *, ago=timedelta(hours=1), **shadows):
        """Keep a cycle: what the live decision wants by symbol, and what each shadow wants."""
        self.cycles += 1
        cycle = Cycle.objects.create(
            bot=self.bot,
            account=self.bot.account,
            scheduled_for=NOW - ago - timedelta(minutes=self.cycles),
            lease_until=NOW,
            status="done",
            began=NOW - ago,
        )
        self.rows(cycle, "live", live, None, ago)
        for name, wants in shadows.items():
            outcome = wants if isinstance(wants, str) else "answered"
            asked = Interaction.objects.create(
                bot=self.bot,
                cycle=cycle,
                purpose="shadow",
                provider="peer",
                model_requested=name,
                outcome=outcome,
                cost=Decimal("0.01") if outcome == "answered" else None,
                at=NOW - ago,
            )
            if outcome == "answered":
                self.rows(cycle, "shadow", wants, asked, ago, live)

    def rows(self, cycle, kind, wants, asked, ago, live=None):
        for sequence, (symbol, action) in enumerate(wants.items()):
            Decision.objects.create(
                cycle=cycle,
                bot=self.bot,
                kind=kind,
                interaction=asked,
                sequence=sequence,
                symbol=symbol,
                action=action,
                agrees=None if live is None else live.get(symbol, HOLD) == action,
                verdict="accepted",
                asked_quantity=2 if action in (ENTER, SELL) else None,
                quantity=2 if action in (ENTER, SELL) else None,
                at=NOW - ago,
            )

    def ends(self, decision, end, net, multiple):
        given = {"entry_price": 1, "exit_price": 1, "until": NOW, "best": 0.0, "worst": 0.0}
        Afterwards.objects.create(decision=decision, end=end, net=net, multiple=multiple, **given)

    def compared(self):
        return agreement(self.bot, now=NOW)


@pytest.fixture
def house(db):
    return House()


def test_equal_actions_and_equal_entries_are_two_shares(house):
    house.cycle({"A": ENTER, "B": HOLD}, one={"A": ENTER, "B": HOLD})
    house.cycle({"A": HOLD, "B": HOLD}, one={"A": HOLD, "B": HOLD})
    house.cycle({"A": HOLD, "B": HOLD}, one={"A": SELL, "B": HOLD})
    house.cycle({"A": ENTER, "B": HOLD}, one={"A": HOLD, "B": HOLD})
    (one,) = house.compared().shadows
    assert one.model == "peer/one"
    assert one.actions == Share(6, 8)
    assert one.entries == Share(1, 3)
    assert one.answered == Share(4, 4)
    assert one.cost == Decimal("0.04")


def test_what_a_live_decision_did_not_name_is_a_hold_and_an_entry_it_left_out_is_seen(house):
    house.cycle({"A": ENTER}, one={"A": HOLD, "B": HOLD})
    (one,) = house.compared().shadows
    assert (one.actions, one.entries) == (Share(1, 2), Share(0, 1))


def test_silence_is_no_disagreement_and_what_was_not_asked_no_silence(house):
    house.cycle({"A": HOLD}, one={"A": HOLD}, two="no_answer")
    house.cycle({"A": HOLD}, one="not_asked", two="rejected")
    one, two = house.compared().shadows
    assert (one.model, one.answered, one.skipped, one.actions) == ("peer/one", Share(1, 1), 1, Share(1, 1))
    assert (two.model, two.answered, two.skipped, two.actions) == ("peer/two", Share(0, 2), 0, Share(0, 0))


def test_results_count_what_the_rules_would_have_allowed(house):
    house.cycle({"A": ENTER}, one={"A": ENTER, "B": ENTER})
    house.cycle({"A": HOLD}, one={"A": SELL, "B": ENTER})
    first, reduced, refused, unfollowed = Decision.objects.filter(kind="shadow").order_by("pk")
    house.ends(first, "target", Decimal(40), 2.0)
    house.ends(reduced, "stop", Decimal(-20), -1.0)
    house.ends(refused, "target", Decimal(1_000), 9.0)
    Decision.objects.filter(pk=reduced.pk).update(quantity=1, verdict="reduced")
    Decision.objects.filter(pk=refused.pk).update(quantity=None, verdict="refused")
    house.ends(Decision.objects.get(kind="live", action=ENTER), "open", Decimal(5), 0.5)
    told = house.compared()
    assert told.shadows[0].fared == Fared(2, 2, Decimal(30), 0.5)
    assert told.live == Fared(1, 0, Decimal(5), 0.5)
    assert unfollowed.pk


def test_only_the_period_and_the_bot_count(house):
    house.cycle({"A": HOLD}, one={"A": HOLD})
    house.cycle({"A": HOLD}, ago=timedelta(days=8), one={"A": SELL})
    other = Bot.objects.create(account=house.bot.account, name="other", symbols=["A"], timeframes=["3m"])
    assert house.compared().shadows[0].actions == Share(1, 1)
    assert agreement(other, now=NOW).shadows == ()


def test_a_late_reply_costs_once(house):
    house.cycle({"A": HOLD}, one="no_answer")
    given_up = Interaction.objects.get()
    Interaction.objects.filter(pk=given_up.pk).update(estimate=Decimal("0.02"))
    assert house.compared().shadows[0].cost == Decimal("0.02")
    same = {"bot": house.bot, "purpose": "shadow", "provider": "peer", "model_requested": "one", "used": False}
    Interaction.objects.create(**same, late_of=given_up, outcome="late", cost=Decimal("0.013"), at=NOW)
    (one,) = house.compared().shadows
    assert (one.cost, one.answered) == (Decimal("0.013"), Share(0, 1))


def test_the_statements_do_not_grow_with_the_shadows(house, django_assert_num_queries):
    with django_assert_num_queries(1):
        house.compared()
    wants = {f"m{number}": {"A": HOLD, "B": ENTER} for number in range(12)}
    for _ in range(3):
        house.cycle({"A": HOLD}, **wants)
    with django_assert_num_queries(5):
        assert len(house.compared().shadows) == 12


def test_the_page_of_the_bot_shows_them_to_its_owner(house, client):
    for _ in range(7):
        house.cycle({"A": ENTER}, **{"<b>one": {"A": ENTER}})
    house.ends(Decision.objects.filter(kind="shadow").first(), "stop", Decimal("-4.2"), -1.0)
    client.force_login(house.bot.account.owner)
    page = client.get(f"/bots/{house.bot.pk}/shadows/").content.decode()
    assert "peer/&lt;b&gt;one" in page
    assert "100&nbsp;%<small>7 of 7, 65 to 100&nbsp;%</small>" in page
    assert "−1.00" in page
    assert "−4.20" in page
    assert "$0.0700" in page


def test_without_shadows_the_page_says_nothing_of_them(house, client):
    client.force_login(house.bot.account.owner)
    assert "Shadows" not in client.get(f"/bots/{house.bot.pk}/").content.decode()


def test_the_api_tells_the_owner_the_same_and_nobody_else(house, client):
    house.cycle({"A": ENTER}, one={"A": ENTER})
    house.ends(Decision.objects.get(kind="shadow"), "stop", Decimal("-4.20"), -1.0)
    path = f"/api/v1/bots/{house.bot.pk}/shadows/"
    assert client.get(path).status_code in (401, 403)
    client.force_login(house.bot.account.owner)
    told = client.get(path).json()
    (one,) = told["shadows"]
    assert (one["model"], one["cost"], one["skipped"]) == ("peer/one", "0.01", 0)
    assert one["same_entry"] == {"part": 1, "whole": 1, "low": 0.2065, "high": 1.0}
    assert one["entries"] == {"count": 1, "ended": 1, "net": "-4.2", "multiple": -1.0}
    assert told["live"] == {"count": 0, "ended": 0, "net": "0", "multiple": None}
    client.force_login(User.objects.create_user("other@example.com", "a password that is long"))
    assert client.get(path).status_code == 404
