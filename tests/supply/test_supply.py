"""What Vibex is made of is known: licences are in step, exceptions have an end, faults that are found end the audit."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from supply import audit, licences
from supply.exceptions import BadExceptions, exceptions, read
from supply.locked import locked
from vibex.lib.env import ROOT

TODAY = date(2026, 12, 1)
GOOD = """
[[exception]]
id = "GHSA-aaaa-bbbb-cccc"
package = "celery"
reason = "The result backend that it is about is not used here."
since = 2026-11-29
until = 2027-01-31
"""


def test_the_page_of_licences_is_in_step_and_every_licence_was_looked_at():
    found = licences.table()
    assert licences.faults(found) == []
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page(found)


def test_a_licence_that_nobody_looked_at_is_a_fault():
    found = {"one": ("MIT OR GPL-3.0-only", "x"), "two": ("", "x"), "three": ("MIT AND 0BSD", "x")}
    assert [line.split(":")[0] for line in licences.faults(found)] == ["one", "two"]


def test_the_lock_is_read_with_its_markers():
    lock = "a==1.0 \\\n    --hash=sha256:00\nb-c==2 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    assert [(one.name, one.version, one.marker) for one in locked(lock)] == [
        ("a", "1.0", ""),
        ("b-c", "2", "sys_platform == 'win32'"),
    ]
    assert len(locked()) > 100


def test_no_exception_of_the_audit_is_over():
    assert all(one.until > datetime.now(UTC).date() for one in exceptions(today=datetime.now(UTC).date()))


def test_an_exception_holds_until_its_end():
    [one] = read(GOOD, today=TODAY)
    assert (one.id, one.until) == ("GHSA-aaaa-bbbb-cccc", date(2027, 1, 31))
    with pytest.raises(BadExceptions, match="ended on 2027-01-31"):
        read(GOOD, today=date(2027, 1, 31))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("until = 2027-01-31", ""), "until is missing"),
        (("2027-01-31", "2028-01-31"), "longer than 90 days"),
        (("The result backend that it is about is not used here.", "fine"), "say in a sentence"),
        (('package = "celery"', "package = 3"), "package is missing or of the wrong kind"),
        (("since", "begun"), "nobody knows begun"),
        (("[[exception]]", "[[exception"), "is no TOML"),
    ],
)
def test_an_exception_without_reason_or_end_is_refused(change, told):
    with pytest.raises(BadExceptions, match=told):
        read(GOOD.replace(*change), today=TODAY)


REPORT = {
    "dependencies": [
        {"name": "celery", "version": "5.7.0", "vulns": [
            {"id": "PYSEC-2027-1", "aliases": ["GHSA-aaaa-bbbb-cccc"], "fix_versions": ["5.7.1"]}]},
        {"name": "django", "version": "6.0", "vulns": [{"id": "PYSEC-2027-2", "aliases": [], "fix_versions": []}]},
        {"name": "odd", "skip_reason": "not found"},
        {"name": "fine", "version": "1", "vulns": []},
    ]
}  # fmt: skip


def test_what_is_excepted_is_told_and_everything_else_is_found():
    told = audit.read(REPORT, {"GHSA-aaaa-bbbb-cccc"})
    assert told.excepted == ("celery 5.7.0: GHSA-aaaa-bbbb-cccc, PYSEC-2027-1; mended in 5.7.1",)
    assert told.found == ("django 6.0: PYSEC-2027-2; mended in no version",)
    assert (told.unasked, told.asked) == (("odd",), 3)


@pytest.mark.parametrize(
    ("report", "arguments", "code"),
    [
        (REPORT, ["--unasked-is-fine"], 1),
        ({"dependencies": [REPORT["dependencies"][3]]}, [], 0),
        ({"dependencies": REPORT["dependencies"][2:]}, [], 2),
        ({"dependencies": REPORT["dependencies"][2:]}, ["--unasked-is-fine"], 0),
        (None, [], 2),
        (None, ["--unasked-is-fine"], 0),
    ],
)
def test_a_known_fault_ends_the_audit_and_who_cannot_be_asked_only_where_it_has_to_be(
    report, arguments, code, monkeypatch, tmp_path
):
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps(report) if report else "the service is away")
    program = "import sys; print(open(sys.argv[1]).read())"
    monkeypatch.setattr(audit, "command", lambda: [sys.executable, "-c", program, str(answer)])
    assert audit.main(arguments) == code


def test_an_exception_that_is_over_ends_the_audit_too(monkeypatch):
    def over(**_):
        raise BadExceptions("exception 1 (GHSA): ended on 2026-01-01.")

    monkeypatch.setattr(audit, "exceptions", over)
    assert audit.main(["--unasked-is-fine"]) == 1


@pytest.mark.ci
def test_the_audit_runs_as_it_does_in_ci():
    """Whether the service answers is the network's business; the command, its environment and its report are ours."""
    done = subprocess.run(
        [sys.executable, "-m", "supply.audit", "--unasked-is-fine"], cwd=ROOT, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asked" in done.stdout or "known fault" in done.stdout
