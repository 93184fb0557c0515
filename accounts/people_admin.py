"""Admin of people and groups: who may do what. Each change is on record, and open streams are told at once."""

from __future__ import annotations

from typing import Any, Final, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.access.admin_site import PeopleAdmin
from accounts.access.pages import sign_in_of
from accounts.models import Account, Role, User
from accounts.services.audit import audit_write
from accounts.services.passwords import password_was_set
from accounts.services.roles import PERMISSIONS, role_set
from accounts.services.sign_ins import sign_ins_end
from vibex.lib.admin import link_to_list
from vibex.lib.events import publish_to_person_on_commit

NO_ROLE: Final = ("", "none: may look at what is their own")
ROLES: Final = tuple((role.value, role.value) for role in PERMISSIONS)
RIGHTS: Final = ("is_staff", "is_superuser", "groups", "user_permissions")
SECRET: Final = ("password", "password1", "password2", "usable_password")


def role_of(user: User) -> str:
    """Return the role of a person, the one that may most where somebody gave several; empty for none."""
    names = set(user.groups.values_list("name", flat=True)) if user.pk else set()
    return next((role.value for role in reversed(PERMISSIONS) if role.value in names), "")


def role_field() -> forms.ChoiceField:
    return forms.ChoiceField(
        choices=[NO_ROLE, *ROLES],
        required=False,
        help_text="A viewer looks, and may end what runs; a trader acts on their own accounts; an operator may also let accounts "
        "trade with real money, lift halts and see everybody's.",
    )


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]
    role = role_field()
    may_give_roles = False

    class Meta:
        model = User
        fields = ("email",)
        field_classes: dict[str, Any] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].initial = Role.VIEWER.value
        self.fields["role"].disabled = not self.may_give_roles


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    """The role is chosen by itself; the other groups stand beside it."""

    role = role_field()
    may_give_roles = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].initial = role_of(self.instance)
        self.fields["role"].disabled = not self.may_give_roles
        if "groups" in self.fields:
            groups = cast("forms.ModelMultipleChoiceField[Group]", self.fields["groups"])
            groups.queryset = Group.objects.exclude(name__in=list(Role))
            groups.help_text = "Besides the role."
            self.initial["groups"] = list(self.instance.groups.exclude(name__in=list(Role)))

    def clean_groups(self) -> QuerySet[Group]:
        """Return the chosen groups and the role that the person has: the role is changed by its own service."""
        chosen = [group.pk for group in self.cleaned_data["groups"]]
        of_role = self.instance.groups.filter(name__in=list(Role)).values_list("pk", flat=True)
        return Group.objects.filter(pk__in=[*chosen, *of_role])


@admin.register(User)
class UserAdmin(PeopleAdmin, StockUserAdmin):  # type: ignore[type-arg]
    place = 0
    form = UserForm
    add_form = NewUserForm
    list_display = (
        "email",
        "is_active",
        "is_staff",
        "time_zone",
        "last_login",
        link_to_list(Account, "owner", "accounts"),
    )
    list_filter = ("is_active", "is_staff", "groups")
    search_fields = ("email",)
    ordering = ("email",)
    readonly_fields = ("last_login", "created")
    fieldsets = (
        (None, {"fields": ("email", "password", "time_zone")}),
        (
            "Permissions",
            {"fields": ("is_active", "role", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Dates", {"fields": ("last_login", "created")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "role", "usable_password", "password1", "password2")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes somebody who may do more: a new password, or another address, would open it all."""
        may = super().has_change_permission(request, obj)
        return may and (obj is None or not _may_more(obj, _actor(request)))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only who may do everything gives rights; others could give them to themselves."""
        return self.readonly_fields if _actor(request).is_superuser else (*self.readonly_fields, *RIGHTS)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"may_give_roles": _actor(request).is_superuser})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Give the role, put the rest on record and tell the person's open streams."""
        super().save_related(request, form, formsets, change)
        user, actor = form.instance, _actor(request)
        role = form.cleaned_data.get("role", "")
        if role and role != role_of(user):
            role_set(user=user, role=Role(role), actor=actor)
        elif not role and (had := role_of(user)):
            user.groups.remove(*Group.objects.filter(name__in=list(Role)))
            audit_write(actor=actor, action="role-set", obj=user, before={"roles": [had]}, after={"roles": []})
        _record(actor, user, form, change)
        if change and "is_active" in form.changed_data and not user.is_active:
            # Out at once in any case; ended, so that nothing is open again should the person be let in again.
            sign_ins_end(user=user, actor=actor, reason="switched off")
        publish_to_person_on_commit(user_id=user.pk, kind="access", data={})

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Set another password for a person; their other sign-ins and tokens end with the old one."""
        with transaction.atomic():
            user = User.objects.filter(pk=int(id)).first() if id.isdecimal() and len(id) < 19 else None
            before = user.password if user else ""
            answer = super().user_change_password(request, id, form_url)
            if user is not None:
                user.refresh_from_db()
                if user.password != before:
                    _password_set(user, request)
        return answer


def _may_more(user: User, actor: User) -> bool:
    """Return whether a person has a right that the other has not; also one who is switched off, and could be on again."""
    if user.is_superuser or actor.is_superuser:
        return not actor.is_superuser
    return not _rights_of(user) <= _rights_of(actor)


def _rights_of(user: User) -> set[int]:
    theirs = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return set(theirs.values_list("pk", flat=True))


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(PeopleAdmin, StockGroupAdmin):
    """Groups and what they allow. The three roles are among them."""

    place = 1

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        _record(_actor(request), form.instance, form, change)
        for pk in form.instance.user_set.values_list("pk", flat=True):
            publish_to_person_on_commit(user_id=pk, kind="access", data={})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _actor(request).is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _actor(request).is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _actor(request).is_superuser and obj is not None and obj.name not in list(Role)


def _password_set(user: User, request: HttpRequest) -> None:
    actor = _actor(request)
    mine = sign_in_of(request) if user.pk == actor.pk else None
    password_was_set(user=user, actor=actor, action="password-set", reason="password set in the admin", but=mine)


def _record(actor: User, row: Any, form: Any, change: bool) -> None:
    """Put on record what was changed, with before and after; a password never."""
    changed = [name for name in form.changed_data if name not in (*SECRET, "role")]
    if change and not changed:
        return
    audit_write(
        actor=actor,
        action=f"{row._meta.model_name}-{'change' if change else 'create'}",
        obj=row,
        before={name: _plain(form.initial.get(name)) for name in changed} if change else {},
        after={name: _plain(_given(form, name)) for name in changed},
    )


def _given(form: Any, name: str) -> Any:
    value = form.cleaned_data.get(name)
    return [group for group in value if group.name not in list(Role)] if name == "groups" else value


def _plain(value: Any) -> Any:
    if isinstance(value, QuerySet | list | tuple):
        return [str(each) for each in value]
    return str(value)


def _actor(request: HttpRequest) -> User:
    return cast("User", request.user)
