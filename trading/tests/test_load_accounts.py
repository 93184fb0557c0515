"""Accounts from one file: all faults at once, the difference first, everything or nothing, and no secret anywhere."""

from __future__ import annotations

import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.domain.credentials import AsterV1Keys, AsterV3Keys
from accounts.models import Account, AuditEntry, Bot, Credentials, RiskLimits, User
from accounts.services.credentials import keys_of
from decisions.services import prompt_template_install
from tests.support.demo import person
from tests.support.demo_market import market
from vibex.lib.env import ROOT
from vibex.lib.masking import mask_text

pytestmark = pytest.mark.django_db
USER, SIGNER = "0x" + 20 * "11", "0x" + 20 * "22"
PRIVATE = "0x" + 32 * "c3"
NEVER = "never-to-be-shown-4711"
BOT = {"name": "trend", "symbols": ["BTCUSDT"], "interval": "15m"}
PAPER = {"name": "paper", "venue": "aster", "limits": {"max_leverage": 3}, "bots": [BOT]}
V3 = {"kind": "aster_v3", "user": USER, "signer": SIGNER, "private_key_variable": "MAIN_PRIVATE_KEY"}
LIVE = {"name": "main", "venue": "aster", "mode": "live", "network": "testnet", "credentials": V3}


@pytest.fixture(autouse=True)
def owner() -> User:
    market(venue="aster")
    return person()


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIN_PRIVATE_KEY", PRIVATE)
    monkeypatch.setenv("PRACTICE_KEY", "the-key-of-practice-1")
    monkeypatch.setenv("PRACTICE_SECRET", "the-secret-of-practice")


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def run(
        *accounts: dict[str, Any], options: tuple[str, ...] = (), text: str | None = None, name: str = "a.json"
    ) -> str:
        file = tmp_path / name
        file.write_text(json.dumps({"accounts": accounts}) if text is None else text, encoding="utf-8")
        out = io.StringIO()
        call_command("load_accounts", str(file), *options, stdout=out)
        return out.getvalue()

    return run


def faults(load: Any, *accounts: dict[str, Any], **how: Any) -> dict[str, str]:
    before = rows()
    with pytest.raises(CommandError) as refused:
        load(*accounts, **how)
    assert rows() == before
    assert refused.value.returncode == 1
    return dict(line.split(": ", 1) for line in str(refused.value).splitlines())


def rows() -> list[Any]:
    return [
        list(table.objects.order_by("pk").values()) for table in (Account, RiskLimits, Bot, Credentials, AuditEntry)
    ]


