"""What is known of the models of a bot, for pages."""

from __future__ import annotations

from django import template

from accounts.models import Bot
from decisions.domain.model_state import ModelState, described
from decisions.domain.providers import RULES
from decisions.selectors.models_asked import model_states, models_of

register = template.Library()


@register.simple_tag
def model_states_of(bot: Bot) -> list[ModelState]:
    """Return what is known of each model that a bot names; nothing for one that asks none."""
    names = [name for name in models_of(bot) if not name.startswith(f"{RULES}/")]
    return list(model_states(names).values()) if names else []


@register.filter
def model_line(state: ModelState) -> str:
    """Return price, context, end and schema of a model in one line, "" where no catalogue says anything."""
    return described(state.facts)
