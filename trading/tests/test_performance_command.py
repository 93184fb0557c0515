"""`manage.py performance_rebuild`: says what was otherwise, can be interrupted, and goes on where it was."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from trading.models import PerformanceDay
from trading.services import performance
from trading.tests.builders import make_account
from trading.tests.figures_kit import History

pytestmark = pytest.mark.django_db


def rebuild(*arguments: str) -> str:
    out = io.StringIO()
    call_command("performance_rebuild", *arguments, stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def history():
    made = History.begin(23)
    made.live(50, events=8)
    return made


def test_it_makes_the_figures_and_says_what_was_otherwise(history):
    account = history.account
    first = rebuild(account.name)
    assert "summed up to" in first
    assert "rows were otherwise" in first
    assert "all as it was" in rebuild(str(account.pk))


def rebuild_json(account) -> str:
    """Return what is printed as JSON, behind its first bracket."""
    out = io.StringIO()
    call_command("performance_rebuild", account.name, "--json", stdout=out, stderr=io.StringIO())
    return out.getvalue().partition("[")[2]


def test_as_json_it_names_every_figure_with_what_it_was(history):
    rebuild("--all")
    spoilt = PerformanceDay.objects.filter(account=history.account, bot=None).latest("day")
    PerformanceDay.objects.filter(pk=spoilt.pk).update(fills=F("fills") + 1)
    (told,) = json.loads(f"[{rebuild_json(history.account)}")
    assert told["differences"] == [
        {
            "day": str(spoilt.day),
            "bot": None,
            "model": "",
            "figures": {"fills": [str(spoilt.fills + 1), str(spoilt.fills)]},
        }
    ]


def test_interrupted_it_says_how_to_go_on_and_what_was_written_stays(history, monkeypatch):
    later = make_account("later")
    whole = performance.performance_rebuild

    def interrupted(account, **options):
        if account == later:
            raise KeyboardInterrupt
        return whole(account, **options)

    monkeypatch.setattr(performance, "performance_rebuild", interrupted)
    out = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("performance_rebuild", "--all", stdout=out, stderr=out)
    assert end.value.code == 130
    assert f"performance_rebuild --all --from {later.pk}" in out.getvalue()
    assert PerformanceDay.objects.filter(account=history.account).exists()
    monkeypatch.setattr(performance, "performance_rebuild", whole)
    assert "later (paper): 0 days" in rebuild("--all", "--from", str(later.pk))


def test_a_day_on_which_it_begins_leaves_those_before_alone(history):
    rebuild("--all")
    days = PerformanceDay.objects.filter(account=history.account, bot=None).order_by("day")
    days.update(fills=F("fills") + 1)
    spoilt = list(days)
    rebuild(history.account.name, "--since", str(spoilt[-1].day))
    assert [row.fills for row in days.all()] == [*[row.fills for row in spoilt[:-1]], spoilt[-1].fills - 1]


@pytest.mark.parametrize("arguments", [(), ("nobody",), ("--all", "--since", "yesterday")])
def test_an_unknown_account_or_day_is_told(history, arguments):
    with pytest.raises(CommandError):
        rebuild(*arguments)
