"""The pages of prompts: templates and their versions, how two of them differ, and what a bot would send now."""

from __future__ import annotations

from typing import Any, Final, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.acts import Act
from accounts.access.pages import RIGHT, acting, any_real_money
from accounts.models import Bot, User
from accounts.selectors import accounts_of, bots_of
from decisions.domain.difference import difference
from decisions.forms import TemplateForm
from decisions.models import PromptTemplate
from decisions.services import prompt_template_add
from trading.selectors.prompt_page import TemplateRows, templates_with_bots
from vibex.lib.errors import NeedsOperator, Rejected, Retryable

MAY_ADD: Final = "decisions.add_prompttemplate"
SEPARATOR: Final = "\n=== user ===\n"


@require_safe
def prompts(request: HttpRequest) -> HttpResponse:
    """Show the templates, their versions, and which of the person's bots send them."""
    context = _page(request) | {"templates": _templates(request), "bots": bots_of(request.user).order_by("pk")}
    return render(request, "trading/prompts.html", context)


@require_safe
def prompt_version(request: HttpRequest, name: str, version: int) -> HttpResponse:
    """Show one version of a template with its text."""
    template = _template(request, name)
    shown = template.version(version)
    if shown is None:
        raise Http404
    constant, _, changing = shown.row.text.partition(SEPARATOR)
    context = {"template": template, "shown": shown, "constant": constant, "changing": changing}
    return render(request, "trading/prompt_version.html", _page(request) | context)


@require_safe
def prompt_difference(request: HttpRequest, name: str) -> HttpResponse:
    """Show how two versions of a template differ; without a choice, the newest from the one before it."""
    template = _template(request, name)
    newest = template.versions[0].row.version
    before = _version(template, request.GET.get("from"), max(1, newest - 1))
    after = _version(template, request.GET.get("to"), newest)
    context = {"template": template, "before": before, "after": after, "lines": difference(before.text, after.text)}
    return render(request, "trading/prompt_difference.html", _page(request) | context)


@require_http_methods(["GET", "HEAD", "POST"])
@acting(Act.MANAGE)
def prompt_add(request: HttpRequest) -> HttpResponse:
    """Take the next version of a template from staff; what is wrong with it is said at its field."""
    if not _may_add(request):
        raise PermissionDenied
    form = TemplateForm(request.POST) if request.method == "POST" else TemplateForm(initial=_start(request))
    if request.method == "POST" and form.is_valid():
        any_real_money(request)  # bots that follow the newest version send it from then on
    if request.method == "POST" and form.is_valid() and (row := _added(request, form)):
        messages.success(request, f"{row} is added. Bots that follow the newest version send it from now on.")
        return redirect("prompt-version", row.name, row.version)
    return render(request, "trading/prompt_add.html", _page(request) | {"form": form})


@require_safe
def prompt_preview(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Show the very prompt that a bot would send now, in its own layout or the other one. Nobody is asked."""
    bot = get_object_or_404(bots_of(request.user).select_related("account__limits"), pk=bot_id)
    layout = request.GET.get("layout", bot.layout)
    if layout not in Bot.Layout.values:
        raise Http404
    context = {"bot": bot, "layout": layout, "layouts": Bot.Layout.choices} | _preview(bot, layout)
    return render(request, "trading/prompt_preview.html", _page(request) | {"account": bot.account} | context)


def _preview(bot: Bot, layout: str) -> dict[str, Any]:
    """Return the preview, or why there is none."""
    # Imported here: it loads the engine and NumPy, which no other page of these needs.
    from decisions.domain.money import tokens_in
    from trading.services import preview

    try:
        seen = preview.prompt_preview(bot, layout=layout)
    except (Rejected, Retryable, NeedsOperator) as fault:
        return {"fault": str(fault)}
    prompt = seen.prompt
    return {"seen": seen, "constant_tokens": tokens_in(prompt.system), "changing_tokens": tokens_in(prompt.user)}


def _added(request: HttpRequest, form: TemplateForm) -> PromptTemplate | None:
    """Add the version; None when somebody else was faster, which is said in the form."""
    given = {name: form.cleaned_data[name] for name in ("name", "text", "note")}
    try:
        return prompt_template_add(author=cast("User", request.user), **given)
    except Rejected as refusal:
        form.add_error(None, str(refusal))
        return None


def _start(request: HttpRequest) -> dict[str, Any]:
    """Return what the form begins with: the newest version of the template that was come from."""
    name = request.GET.get("name", "")
    rows = PromptTemplate.objects.filter(name=name).order_by("-version").first()
    return {"name": name, "text": rows.text} if rows else {}


def _version(template: TemplateRows, asked: str | None, default: int) -> PromptTemplate:
    """Return the version that was asked for. Raises Http404 for one that is not there."""
    found = template.version(int(asked) if asked and asked.isdecimal() else default if asked is None else 0)
    if found is None:
        raise Http404
    return found.row


def _template(request: HttpRequest, name: str) -> TemplateRows:
    found = next((one for one in _templates(request) if one.name == name and one.versions), None)
    if found is None:
        raise Http404
    return found


def _templates(request: HttpRequest) -> list[TemplateRows]:
    return templates_with_bots(list(bots_of(request.user).order_by("pk")))


def _may_add(request: HttpRequest) -> bool:
    return request.user.is_staff and request.user.has_perms((MAY_ADD, RIGHT))


def _page(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of the page shows: the way back to the person's first account."""
    account = accounts_of(request.user).order_by("pk").first()
    return {"account": account, "here": "prompts", "may_add": _may_add(request)}
