"""Versions of templates: of the house and of persons, found by number, checked before they are kept."""

from datetime import timedelta
from hashlib import sha256

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEntry
from decisions.models import OutsideText, PromptTemplate
from decisions.selectors import outside_current, outside_of, prompt_template_text
from decisions.services import (
    SEEDS,
    outside_text_add,
    outside_text_end,
    prompt_template_add,
    prompt_template_install,
)
from decisions.services.templates import EARLIER
from tests.support.demo import account_of, bot_of, person
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db
SEED = (SEEDS / "arena.txt").read_text(encoding="utf-8")


def versions() -> list[tuple[int, bool]]:
    return list(PromptTemplate.objects.order_by("version").values_list("version", "house"))


def release_with(monkeypatch, folder, text: str) -> None:
    """Let the program come with this text."""
    (folder / "arena.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr("decisions.services.templates.SEEDS", folder)


def test_what_comes_with_the_house_says_so_and_is_added_once():
    assert [str(row) for row in prompt_template_install()] == ["arena v1"]
    assert prompt_template_install() == []
    assert versions() == [(1, True)]


def test_the_text_of_a_newer_release_follows_one_of_the_house(monkeypatch, tmp_path):
    prompt_template_install()
    release_with(monkeypatch, tmp_path, SEED + "\nMore.")
    (added,) = prompt_template_install()
    assert (added.version, added.house, added.text) == (2, True, SEED + "\nMore.")
    assert prompt_template_install() == []


def test_a_version_of_a_person_is_never_followed_by_itself(monkeypatch, tmp_path):
    prompt_template_install()
    mine = prompt_template_add(name="arena", text=SEED + "\nMine.", author=person(), note="calmer")
    release_with(monkeypatch, tmp_path, SEED + "\nMore.")
    assert prompt_template_install() == []
    assert prompt_template_text("arena") == mine.text


def test_a_seed_of_an_earlier_release_is_known_by_its_text_where_no_version_says_whose_it_is(monkeypatch, tmp_path):
    """Installations that are older than the column hold version 1 with house=False."""
    old = SEED.replace("Name each symbol at most once.", "")
    PromptTemplate.objects.create(name="arena", version=1, text=old)
    assert prompt_template_install() == []
    monkeypatch.setattr("decisions.services.templates.EARLIER", {sha256(old.encode()).hexdigest()})
    assert [(row.version, row.house) for row in prompt_template_install()] == [(2, True)]


def test_the_seed_of_now_is_no_earlier_one():
    assert len(EARLIER) == 2
    assert sha256(SEED.encode()).hexdigest() not in EARLIER


def test_a_version_is_found_by_its_number_and_no_other_takes_its_place():
    prompt_template_install()
    prompt_template_add(name="arena", text=SEED + "\nMore.")
    assert prompt_template_text("arena", 1) == SEED
    assert prompt_template_text("arena", 2) == prompt_template_text("arena") == SEED + "\nMore."
    assert prompt_template_text("arena", 3) is None
    assert prompt_template_text("other", 1) is None


def test_a_version_that_a_person_adds_is_on_record_with_its_note():
    author = person()
    row = prompt_template_add(name="mine", text=SEED, author=author, note="calmer")
    assert (row.author, row.note, row.house) == (author, "calmer", False)
    entry = AuditEntry.objects.get(action="prompt-template-add")
    assert (entry.actor, entry.after["name"], entry.after["version"]) == (author, "mine", 1)


def test_ends_of_lines_as_a_browser_sends_them_break_no_template():
    row = prompt_template_add(name="mine", text=SEED.replace("\n", "\r\n"))
    assert row.text == SEED


@pytest.mark.parametrize(
    ("text", "says"), [("buy everything", "separator|=== user ==="), (SEED + "$outside $secret", "secret is not known")]
)
def test_a_broken_text_is_refused_before_it_is_kept(text, says):
    with pytest.raises(Rejected, match=says):
        prompt_template_add(name="mine", text=text)
    assert not PromptTemplate.objects.exists()


def test_the_same_text_again_is_no_version():
    prompt_template_add(name="mine", text=SEED)
    with pytest.raises(Rejected, match="nothing new") as refusal:
        prompt_template_add(name="mine", text=SEED)
    assert refusal.value.code == "same_text"


def test_a_name_that_is_none_and_a_note_that_is_too_long_are_refused():
    for wrong in ({"name": "two words"}, {"name": "mine", "note": "x" * 201}):
        with pytest.raises(ValidationError):
            prompt_template_add(text=SEED, **wrong)


def test_who_is_overtaken_by_another_is_told(monkeypatch):
    prompt_template_add(name="mine", text=SEED)
    monkeypatch.setattr("decisions.services.templates.prompt_template_newest", lambda name: None)
    with pytest.raises(Rejected, match="same moment"):
        prompt_template_add(name="mine", text=SEED + "\nMore.")


# -- texts from outside --------------------------------------------------------------------------------------------


@pytest.fixture
def bot(settings):
    settings.FEATURE_EXTERNAL_TEXT = True
    return bot_of(account_of(person()), outside_text=True)


def test_texts_are_shown_to_their_bot_the_oldest_first(bot):
    now = timezone.now()
    for place in range(7):
        text = outside_text_add(bot=bot, source="feed", text=f"news {place}")
        OutsideText.objects.filter(pk=text.pk).update(at=now - timedelta(minutes=place))
    outside_text_add(bot=bot_of(account_of(person("b@vibex.local"))), source="feed", text="of another bot")
    assert [one.text for one in outside_of(bot)] == [f"news {place}" for place in (4, 3, 2, 1, 0)]


def test_nothing_is_shown_unless_the_installation_and_the_bot_allow_it(bot, settings):
    outside_text_add(bot=bot, source="feed", text="news")
    assert outside_of(bot)
    bot.outside_text = False
    assert outside_of(bot) == ()
    bot.outside_text, settings.FEATURE_EXTERNAL_TEXT = True, False
    assert outside_of(bot) == ()


def test_texts_end_when_they_say_after_a_day_or_when_a_person_says(bot):
    now = timezone.now()
    brief = outside_text_add(bot=bot, source="feed", text="brief", until=now + timedelta(hours=1))
    outside_text_add(bot=bot, source="feed", text="a day")
    long = outside_text_add(bot=bot, source="feed", text="long", until=now + timedelta(days=9))
    assert {row.text for row in outside_current(bot, now=now + timedelta(hours=2))} == {"a day", "long"}
    assert {row.text for row in outside_current(bot, now=now + timedelta(days=2))} == {"long"}
    ended = outside_text_end(text=long, actor=bot.account.owner)
    assert ended.until <= timezone.now()
    assert {row.text for row in outside_current(bot)} == {"brief", "a day"}
    outside_text_end(text=long, actor=bot.account.owner)
    assert AuditEntry.objects.filter(action="outside-text-end").count() == 1
    assert brief.author is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"text": "  "}, "empty_text"), ({"source": ""}, "empty_text"), ({"until": timezone.now()}, "over_already")],
)
def test_a_text_that_could_not_be_shown_is_refused(bot, changes, code):
    with pytest.raises(Rejected) as refusal:
        outside_text_add(**{"bot": bot, "source": "feed", "text": "news"} | changes)
    assert refusal.value.code == code
    assert not OutsideText.objects.exists()


