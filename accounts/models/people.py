"""People: who signs in."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, Group, PermissionsMixin
from django.db import models
from django.utils import timezone


class Role(StrEnum):
    """What people may do, each the name of a group (`accounts/services/roles.py` gives it its permissions)."""

    VIEWER = "viewer"
    TRADER = "trader"
    OPERATOR = "operator"


class UserManager(BaseUserManager["User"]):
    """Users are known by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, *, role: Role = Role.TRADER, **fields: Any) -> User:
        """Create a person with a role. One who may do everything anyway has no need of one."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        if not user.is_superuser:
            user.groups.add(Group.objects.get_or_create(name=role)[0])
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Signs in with the e-mail address."""

    email = models.EmailField(unique=True, error_messages={"unique": "This e-mail address is taken."})
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Times on the pages are shown in this zone.")
    is_staff = models.BooleanField(default=False, help_text="May open the admin.")
    is_active = models.BooleanField(default=True, help_text="Switch off instead of deleting: history stays readable.")
    created = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        """Write the address as all are written: in another spelling it would be taken twice, and nobody could sign in by it."""
        super().clean()
        self.email = self.email.lower()
