"""How people and their programs get in, and what they asked for: sign-ins, keys, second factor, calls, jobs."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.account import Account
from accounts.models.bot import Bot
from accounts.models.people import User


class SignIn(models.Model):
    """One sign-in with a password, from its beginning until it is ended: a browser's session, or a program's tokens."""

    class Kind(models.TextChoices):
        SESSION = "session", "browser"
        TOKENS = "tokens", "program"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    kind = models.CharField(max_length=7, choices=Kind)
    session_key = models.CharField(max_length=40, blank=True, help_text="Of the browser's session; else empty.")
    refresh_id = models.CharField(
        max_length=64, blank=True, help_text="Identity (jti) of the refresh token that is valid now; else empty."
    )
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=200, blank=True, help_text="What the browser or program calls itself.")
    created = models.DateTimeField(default=timezone.now)
    seen = models.DateTimeField(default=timezone.now, help_text="Last request, to the minute.")
    confirmed = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When second factor or password were last given: opens live actions for a while.",
    )
    ended = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["-created"]
        indexes = [
            models.Index(fields=["user", "ended", "-seen"], name="sign_in_of_user"),
            models.Index(fields=["session_key"], name="sign_in_session"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.user_id} since {self.created:%F %T}"


class ApiKey(models.Model):
    """A key of a program. Only its digest is kept: the key itself is shown once."""

    class Scope(models.TextChoices):
        READ = "read", "read"
        TRADE = "trade", "trade: act on money"
        ADMIN = "admin", "admin: accounts, bots, limits, keys"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=60, help_text="What it is for.")
    prefix = models.CharField(max_length=12, unique=True, help_text="Begins the key; may be shown.")
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the whole key.")
    scopes = models.JSONField(default=list, help_text="read, trade, admin. Read goes with each.")
    created = models.DateTimeField(default=timezone.now)
    expires = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked = models.DateTimeField(null=True, blank=True)
    used = models.DateTimeField(null=True, blank=True, help_text="Last use, to the minute.")
    used_from = models.GenericIPAddressField(null=True, blank=True)
    confirmed = models.DateTimeField(
        null=True, blank=True, help_text="As with a sign-in: opens live actions for a while."
    )

    class Meta:
        ordering = ["-created"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"],
                condition=Q(revoked__isnull=True),
                name="api_key_name_unique_per_user",
                violation_error_message="You have a key of this name.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"


class SecondFactor(models.Model):
    """The one-time passwords (RFC 6238) of a person. The secret is sealed as the keys of accounts are."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    sealed = models.TextField(help_text="The secret, encrypted.")
    recovery = models.JSONField(default=list, help_text="Digests of recovery codes that are not used up.")
    last_step = models.BigIntegerField(
        default=0, help_text="Time step of the last code that was taken: none counts twice."
    )
    created = models.DateTimeField(default=timezone.now)
    confirmed = models.DateTimeField(
        null=True, blank=True, help_text="Empty until the first code was right: not in force."
    )

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class IdempotentCall(models.Model):
    """The answer to a call that named itself (`Idempotency-Key`), so that asking again does nothing twice."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=120)
    digest = models.CharField(
        max_length=64, help_text="SHA-256 of method, path and body: the same key for another call is refused."
    )
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty while it is worked on.")
    headers = models.JSONField(default=dict)
    body = models.JSONField(null=True, blank=True, help_text="Empty where the answer held a secret.")
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotent_call_once")]
        indexes = [models.Index(fields=["created"], name="idempotent_call_age")]

    def __str__(self) -> str:
        return f"{self.key} of {self.user_id}"


class Job(models.Model):
    """Work that a caller asked for and that may take longer than an answer: followed by polling or by the stream."""

    class Status(models.TextChoices):
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        LOST = "lost", "lost"

    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="jobs")
    kind = models.SlugField(max_length=40)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, null=True, blank=True, related_name="jobs")
    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, null=True, blank=True, related_name="jobs")
    request = models.JSONField(default=dict, help_text="What was asked for; never a secret.")
    status = models.CharField(max_length=7, choices=Status, default=Status.RUNNING)
    progress = models.JSONField(default=list, help_text="What was done so far, each with its time.")
    result = models.JSONField(null=True, blank=True)
    problem = models.JSONField(null=True, blank=True, help_text="Why it failed, as a problem (RFC 9457).")
    created = models.DateTimeField(default=timezone.now)
    ended = models.DateTimeField(null=True, blank=True)
    alive_until = models.DateTimeField(
        help_text="Wall time; the process that works on it moves it on. Passed: it is lost."
    )

    class Meta:
        ordering = ["-created", "-id"]
        indexes = [
            models.Index(fields=["owner", "-created", "-id"], name="job_newest_of_owner"),
            models.Index(fields=["status", "alive_until"], name="job_lost"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.status}"
