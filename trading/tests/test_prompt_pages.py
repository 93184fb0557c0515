"""The pages of prompts: what they show to whom, what they refuse, and that looking changes nothing."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission

from accounts.models import AuditEntry, Bot
from decisions.models import Interaction, PromptTemplate
from decisions.services import SEEDS, outside_text_add, prompt_template_add, prompt_template_install
from tests.support.demo import HOSTILE, account_of, bot_of, person
from tests.support.demo_market import candles, market
from trading.models import EquityPoint, PaperAccount

pytestmark = pytest.mark.django_db
SEED = (SEEDS / "arena.txt").read_text(encoding="utf-8")


@pytest.fixture
def bot(client):
    prompt_template_install()
    owner = person()
    client.force_login(owner)
    return bot_of(account_of(owner), symbols=["BTCUSDT"], timeframes=["3m", "15m"])


def text_of(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status, path
    return answer.content.decode()


def page_of(client):
    return " ".join(text_of(client, "/prompts/").split())


def staff(client, *, may_add=True, email="boss@vibex.local"):
    boss = person(email, is_staff=True)
    if may_add:
        boss.user_permissions.add(Permission.objects.get(codename="add_prompttemplate"))
    client.force_login(boss)
    return boss


def test_the_list_says_which_bots_send_which_version(client, bot):
    prompt_template_add(
        name="arena", text=SEED + "\nThink twice.", author=bot.account.owner, note="thinks <b>twice</b>"
    )
    pinned = bot_of(bot.account, "pinned", prompt_version=1)
    page = page_of(client)
    assert f'<a href="/prompts/now/{bot.pk}/">trend</a> <small>on paper</small>' in page
    assert f'<a href="/prompts/now/{pinned.pk}/">pinned</a> <small>on paper, pinned</small>' in page
    assert "thinks &lt;b&gt;twice&lt;/b&gt;" in page
    assert "<small>Vibex, <time" in page
    assert bot.account.owner.email in page


def test_bots_that_name_a_version_that_is_not_there_are_pointed_out(client, bot):
    Bot.objects.filter(pk=bot.pk).update(prompt_version=9)
    assert "hold" in page_of(client)
    assert "there is no such version of arena" in page_of(client)
    Bot.objects.filter(pk=bot.pk).update(prompt_version=None, prompt_template="gone")
    assert "there is no such version of gone" in page_of(client)


def test_nobody_sees_the_bots_of_another(client, bot):
    client.force_login(person("mallory@vibex.local"))
    page = page_of(client)
    assert "You have no bot yet" in page
    assert "trend" not in page
    text_of(client, f"/prompts/now/{bot.pk}/", 404)


@pytest.mark.parametrize(
    "path", ["/prompts/", "/prompts/of/arena/1/", "/prompts/of/arena/difference/", "/prompts/add/"]
)
def test_who_is_not_signed_in_is_sent_to_the_sign_in(client, bot, path):
    client.logout()
    assert client.get(path).status_code == 302


def test_a_version_is_shown_in_its_two_parts(client, bot):
    page = text_of(client, "/prompts/of/arena/1/")
    constant, changing = page.index('id="constant"'), page.index('id="changing"')
    assert constant < page.index("$limits") < changing < page.index("$now")
    assert "=== user ===" not in page
    for missing in ("/prompts/of/arena/2/", "/prompts/of/other/1/", "/prompts/of/other/difference/"):
        text_of(client, missing, 404)


def test_a_hostile_text_of_a_template_is_shown_and_does_nothing(client, bot):
    prompt_template_add(name="arena", text=SEED + f"\n{HOSTILE}", note=HOSTILE[:200])
    for path in ("/prompts/", "/prompts/of/arena/2/", "/prompts/of/arena/difference/"):
        assert HOSTILE not in text_of(client, path)


def test_two_versions_are_compared_line_by_line_and_word_by_word(client, bot):
    prompt_template_add(name="arena", text=SEED.replace("size and place them well", "size and place them badly"))
    page = text_of(client, "/prompts/of/arena/difference/")
    assert "<del>well</del>" in page
    assert "<ins>badly</ins>" in page
    assert "equal lines" in page
    assert "<ins>well</ins>" in text_of(client, "/prompts/of/arena/difference/?from=2&to=1")
    assert "Both have the same text" in text_of(client, "/prompts/of/arena/difference/?from=1&to=1")
    for wrong in ("from=3", "from=x", "to=-1", "from=1&to=²"):
        text_of(client, f"/prompts/of/arena/difference/?{wrong}", 404)


def test_staff_with_the_permission_adds_a_version_and_reads_errors_at_their_field(client, bot):
    boss = staff(client)
    assert "$feedback" in text_of(client, "/prompts/add/?name=arena")
    broken = client.post("/prompts/add/", {"name": "arena", "text": SEED.replace("$now", ""), "note": ""})
    assert "$now is missing below" in broken.content.decode()
    same = client.post("/prompts/add/", {"name": "arena", "text": SEED, "note": ""})
    assert "there is nothing new in it" in same.content.decode()
    bad_name = client.post("/prompts/add/", {"name": "two words", "text": SEED, "note": ""})
    assert "valid “slug”" in bad_name.content.decode()
    assert PromptTemplate.objects.count() == 1
    done = client.post(
        "/prompts/add/", {"name": "arena", "text": (SEED + "\nMore.").replace("\n", "\r\n"), "note": "more"}
    )
    assert done["Location"] == "/prompts/of/arena/2/"
    row = PromptTemplate.objects.get(version=2)
    assert (row.text, row.author, row.note) == (SEED + "\nMore.", boss, "more")
    assert AuditEntry.objects.filter(action="prompt-template-add", actor=boss).exists()


def test_owners_look_and_do_not_add(client, bot):
    text_of(client, "/prompts/add/", 403)
    assert client.post("/prompts/add/", {"name": "arena", "text": SEED + "x"}).status_code == 403
    assert "Add a version" not in page_of(client)
    staff(client, may_add=False)
    text_of(client, "/prompts/add/", 403)
    assert PromptTemplate.objects.count() == 1


def test_the_preview_shows_the_prompt_its_size_and_its_price_and_changes_nothing(client, bot, settings):
    settings.FEATURE_EXTERNAL_TEXT = True
    Bot.objects.filter(pk=bot.pk).update(model="openrouter/x-ai/grok-4.3", outside_text=True)
    market(datetime.now(UTC))
    candles(datetime.now(UTC), hours=75, symbols=("BTCUSDT",))
    outside_text_add(bot=bot, source="feed", text=HOSTILE)
    page = text_of(client, f"/prompts/now/{bot.pk}/")
    for part in (
        "### BTCUSDT, 3m candles",
        "Closes (USDT): [",
        "1 text, fenced",
        "about ",
        "USD for the prompt, at most",
    ):
        assert part in page
    assert HOSTILE not in page
    compact = text_of(client, f"/prompts/now/{bot.pk}/?layout=compact")
    assert "### Quotes" in compact
    assert "while the bot is set to arena" in compact
    text_of(client, f"/prompts/now/{bot.pk}/?layout=tiny", 404)
    Bot.objects.filter(pk=bot.pk).update(model="local/somebody/new")
    assert "no catalogue names a price of local/somebody/new" in text_of(client, f"/prompts/now/{bot.pk}/")
    for model in (Interaction, EquityPoint, PaperAccount):
        assert not model.objects.exists()


def test_a_preview_of_a_bot_that_holds_says_why(client, bot):
    market(datetime.now(UTC))
    Bot.objects.filter(pk=bot.pk).update(prompt_version=9)
    page = text_of(client, f"/prompts/now/{bot.pk}/")
    assert "so the bot holds" in page
    assert "version 9" in page


def test_a_bot_on_rules_says_that_it_asks_no_model(client, bot):
    market(datetime.now(UTC))
    assert "asks no model" in text_of(client, f"/prompts/now/{bot.pk}/")


def test_the_list_costs_a_fixed_number_of_queries(client, bot, django_assert_max_num_queries):
    for place in range(8):
        prompt_template_add(name="arena", text=f"{SEED}\n{place}", author=bot.account.owner)
        bot_of(bot.account, f"b{place}")
    client.get("/alerts/count/")  # the first request of a session puts its sign-in on record
    with django_assert_max_num_queries(10):
        text_of(client, "/prompts/")


def test_the_page_of_a_bot_leads_to_its_prompt(client, bot):
    assert f'href="/prompts/now/{bot.pk}/"' in text_of(client, f"/bots/{bot.pk}/")
    assert 'href="/prompts/"' in text_of(client, "/")
