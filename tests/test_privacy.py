"""A person is given everything that is stored about them, and after they are forgotten no table knows them any more."""

from __future__ import annotations

import io
import json
from io import StringIO
from zipfile import ZipFile

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import (
    Account,
    Alert,
    AlertChannel,
    ApiKey,
    AuditEntry,
    Bot,
    Credentials,
    Incident,
    Job,
    LiveApproval,
    SignIn,
    User,
)
from accounts.services.api_keys import api_key_create
from accounts.services.audit import audit_write
from accounts.services.privacy import person_export, pseudonym_of
from accounts.services.privacy.about import OF_NOBODY, rows_about, tables
from decisions.models import DiaryEntry, Interaction
from tests.support.access import confirmed
from tests.support.demo import PASSWORD, demo, person
from trading.models import Fill, Order, OrderEvent, Position
from trading.services.leaving import person_forget
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db

EMAIL = "Ann.Smith@example.com".lower()
ADDRESS = "203.0.113.77"


@pytest.fixture
def ann() -> User:
    """Somebody who did everything that leaves a trace."""
    made = demo(EMAIL)
    user = made.user
    user.is_staff = True
    user.save()
    client = Client()
    assert client.login(username=EMAIL, password=PASSWORD)
    SignIn.objects.create(user=user, kind="session", address=ADDRESS, agent="Firefox of Ann", session_key="k" * 32)
    SignIn.objects.create(user=user, kind="session", address=ADDRESS, ended=timezone.now(), end_reason=f"by {EMAIL}")
    api_key_create(user=user, name="reports", scopes=["read"], expires=None, actor=user)
    AlertChannel.objects.create(
        user=user, name="mail", kind="mailto", sealed="a secret address", shown=f"mailto://{EMAIL}"
    )
    audit_write(actor=user, action="user-change", obj=user, before={"email": EMAIL}, after={"email": EMAIL.upper()})
    audit_write(actor=None, action="password-reset-send", obj=user)
    audit_write(actor=None, action="refresh-token-reuse", obj=SignIn.objects.filter(user=user).earliest("pk"))
    AuditEntry.objects.update(address=ADDRESS)
    Incident.objects.create(account=made.account, kind="told", text=f"{EMAIL} was told", data={"who": [EMAIL]})
    DiaryEntry.objects.create(bot=made.bot, at=made.now, kind="state", text=f"Started by {EMAIL.title()}.")
    Interaction.objects.filter(bot=made.bot).update(user_prompt=f"A note of {EMAIL}: buy")
    Job.objects.create(owner=user, kind="x", request={"mail": EMAIL}, alive_until=timezone.now(), status="done")
    LogEntry.objects.create(
        user=user, content_type=ContentType.objects.get_for_model(User), object_id=user.pk, object_repr=EMAIL,
        action_flag=CHANGE, change_message="[]",
    )  # fmt: skip
    other = person("boss@vibex.local", is_superuser=True, is_staff=True)
    audit_write(actor=other, action="role-set", obj=user, after={"of": EMAIL})
    AuditEntry.objects.filter(actor=other).update(address="198.51.100.1")
    return user


def quiet(user: User) -> None:
    """Let everything of theirs come to rest."""
    Bot.objects.filter(account__owner=user).update(status="stopped")
    Order.objects.filter(account__owner=user).update(state="done")
    Position.objects.filter(account__owner=user, closed__isnull=True).update(closed=timezone.now(), quantity=0)


