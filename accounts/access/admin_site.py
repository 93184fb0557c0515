"""The admin's one way in is the sign-in page, and whatever is sent in it asks for a confirmation where it concerns real money.

Closed by default: a page or action of the admin that says nothing may concern any account of the installation. One that
knows better says so (`MoneyAdmin`): by the accounts that it touches, and by what it does that raises no risk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse

from accounts.access.admin_exports import EXPORTS, export_csv, export_json
from accounts.access.admin_groups import grouped
from accounts.access.pages import (
    SAFE,
    asking,
    confirmation_wanted,
    is_page_here,
    leave,
    real_accounts_exist,
    right_wanted,
)
from accounts.models import Account

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = object

ABOUT: Final = "This may change what happens with real money."
OF_PEOPLE: Final = "This changes who may do what."
STOCK: Final = {"add_view": "add", "change_view": "change", "delete_view": "delete"}


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent in the admin: to which page, about which row, or about which rows of a list (None: all of them)."""

    page: str
    object_id: str | None
    chosen: Sequence[str] | None

    @property
    def key(self) -> int:
        """Key of the row; 0 for none, and for what is no key."""
        return next(iter(_keys([self.object_id or ""])), 0)


def real(to_account: str) -> Q:
    """Match rows that belong to an account with real money."""
    at = f"{to_account}__" if to_account else ""
    return Q(**{f"{at}mode": Account.Mode.LIVE, f"{at}network": Account.Network.MAINNET})


class MoneyAdmin(ModelAdmin):
    """What the admin of accounts, bots and what hangs on them says of itself. Everybody needs the right to trade for it."""

    no_risk: ClassVar[frozenset[str]] = frozenset()
    """Actions, pages, and acts of pages (`live_view:revoke`), that raise no risk: never asked about."""
    to_account: ClassVar[str] = "account"
    """The column by which a row belongs to an account; empty for accounts themselves."""

    def touches_real_money(self, request: HttpRequest, sent: Sent) -> bool:
        """Return whether what is sent concerns real money, by the rows that it is done to."""
        rows = self.model._default_manager.filter(real(self.to_account))
        if sent.page == "add_view":
            return self.adds_real_money(request)
        if sent.object_id is not None:
            return rows.filter(pk=sent.key).exists() or self.adds_real_money(request)
        chosen = rows if sent.chosen is None else rows.filter(pk__in=_keys(sent.chosen))
        return bool(chosen.exists())

    def adds_real_money(self, request: HttpRequest) -> bool:
        """Return whether the account that a form names has real money."""
        named = Sent("", request.POST.get("account"), ()).key
        return Account.objects.filter(real(""), pk=named).exists()


class PeopleAdmin:
    """People and groups: what they may do is never changed without a confirmation."""


class Site(admin.AdminSite):
    """Django's admin without a door of its own, its pages grouped by what a person wants."""

    index_title = "Admin"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.add_action(export_csv, "export_csv")
        self.add_action(export_json, "export_json")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the pages that the person may see, in groups; of one app alone where an app is asked for."""
        apps = super().get_app_list(request, app_label)
        return list(apps) if app_label is not None else grouped(apps, self._registry)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(_asking_first(view), cacheable)

    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send to the sign-in page, second factor and throttle included. Who is signed in and no staff is refused."""
        wanted = request.GET.get("next", "")
        inside = wanted if is_page_here(wanted) else reverse("admin:index")
        if self.has_permission(request):
            return redirect(inside)
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect_to_login(inside)

    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Sign out as the pages do, by POST: the sign-in ends with the session."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        leave(request)
        return redirect("login")

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send to the page where passwords are changed, which ends the other sign-ins."""
        return redirect("password")


def _asking_first(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method in SAFE:
            return view(request, *args, **kwargs)

        def work() -> HttpResponse:
            _want_confirmation(request, view, args, kwargs)
            return view(request, *args, **kwargs)

        return asking(request, work)

    return inner


def _want_confirmation(request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raises ConfirmationWanted where what is sent needs one, PermissionDenied for somebody who may only look."""
    model_admin = getattr(view, "__self__", None)
    if not isinstance(model_admin, admin.ModelAdmin):
        return  # the site's own pages change nothing
    names = _names(request, view)
    no_risk: frozenset[str] = getattr(model_admin, "no_risk", frozenset())
    if names <= no_risk | EXPORTS or not _would_be_done(request, model_admin, view.__name__):
        return
    if isinstance(model_admin, PeopleAdmin):
        confirmation_wanted(request, OF_PEOPLE)
    elif not isinstance(model_admin, MoneyAdmin):
        if real_accounts_exist():
            confirmation_wanted(request, ABOUT)
    else:
        right_wanted(request)
        object_id = next((str(each) for each in (*args, *kwargs.values()) if isinstance(each, int | str)), None)
        if model_admin.touches_real_money(request, Sent(view.__name__, object_id, _chosen(request))):
            confirmation_wanted(request, ABOUT)


def _names(request: HttpRequest, view: Any) -> set[str]:
    """Return what is asked for: the actions of a list, the acts of a page, else the page itself."""
    if view.__name__ == "changelist_view":
        # Django takes one of several by another field: all of them have to be free of risk.
        return {name for name in request.POST.getlist("action") if name} | ({"_save"} & request.POST.keys())
    if acts := request.POST.getlist("act"):
        return {f"{view.__name__}:{act}" for act in acts}
    return {view.__name__}


def _would_be_done(request: HttpRequest, model_admin: Any, page: str) -> bool:
    """Return whether the person has the stock permission; without, the page refuses by itself and nothing is asked."""
    stock = STOCK.get(page)
    return stock is None or bool(getattr(model_admin, f"has_{stock}_permission")(request))


def _keys(values: Sequence[str]) -> list[int]:
    return [int(value) for value in values if value.isdecimal() and len(value) < 19]


def _chosen(request: HttpRequest) -> Sequence[str] | None:
    """Return the keys of the rows that an action is done to; None for all rows of the list."""
    if request.POST.get("select_across", "0") not in ("", "0"):
        return None
    return cast("Sequence[str]", request.POST.getlist(ACTION_CHECKBOX_NAME))