def test_a_text_that_is_too_long_to_keep_is_refused(bot):
    with pytest.raises(Rejected, match="4000"):
        outside_text_add(bot=bot, source="feed", text="x" * 4_001)
    with pytest.raises(ValidationError):
        outside_text_add(bot=bot, source="f" * 61, text="news")


# -- the admin -----------------------------------------------------------------------------------------------------


@pytest.fixture
def staff(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return client


def test_the_admin_adds_a_version_and_shows_what_is_wrong_at_its_field(staff):
    prompt_template_install()
    url = "/admin/decisions/prompttemplate/add/"
    broken = staff.post(url, {"name": "arena", "text": SEED.replace("$account", ""), "note": ""})
    assert "$account is missing below" in broken.content.decode()
    same = staff.post(url, {"name": "arena", "text": SEED, "note": ""})
    assert "there is nothing new in it" in same.content.decode()
    assert staff.post(url, {"name": "arena", "text": SEED + "\nMore.", "note": "more"}).status_code == 302
    row = PromptTemplate.objects.get(version=2)
    assert (row.note, row.house, row.author.email) == ("more", False, "boss@vibex.local")
    page = staff.get(f"/admin/decisions/prompttemplate/{row.pk}/change/").content.decode()
    assert "boss@vibex.local" in page
    assert 'name="_save"' not in page


def test_the_admin_adds_a_text_from_outside_and_ends_it(staff, bot):
    url = "/admin/decisions/outsidetext/"
    given = {"bot": bot.pk, "source": "feed", "text": "<script>alert(1)</script>", "until_0": "", "until_1": ""}
    assert staff.post(f"{url}add/", given).status_code == 302
    assert "<script>alert(1)" not in staff.get(url).content.decode()
    row = OutsideText.objects.get()
    staff.post(url, {"action": "end", "_selected_action": [row.pk]})
    assert outside_of(bot) == ()
