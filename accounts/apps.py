from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # The moment at which Django itself makes the permissions that the groups hold.
        post_migrate.connect(_groups, sender=self, dispatch_uid="accounts.groups")


def _groups(using: str, **_: Any) -> None:
    from accounts.services.roles import roles_ensure

    roles_ensure(using=using)