def found_in(*words: str) -> set[str]:
    """Return every table and column of the database in which one of the words stands, in any spelling."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for column in connection.introspection.get_table_description(cursor, table):
                cursor.execute(
                    f'SELECT 1 FROM "{table}" WHERE '
                    + " OR ".join(f'lower(CAST("{column.name}" AS text)) LIKE %s' for _ in words),
                    [f"%{word.lower()}%" for word in words],
                )
                if cursor.fetchone():
                    found.add(f"{table}.{column.name}")
    return found


def test_after_forgetting_neither_address_is_found_in_any_column_of_any_table(ann):
    assert {"accounts_user.email", "accounts_auditentry.after", "django_admin_log.object_repr"} <= found_in(EMAIL)
    assert "accounts_signin.address" in found_in(ADDRESS)
    quiet(ann)
    person_forget(user=ann, actor=None)
    assert found_in(EMAIL) == set()
    assert found_in(ADDRESS) == set()
    assert AuditEntry.objects.get(action="role-set").address == "198.51.100.1", "that is somebody else's"


def test_what_was_traded_stays_under_a_pseudonym_and_nobody_gets_in_as_them(ann):
    kept = (Order, OrderEvent, Fill, Position, DiaryEntry, Interaction, Incident)
    before = [model.objects.count() for model in kept]
    entries, quantity = AuditEntry.objects.count(), list(Fill.objects.order_by("pk").values_list("quantity", "price"))
    quiet(ann)
    done = person_forget(user=ann, actor=None)
    assert [model.objects.count() for model in kept] == before
    assert list(Fill.objects.order_by("pk").values_list("quantity", "price")) == quantity
    assert AuditEntry.objects.count() > entries
    ann.refresh_from_db()
    assert (ann.email, ann.is_active, ann.is_staff, ann.has_usable_password()) == (
        pseudonym_of(ann),
        False,
        False,
        False,
    )
    assert Account.objects.get().owner == ann
    assert DiaryEntry.objects.filter(text=f"Started by {pseudonym_of(ann)}.").exists()
    assert done.mentions["accounts.Incident"] == 1
    for model in (SignIn, ApiKey, Alert, AlertChannel, Credentials):
        assert not model.objects.exists()
    assert not Client().login(username=EMAIL, password=PASSWORD)


def test_others_keep_what_is_theirs(ann):
    other = demo("other@vibex.local", name="second", feed=False)
    before = {
        model._meta.label: rows.count() for model in tables() if (rows := rows_about(model, other.user)) is not None
    }
    quiet(ann)
    person_forget(user=ann, actor=None)
    after = {
        model._meta.label: rows.count() for model in tables() if (rows := rows_about(model, other.user)) is not None
    }
    assert after == before
    assert User.objects.filter(email="other@vibex.local", is_active=True).exists()


def test_an_address_that_stands_in_another_one_is_left_alone(ann):
    other = demo("ann.smith@example.com.au", name="second", feed=False)
    longer = [f"jo{EMAIL}", f"jo.{EMAIL}", f"jo+{EMAIL}", f"{EMAIL}.au", f"{EMAIL}munity.org"]
    AlertChannel.objects.create(user=other.user, name="m", kind="mailto", sealed="x", shown=f"mailto://jo-{EMAIL}")
    job = Job.objects.create(owner=other.user, kind="x", request={"mail": longer}, alive_until=timezone.now())
    said = {f"{EMAIL}": [f"one:\n{EMAIL}", 3, None, {"of": f"\t{EMAIL};"}]}
    note = Incident.objects.create(
        kind="told", data=said, text=f"To <{EMAIL}>, '{EMAIL}' or mailto:{EMAIL}?x: {EMAIL}."
    )
    quiet(ann)
    person_forget(user=ann, actor=None)
    assert AlertChannel.objects.get(name="m").shown == f"mailto://jo-{EMAIL}"
    job.refresh_from_db()
    assert job.request == {"mail": longer}
    note.refresh_from_db()
    gone = pseudonym_of(ann)
    assert note.data == {gone: [f"one:\n{gone}", 3, None, {"of": f"\t{gone};"}]}
    assert note.text == f"To <{gone}>, '{gone}' or mailto:{gone}?x: {gone}."


def test_only_the_columns_that_change_are_written(ann):
    quiet(ann)
    Account.objects.update(name=f"of {EMAIL}"[:40])
    with CaptureQueriesContext(connection) as captured:
        person_forget(user=ann, actor=None)
    written = [each["sql"] for each in captured if each["sql"].startswith('UPDATE "accounts_account"')]
    assert len(written) == 1
    assert '"state"' not in written[0].partition("WHERE")[0]


def test_nobody_is_forgotten_while_something_of_theirs_is_at_work(ann):
    account = Account.objects.get()
    with pytest.raises(Rejected, match="holds") as refused:
        person_forget(user=ann, actor=None)
    assert "A bot of paper runs" in str(refused.value)
    quiet(ann)
    LiveApproval.objects.create(account=account, actor=ann)
    with pytest.raises(Rejected, match="real money"):
        person_forget(user=ann, actor=None)
    LiveApproval.objects.update(revoked=timezone.now())
    Account.objects.update(mode="live", network="testnet", venue="aster")
    Credentials.objects.create(account=account, kind="aster_v1", sealed="x")
    with pytest.raises(Rejected, match="keys of its exchange"):
        person_forget(user=ann, actor=None)
    Credentials.objects.all().delete()
    User.objects.exclude(pk=ann.pk).update(is_superuser=False)
    User.objects.filter(pk=ann.pk).update(is_superuser=True)
    ann.refresh_from_db()
    with pytest.raises(Rejected, match="the last one"):
        person_forget(user=ann, actor=None)
    assert User.objects.filter(email=EMAIL, is_active=True).exists()


def test_killed_in_the_middle_it_is_done_again(ann, monkeypatch):
    from accounts.services.privacy import forgetting

    quiet(ann)
    monkeypatch.setattr(forgetting, "_pseudonymise", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        person_forget(user=ann, actor=None)
    assert User.objects.filter(email=EMAIL, is_active=False).exists()
    monkeypatch.undo()
    call_command("forget_person", EMAIL, "--yes", stdout=StringIO())
    assert found_in(EMAIL) == set()


def test_the_command_asks_for_the_address_and_can_only_look(ann, monkeypatch):
    with pytest.raises(CommandError, match="holds"):
        call_command("forget_person", EMAIL, "--dry-run")
    quiet(ann)
    out = StringIO()
    call_command("forget_person", EMAIL, "--dry-run", stdout=out)
    assert "Nothing stands in the way" in out.getvalue()
    monkeypatch.setattr("builtins.input", lambda _: "somebody else")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("forget_person", EMAIL)
    assert User.objects.filter(email=EMAIL, is_active=True).exists()
    with pytest.raises(CommandError, match="nobody with the address"):
        call_command("forget_person", "nobody@example.com", "--yes")


def test_every_table_with_a_way_to_a_person_is_exported_and_no_secret_is(ann, tmp_path):
    file = tmp_path / "ann.zip"
    call_command("export_person", EMAIL, "--output", str(file), stdout=StringIO())
    assert file.stat().st_mode & 0o077 == 0
    with ZipFile(file) as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    assert json.loads(content["person.json"])["email"] == EMAIL
    rows = json.loads(content["summary.json"])["rows"]
    for label in ("trading.Order", "trading.OrderEvent", "trading.Fill", "trading.PaperTrade", "decisions.Decision",
                  "accounts.SignIn", "accounts.Alert", "accounts.AuditEntry", "trading.EquityPoint"):  # fmt: skip
        assert rows[label] == len(json.loads(content[f"{label}.json"])) == apps.get_model(label).objects.count() > 0, (
            label
        )
    everything = "".join(content.values())
    secrets = [ann.password, *ApiKey.objects.values_list("digest", flat=True), "k" * 32]
    secrets += AlertChannel.objects.values_list("sealed", flat=True)
    assert [secret for secret in secrets if secret in everything] == []
    assert ADDRESS in everything
    assert AuditEntry.objects.get(action="role-set").address not in everything, "from there somebody else acted"
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_person", EMAIL, "--output", str(file))


def test_of_others_nothing_is_exported(ann):
    other = demo("other@vibex.local", name="second", feed=False)
    archive = io.BytesIO()
    counts = person_export(user=other.user, to=archive, actor=None)
    assert counts["trading.Order"] == Order.objects.filter(account__owner=other.user).count()
    with ZipFile(archive) as files:
        everything = b"".join(files.read(name) for name in files.namelist())
    assert EMAIL.encode() not in everything


def test_tables_without_a_way_to_a_person_are_known():
    user = person("x@vibex.local")
    without = {model._meta.label for model in apps.get_models() if model._meta.app_label not in OF_NOBODY} - {
        model._meta.label for model in tables() if rows_about(model, user) is not None
    }
    assert without == {
        "sessions.Session", "accounts.Backup", "decisions.Provider", "decisions.CatalogueModel",
        "decisions.CatalogueRead", "decisions.LearnedFormat", "decisions.AskBucket", "decisions.AskPlace",
        "token_blacklist.BlacklistedToken",
    }  # fmt: skip


def test_a_person_gets_the_archive_on_the_profile_after_proving_who_they_are(ann):
    client = Client()
    client.force_login(ann)
    assert "Confirm that it is you" in client.post("/profile/data/", follow=True).content.decode()
    confirmed(client)
    answer = client.post("/profile/data/")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    with ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        assert json.loads(archive.read("person.json"))["email"] == EMAIL
    assert AuditEntry.objects.filter(action="person-export", actor=ann).exists()
    assert client.get("/profile/data/").status_code == 405
