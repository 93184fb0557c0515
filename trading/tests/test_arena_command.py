"""`manage.py arena`: a table that ranks nobody by luck, every word readable, and no reply paid for twice, killed or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, Bot, User
from decisions.llm import client
from decisions.llm.formats import formats_forget
from decisions.models import CatalogueModel, CatalogueRead
from decisions.services.templates import prompt_template_install
from marketdata.services import feed_configure
from marketdata.tests.build import rows_of, walk, write_csv
from trading.tests.models_kit import HOURS, SYMBOL, WARM_UP, begins, now_and_then, thinking
from vibex.lib.env import ROOT

MODELS = "local/mind/one,local/mind/two,rules/trend"
HELD = ("local/mind/two",)


@pytest.fixture(autouse=True)
def _alone(settings):
    settings.LLM_REQUESTS_PER_MINUTE = 1_000_000
    yield
    client.close()
    formats_forget()


@pytest.fixture
def data(tmp_path):
    candles = walk(WARM_UP + HOURS + 1, symbol=SYMBOL)
    write_csv(tmp_path / "candles" / f"{SYMBOL}-1h.csv.gz", rows_of(candles))
    return tmp_path / "candles"


def arguments(data: Path, *more: str, models: str = MODELS, hours: int = HOURS) -> list[str]:
    window = (begins(), begins() + timedelta(hours=hours))
    times = [f"--{name}={at:%Y-%m-%dT%H:%M}" for name, at in zip(("from", "to"), window, strict=True)]
    return ["arena", f"--models={models}", f"--symbols={SYMBOL}", f"--data={data}", *times, *more]


def ran(capsys, *given: str):
    call_command(*given)
    return capsys.readouterr().out


@pytest.mark.django_db
def test_a_table_with_what_belongs_beside_it(capsys, data, settings, tmp_path):
    def mind(prompt: str, times: int) -> str:
        return "hold" if times else now_and_then(prompt, times)

    settings.VIBEX_DATA_DIR = tmp_path / "house"
    CatalogueModel.objects.create(provider="local", slug="mind/one", cutoff="2020-01-01")
    with thinking(mind) as model:
        settings.LLM_BASE_URL = model.address
        given = arguments(data, "--repeat=2", f"--conversations={tmp_path / 'said'}")
        text = ran(capsys, *given)
        asked = model.asked
        assert asked > 2 * 2 * HOURS // 2
        told = json.loads(ran(capsys, *given, "--json"))
        assert model.asked == asked, "everything was answered before"
    assert "baselines    cash +0.00%" in text
    assert "2 of at least 5 repeats" in text
    rows = {row["model"]: row for row in told["models"]}
    assert [rows[name]["runs"] for name in MODELS.split(",")] == [2, 2, 1]
    assert (told["asked_now"], told["paid_now"]) == (0, "0")
    assert told["found"] == 4 * HOURS
    one = rows["local/mind/one"]
    assert one["return"]["low"] <= one["return"]["mean"] <= one["return"]["high"]
    assert one["agreement"]["actions"]["whole"] == HOURS
    assert one["agreement"]["actions"]["part"] < HOURS
    assert one["cost"]["mean"] == pytest.approx(HOURS * 0.002)
    assert one["window"]["kind"] == "clean"
    assert rows["local/mind/two"]["window"]["kind"] == "unknown"
    assert rows["rules/trend"]["window"]["kind"] == "rules"
    assert one["beyond"]["cash"] == pytest.approx(one["return"]["mean"])
    assert {(pair["first"], pair["second"]) for pair in told["pairs"]} >= {("local/mind/one", "local/mind/two")}
    pages = sorted(path.name for path in (tmp_path / "said").iterdir())
    assert pages == [
        "local_mind_one.1.html", "local_mind_one.2.html", "local_mind_two.1.html", "local_mind_two.2.html", "rules_trend.1.html",
    ]  # fmt: skip
    page = (tmp_path / "said" / pages[0]).read_text()
    assert page.count("System text, the same for all that follows") == 1
    assert page.count("<summary>Asked</summary>") == HOURS
    assert f"<p>{SYMBOL} buy_to_enter 0.06" in page
    assert f"<strong>{SYMBOL}: Close: closed.</strong>" in page
    assert "&lt;b&gt;buy&lt;/b&gt;" in page
    assert "<b>" not in page


@pytest.mark.django_db
def test_masked_models_are_told_nothing_that_names_the_window(capsys, data, settings, tmp_path):
    settings.VIBEX_DATA_DIR = tmp_path / "house"
    with thinking() as model:
        settings.LLM_BASE_URL = model.address
        told = json.loads(ran(capsys, *arguments(data, "--masked", "--json")))
        prompts = list(model.prompts)
    assert not any(
        word in prompt for prompt in prompts for word in ("BTC", "2025-03", "recorded", str(begins().date()))
    )
    assert all("ASSET1USDT" in prompt for prompt in prompts)
    assert told["symbols"] == [SYMBOL]
    assert told["masked"]["symbols"] == {"ASSET1USDT": SYMBOL}
    rows = {row["model"]: row for row in told["models"]}
    assert rows["local/mind/one"]["window"]["kind"] == "masked"
    assert rows["local/mind/one"]["trades"]["mean"] >= 2


@pytest.mark.django_db
def test_money_that_is_used_up_is_said_and_the_same_command_goes_on(capsys, data, settings, tmp_path):
    settings.VIBEX_DATA_DIR = tmp_path / "house"
    with thinking() as model:
        settings.LLM_BASE_URL = model.address
        with pytest.raises(CommandError, match=r"runs are not finished: .* of 0\.06 US dollars are paid"):
            call_command(*arguments(data, "--max-cost=0.06"))
        assert "start the same command again" in capsys.readouterr().out
        before = model.asked
        told = json.loads(ran(capsys, *arguments(data, "--json")))
        assert told["found"] == before
        assert told["asked_now"] == 2 * HOURS - before
        assert told["unfinished"] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--models=local/mind/one"], "two models at least"),
        (["--models=local/mind/one,nowhere/x"], "Nothing decides under the name 'nowhere/x'"),
        (["--models=local/mind/one,openai/gpt-5.6-terra"], "set OPENAI_API_KEY"),
        (["--template=unheard-of"], "no prompt template unheard-of"),
        (["--to=2025-01-01"], "is not before"),
        (["--limits=nobody"], "no account named 'nobody'"),
        (["--live", "--venue=sim"], "--live trades a market"),
    ],
)
def test_what_cannot_be_is_refused_before_anybody_is_asked(data, settings, more, why):
    with thinking() as model:
        settings.LLM_BASE_URL = model.address
        given = arguments(data)
        if "--live" in more:
            more = ["--live"]
        names = {each.partition("=")[0] for each in more}
        with pytest.raises(CommandError, match=why):
            call_command(*[each for each in given if each.partition("=")[0] not in names], *more)
        assert model.asked == 0


class House:
    """A data folder with tables of its own, and arenas that are run on it."""

    def __init__(self, folder: Path, url: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        self.environment = kept | {
            "VIBEX_ENV": "dev", "LOG_LEVEL": "ERROR", "LOG_FILES": "no", "VIBEX_DATA_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "vibex.settings", "LLM_BASE_URL": url, "LLM_REQUESTS_PER_MINUTE": "100000",
        }  # fmt: skip

    def begin(self, *given: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "trading.tests.arena_process", *given]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, text=True, stdout=-1, stderr=-1)

    def run(self, *given: str) -> dict:
        process = self.begin(*given)
        out, err = process.communicate(timeout=150)
        assert process.returncode == 0, err[-3000:]
        return json.loads(out)


@pytest.mark.ci
@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_arena_that_is_ended_in_the_middle_pays_only_for_what_is_missing(data, tmp_path, how):
    jobs = 2
    given = arguments(data, "--json", "--repeat=2", f"--jobs={jobs}", models="local/mind/one,local/mind/two")
    with thinking() as model:
        house = House(tmp_path / "one", model.address)
        process = house.begin(*given)
        while model.asked < 30 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        assert process.returncode == (-how if how == signal.SIGKILL else 130), err[-2000:]
        if how == signal.SIGINT:
            assert "start the same command again and it goes on" in err
        before = model.asked
        told = house.run(*given)
        assert told["found"] + told["asked_now"] == 4 * HOURS
        # What was under way when it ended may have been answered to nobody: once for each run at most.
        assert before - jobs <= told["found"] <= before
        assert model.asked == before + told["asked_now"]
        undisturbed = House(tmp_path / "two", model.address).run(*given)
    for each in (told, undisturbed):
        for name in ("asked_now", "found", "paid_now"):
            each.pop(name)
    assert told == undisturbed


@pytest.fixture
def owner():
    feed_configure(venue="sim", kind="simulated", seed=7)
    prompt_template_install()
    return User.objects.create_user("owner@example.org")


def live(*more: str, models: str = MODELS) -> list[str]:
    return ["arena", "--live", f"--models={models}", "--venue=sim", "--symbols=BTCUSDT,ETHUSDT", *more]


@pytest.mark.django_db
def test_a_live_arena_begins_an_account_and_a_bot_for_each_model(capsys, client, owner, settings):
    with thinking() as model:
        settings.LLM_BASE_URL = model.address
        call_command(*live("--interval=15m", "--capital=5000", "--limits=careful", "--name=spring", "--effort=none"))
        told = capsys.readouterr().out
    bots = list(Bot.objects.select_related("account__limits").order_by("pk"))
    assert [bot.model for bot in bots] == MODELS.split(",")
    assert {bot.account.name for bot in bots} == {"spring-one", "spring-two", "spring-trend"}
    for bot in bots:
        assert (bot.status, bot.interval, bot.symbols) == ("running", "15m", ["BTCUSDT", "ETHUSDT"])
        assert (bot.account.mode, bot.account.owner, bot.account.starting_balance) == ("paper", owner, 5000)
        assert (bot.reasoning_effort, bot.account.limits.max_leverage) == ("none", 2)
    client.force_login(owner)
    path = told.strip().splitlines()[-1].removeprefix("Compare them at ")
    page = client.get(path)
    assert page.status_code == 200
    assert all(bot.name in page.content.decode() for bot in bots)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "models", "why"),
    [
        (["--symbols=NONEUSDT"], MODELS, "NONEUSDT is not traded at sim"),
        (["--venue=moon"], MODELS, "moon"),
        ([], "local/mind/one,openai/gpt-5.6-terra", "set OPENAI_API_KEY"),
        ([], "local/mind/one,local/gone", "does not list gone"),
        ([], "local/a.b,local/a-b", "cannot be told apart"),
        (["--name=taken"], MODELS, "There are accounts named taken-one already"),
        (["--from=2025-01-01"], MODELS, "knows no --from"),
        (["--owner=nobody@example.org"], MODELS, "nobody with the address"),
    ],
)
def test_a_live_arena_that_cannot_be_makes_nothing(owner, settings, more, models, why):
    Account.objects.create(owner=owner, name="taken-one", venue="sim")
    with thinking() as model:
        settings.LLM_BASE_URL = model.address
        CatalogueRead.objects.create(provider="local", at=begins(), tried_at=begins())
        for slug in ("mind/one", "mind/two"):
            CatalogueModel.objects.create(provider="local", slug=slug)
        names = {each.partition("=")[0] for each in more}
        with pytest.raises(CommandError, match=why):
            call_command(*[each for each in live(models=models) if each.partition("=")[0] not in names], *more)
    assert Account.objects.count() == 1
    assert not Bot.objects.exists()
