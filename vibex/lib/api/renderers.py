"""How answers are written: JSON, and pages to click through for people."""

from __future__ import annotations

from typing import Any, Final

from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

LEFT_OUT: Final = ("code_style", "extra_actions", "filter_form", "options_form", "post_form", "put_form")
"""What the framework's page would bring along: styles that the policy of the pages does not let in, calls that there are not,
and forms made of what is told: what is sent has a form of its own, and goes as JSON."""


class PlainJson(JSONRenderer):
    """JSON in UTF-8, without blanks. A float that is no number is a fault of the code."""

    charset = None


class BrowsablePages(BrowsableAPIRenderer):
    """The same in a browser, with forms for what acts."""

    def get_context(self, data: Any, accepted_media_type: str | None, renderer_context: Any) -> dict[str, Any]:
        """Return what the page shows (`templates/rest_framework/base.html`)."""
        return super().get_context(data, accepted_media_type, renderer_context) | dict.fromkeys(LEFT_OUT)