def example() -> str:
    page = (ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- example: a test loads it -->\n```yaml\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def test_the_example_of_the_page_is_loaded_and_then_unchanged(load: Any) -> None:
    said = load(text=example(), name="accounts.yaml")
    assert "create     account main" in said
    assert said.endswith("Written.\n")
    main = Account.objects.get(name="main")
    assert (main.badge, main.promoted_from, main.foreign_positions) == (
        "live",
        Account.objects.get(name="paper-main"),
        "flag",
    )
    assert (main.limits.max_leverage, main.limits.trailing_stop, main.limits.max_net) == (
        2,
        Decimal("0.01"),
        Decimal("1.5"),
    )
    assert keys_of(main) == AsterV3Keys(USER, SIGNER, PRIVATE)
    assert keys_of(Account.objects.get(name="practice")) == AsterV1Keys(
        "the-key-of-practice-1", "the-secret-of-practice"
    )
    bots = {str(bot.account.name): bot for bot in Bot.objects.all()}
    assert (bots["paper-main"].capital, bots["paper-main"].status) == (2500, "stopped")
    assert bots["main"].timeframes == ["1h", "4h"]
    before = rows()
    again = load(text=example(), name="accounts.yaml")
    assert "0 to create, 0 to change, 9 unchanged." in again
    assert again.endswith("Nothing was written.\n")
    assert rows() == before


def test_a_dry_run_shows_the_difference_and_writes_nothing(load: Any) -> None:
    load(PAPER)
    before = rows()
    changed = PAPER | {"time_zone": "Europe/Berlin", "limits": {"max_leverage": 2, "trailing_stop": 0.02}}
    said = load(changed, LIVE, options=("--dry-run",))
    assert rows() == before
    assert "change     account paper: time_zone UTC → Europe/Berlin" in said
    assert "change     limits of paper: max_leverage 3 → 2, trailing_stop none → 0.02" in said
    assert "unchanged  bot trend of paper" in said
    assert f"create     keys of main: kind aster_v3, user {USER}, signer {SIGNER}" in said
    assert said.endswith("Nothing was written.\n")


def test_json_has_old_and_new_of_each_field(load: Any) -> None:
    load(PAPER)
    said = json.loads(load(PAPER | {"limits": {"max_leverage": 2}}, options=("--json",)))
    [limits] = [item for item in said["difference"] if item["kind"] == "limits"]
    assert said["written"] is True
    assert limits["action"] == "change"
    assert limits["fields"] == [{"name": "max_leverage", "old": "3", "new": "2"}]
    assert RiskLimits.objects.get().max_leverage == 2


def test_what_the_file_does_not_name_stays(load: Any) -> None:
    load(PAPER | {"foreign_positions": "flag", "bots": [BOT | {"capital": 900}, BOT | {"name": "second"}]})
    load({"name": "paper", "limits": {"max_positions": 1}})
    account = Account.objects.get()
    assert (account.foreign_positions, account.limits.max_leverage, account.limits.max_positions) == ("flag", 3, 1)
    load({"name": "paper", "bots": [{"name": "trend", "symbols": ["ETHUSDT"]}]})
    bot = Bot.objects.get(name="trend")
    assert (bot.symbols, bot.capital, bot.interval) == (["ETHUSDT"], 900, "15m")
    assert Bot.objects.filter(name="second").exists()


def test_every_change_is_on_record(load: Any) -> None:
    load(PAPER, LIVE)
    load(PAPER | {"time_zone": "Asia/Tokyo", "bots": [BOT | {"capital": 5}]})
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert actions >= {
        "account-create",
        "account-change",
        "limits-change",
        "bot-create",
        "bot-change",
        "credentials-save",
    }


def test_all_faults_of_form_are_told_at_once_with_their_paths(load: Any) -> None:
    found = faults(
        load,
        PAPER | {"limits": {"max_leverag": 3, "max_positions": "3"}, "colour": "red"},
        LIVE | {"mode": "real", "bots": [{"symbols": "BTCUSDT"}]},
    )
    assert "did you mean max_leverage" in found["accounts[0].limits.max_leverag"]
    assert set(found) == {
        "accounts[0].limits.max_leverag",
        "accounts[0].limits.max_positions",
        "accounts[0].colour",
        "accounts[1].mode",
        "accounts[1].bots[0].name",
        "accounts[1].bots[0].symbols",
    }


def test_all_faults_of_meaning_are_told_at_once_with_their_paths(load: Any) -> None:
    found = faults(
        load,
        {
            "name": "a",
            "venue": "aster",
            "time_zone": "Mars",
            "limits": {"max_leverage": 11},
            "bots": [BOT | {"symbols": ["X"]}],
        },
        {"name": "b", "venue": "nowhere"},
        {"name": "c", "venue": "aster", "bots": [BOT | {"interval": "7m"}, BOT | {"name": "m", "model": "rules/none"}]},
        {"name": "d", "venue": "aster", "mode": "live"},
        {"name": "e", "venue": "aster", "mode": "live", "promoted_from": "nobody"},
        {"name": "f", "venue": "aster", "credentials": V3},
        {"name": "g", "venue": "sim", "limits": {"min_stop_distance": 0.2, "max_stop_distance": 0.1}},
    )
    assert set(found) == {
        "accounts[0].time_zone",
        "accounts[0].limits.max_leverage",
        "accounts[0].bots[0].symbols",
        "accounts[1].venue",
        "accounts[2].bots[0].interval",
        "accounts[2].bots[0].timeframes",
        "accounts[2].bots[1].model",
        "accounts[3].promoted_from",
        "accounts[4].promoted_from",
        "accounts[5].credentials",
        "accounts[6].limits.min_stop_distance",
    }


def test_one_fault_takes_everything_back(load: Any) -> None:
    load(PAPER)
    changed = PAPER | {"limits": {"max_leverage": 1}}
    assert set(faults(load, changed, {"name": "late", "venue": "aster", "limits": {"max_net": -1}})) == {
        "accounts[1].limits.max_net"
    }


@pytest.mark.parametrize(
    ("name", "value", "is_"),
    [
        ("venue", "sim", "aster"),
        ("mode", "paper", "live"),
        ("network", "mainnet", "testnet"),
        ("starting_balance", 1, "10000"),
    ],
)
def test_what_was_decided_when_an_account_was_made_is_refused(load: Any, name: str, value: Any, is_: str) -> None:
    load(LIVE)
    assert f"it is {is_}" in faults(load, {"name": "main", name: value})[f"accounts[0].{name}"]


def test_another_paper_account_is_refused(load: Any) -> None:
    load(PAPER, LIVE)
    assert set(faults(load, {"name": "main", "promoted_from": "paper"})) == {"accounts[0].promoted_from"}


@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_bot_that_is_not_stopped_is_not_changed(load: Any, status: str) -> None:
    load(PAPER)
    Bot.objects.update(status=status)
    found = faults(load, PAPER | {"bots": [BOT | {"capital": 5}]})
    assert status in found["accounts[0].bots[0]"]
    assert "3 unchanged" in load(PAPER)


@pytest.mark.parametrize(
    "credentials",
    [
        V3 | {"private_key": PRIVATE},
        {"kind": "aster_v1", "key": NEVER, "secret": NEVER},
        V3 | {"private_key_variable": PRIVATE},
        V3 | {"private_key_variable": 32 * "C3"},
        V3 | {"private_key_variable": NEVER},
        V3 | {"private_key_variable": NEVER.upper().replace("-", "_")},
        V3 | {"user": PRIVATE},
        V3 | {"user": NEVER},
        V3 | {"kind": NEVER},
        V3 | {"apikey": NEVER},
        V3 | {NEVER: "value"},
        [NEVER],
        NEVER,
    ],
)
@pytest.mark.parametrize("yaml", [True, False])
def test_a_secret_in_the_file_is_refused_and_never_repeated(load: Any, credentials: Any, yaml: bool) -> None:
    found = faults(load, LIVE | {"credentials": credentials}, name="a.yaml" if yaml else "a.json")
    assert all(path.startswith("accounts[0].credentials") for path in found)
    for secret in (NEVER, PRIVATE, 32 * "C3", NEVER.upper().replace("-", "_")):
        assert secret not in str(found)


def test_a_literal_secret_is_explained(load: Any) -> None:
    found = faults(load, LIVE | {"credentials": V3 | {"private_key": PRIVATE}})
    assert "write private_key_variable" in found["accounts[0].credentials.private_key"]


@pytest.mark.parametrize(
    ("credentials", "path"),
    [
        ({"kind": "aster_v3", "user": USER, "signer": SIGNER}, "private_key_variable"),
        (V3 | {"key_variable": "PRACTICE_KEY"}, "key_variable"),
        (
            {"kind": "aster_v1", "key_variable": "PRACTICE_KEY", "secret_variable": "NOT_SET_ANYWHERE"},
            "secret_variable",
        ),
        (V3 | {"private_key_variable": "PRACTICE_SECRET"}, "private_key_variable"),
        (V3 | {"private_key_variable": "BAD_FILE"}, "private_key_variable"),
        (V3 | {"signer": "0x12"}, "signer"),
    ],
)
def test_keys_are_whole_and_of_the_right_form(
    load: Any, monkeypatch: pytest.MonkeyPatch, credentials: Any, path: str
) -> None:
    monkeypatch.setenv("BAD_FILE_FILE", "/nowhere/at/all")
    assert set(faults(load, LIVE | {"credentials": credentials})) == {f"accounts[0].credentials.{path}"}


def test_keys_of_another_venue_are_refused(load: Any) -> None:
    found = faults(
        load, LIVE | {"credentials": {"kind": "wallet", "address": USER, "private_key_variable": "MAIN_PRIVATE_KEY"}}
    )
    assert "aster_v3" in found["accounts[0].credentials"]


def test_a_changed_secret_is_a_difference_that_does_not_show_it(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load(LIVE)
    new = "0x" + 32 * "d4"
    monkeypatch.setenv("MAIN_PRIVATE_KEY", new)
    said = load(LIVE)
    assert "change     keys of main: private_key (stored) → (new)" in said
    assert new not in said
    assert keys_of(Account.objects.get()) == AsterV3Keys(USER, SIGNER, new)


def test_a_secret_may_come_from_a_file_and_is_masked(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(f"{NEVER}-in-a-file\n")
    monkeypatch.delenv("PRACTICE_SECRET")
    monkeypatch.setenv("PRACTICE_SECRET_FILE", str(tmp_path / "secret"))
    load(
        LIVE
        | {"credentials": {"kind": "aster_v1", "key_variable": "PRACTICE_KEY", "secret_variable": "PRACTICE_SECRET"}}
    )
    assert keys_of(Account.objects.get()) == AsterV1Keys("the-key-of-practice-1", f"{NEVER}-in-a-file")
    assert NEVER not in mask_text(f"found {NEVER}-in-a-file")
    assert NEVER not in str(rows())


def test_names_that_stand_twice_are_refused(load: Any) -> None:
    found = faults(load, PAPER | {"bots": [BOT, BOT]}, PAPER)
    assert set(found) == {
        "accounts[0].name",
        "accounts[1].name",
        "accounts[0].bots[0].name",
        "accounts[0].bots[1].name",
    }


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.yaml", "accounts: [", "not YAML at line"),
        ("a.yaml", f"accounts: !{NEVER} x", "not YAML at line 1"),
        ("a.yaml", f"accounts: *{NEVER}", "not YAML at line 1"),
        ("a.yaml", "accounts:\n  - name: a\n    name: b\n", "twice"),
        ("a.yaml", "1: 2", "no text"),
        ("a.yaml", "a: \x07", "not YAML"),
        ("a.yaml", "[" * 5_000, "nested too deep"),
        ("a.json", '{"accounts": [', "not JSON at line 1"),
        ("a.json", '{"accounts": [], "accounts": []}', "twice"),
        ("a.json", '{"accounts": NaN}', "no number"),
        ("a.yaml", "x" * 1_000_001, "larger"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_nothing_of_its_text(
    load: Any, name: str, text: str, says: str
) -> None:
    [wrong] = faults(load, name=name, text=text).values()
    assert says in wrong
    assert NEVER not in wrong


@pytest.mark.parametrize("text", ["", "[]", "accounts:", "accounts: []", "name: a", "accounts: {name: a}"])
def test_a_file_of_another_shape_is_refused(load: Any, text: str) -> None:
    assert faults(load, name="a.yaml", text=text)


def test_a_missing_file_and_one_that_is_no_text_are_refused(load: Any, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    for name, says in (("nowhere.yaml", "no such file"), ("b.yaml", "not UTF-8")):
        with pytest.raises(CommandError, match=says):
            call_command("load_accounts", str(tmp_path / name))


@pytest.mark.parametrize("value", ["yes", "0x10", "010", "1:30", "1e3", ".inf", "1_000", "2024-01-01"])
def test_yaml_turns_no_text_into_something_else(load: Any, value: str) -> None:
    text = f"accounts:\n  - name: a\n    venue: sim\n    limits: {{max_positions: {value}}}\n"
    assert set(faults(load, name="a.yaml", text=text)) == {"accounts[0].limits.max_positions"}


def test_decimals_of_the_file_are_exact(load: Any) -> None:
    for name in ("a.yaml", "a.json"):
        text = '{"accounts": [{"name": "x", "venue": "sim", "limits": {"risk_per_trade": 0.000001, "max_net": 2}}]}'
        load(name=name, text=text)
        assert RiskLimits.objects.get().risk_per_trade == Decimal("0.000001")


def test_the_owner_has_to_be_said_when_there_are_several(load: Any, owner: User) -> None:
    other = person("other@vibex.local")
    with pytest.raises(CommandError, match="--owner"):
        load(PAPER)
    with pytest.raises(CommandError, match="nobody"):
        load(PAPER, options=("--owner", "ghost@vibex.local"))
    load(PAPER, options=("--owner", "OTHER@vibex.local"))
    assert Account.objects.get().owner == other
    load(PAPER, options=("--owner", owner.email))
    assert Account.objects.count() == 2


def test_a_change_between_showing_and_writing_ends_the_command(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from trading.management.commands import load_accounts as command

    load(PAPER)
    shown = command.Command._show

    def somebody_is_faster(self: Any, items: Any) -> None:
        shown(self, items)
        RiskLimits.objects.update(max_leverage=1)

    monkeypatch.setattr(command.Command, "_show", somebody_is_faster)
    with pytest.raises(CommandError, match="start again"):
        load(PAPER | {"limits": {"max_leverage": 2}})
    assert RiskLimits.objects.get().max_leverage == 1


ASKING: dict[str, Any] = {
    "model": "openrouter/x-ai/grok-4.3",
    "fallback_models": ["openrouter/anthropic/claude-sonnet-5"],
    "served_models": ["x-ai/grok-4.3-fast"],
    "reasoning_effort": "minimal",
    "temperature": 0.35,
    "max_tokens": 6000,
    "deadline_seconds": 45,
    "prompt_template": "arena",
    "prompt_version": 1,
    "layout": "compact",
    "shadow_models": ["openrouter/openai/gpt-5.6-luna"],
    "ensemble_models": ["openrouter/google/gemini-3.8-flash"],
    "ensemble_rule": "unanimous",
    "outside_text": True,
    "cost_per_day": 2.5,
    "tokens_per_day": 900_000,
}


@pytest.fixture
def models(settings: Any) -> None:
    settings.OPENROUTER_API_KEY = "sk-of-a-test"
    settings.FEATURE_ENSEMBLE = settings.FEATURE_EXTERNAL_TEXT = True
    prompt_template_install()


@pytest.mark.usefixtures("models")
def test_everything_that_a_bot_may_be_told_of_its_models_stands_in_the_file(load: Any) -> None:
    load(PAPER | {"bots": [BOT | ASKING]})
    bot = Bot.objects.get()
    for name, value in ASKING.items():
        assert getattr(bot, name) == (Decimal(str(value)) if isinstance(value, float) else value), name
    assert "0 to create, 0 to change" in load(PAPER | {"bots": [BOT | ASKING]})
    said = load(PAPER | {"bots": [BOT | ASKING | {"layout": "arena", "tokens_per_day": None}]})
    assert "layout compact → arena" in said
    assert "tokens_per_day 900000 → none" in said


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"model": "gpt-4"}, "model", "It is retired: use openrouter/openai/gpt-5.6-terra."),
        ({"model": "nobody/x"}, "model", "Nothing decides under the name"),
        ({"reasoning_effort": "a lot"}, "reasoning_effort", "a lot is not one of the available choices"),
        ({"shadow_models": ["openrouter/x-ai/grok-4.3"]}, "shadow_models", "named twice"),
        ({"prompt_version": 7}, "prompt_version", "arena has no version 7"),
        ({"max_tokens": 100}, "", "between 256 and 200,000"),
        ({"temperature": "hot"}, "temperature", "has to be a number"),
        ({"max_tokens": "4000"}, "max_tokens", "integer"),
    ],
)
def test_what_cannot_work_is_refused_as_in_the_admin(load: Any, changed: dict[str, Any], field: str, said: str) -> None:
    found = faults(load, PAPER | {"bots": [BOT | ASKING | changed]})
    path = "accounts[0].bots[0]" + (f".{field}" if field else "")
    assert said in found[path]


@pytest.mark.usefixtures("models")
def test_a_retired_model_that_is_still_served_is_kept_as_the_file_says(load: Any) -> None:
    load(PAPER | {"bots": [BOT | {"model": "openrouter/anthropic/claude-sonnet-4.5"}]})
    assert Bot.objects.get().model == "openrouter/anthropic/claude-sonnet-4.5"
