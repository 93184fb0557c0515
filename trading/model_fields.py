"""Form fields for names of models and for lists: picked from the catalogue or typed, one to a row, in their order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

OFFERED: Final = "models-offered"
"""Id of the list of models that a page holds once."""
SPARE_ROWS: Final = 2


class ModelInput(forms.TextInput):
    """A text field that offers the models of all catalogues. It brings the list of them along, once for a page."""

    def __init__(self) -> None:
        super().__init__({"list": OFFERED, "size": 60, "autocomplete": "off", "spellcheck": "false"})

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        from decisions.selectors.model_list import choices

        options = format_html_join("", '<option value="{}">{}</option>', choices())
        field = super().render(name, value, attrs, renderer)
        return format_html('{}<datalist id="{}">{}</datalist>', field, OFFERED, options)


class NamesInput(forms.Widget):
    """As many rows as there are names, and some to add more. An empty row is no name."""

    offered = OFFERED

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        names = [value] if isinstance(value, str) else value or []
        given = [*(text for text in names if text.strip()), *[""] * SPARE_ROWS]
        first = (attrs or {}).get("id", f"id_{name}")
        rows = (
            (name, text, first if at == 0 else f"{first}_{at}", at + 1, self.offered) for at, text in enumerate(given)
        )
        row = (
            '<li><input type="text" name="{}" value="{}" id="{}" aria-label="model {}" list="{}" size="60" '
            'autocomplete="off" spellcheck="false"></li>'
        )
        return format_html('<ol class="names">{}</ol>', format_html_join("", row, rows))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return data.getlist(name) if hasattr(data, "getlist") else data.get(name)

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return name not in data


class ServedInput(NamesInput):
    """The same for names as providers write them, which no catalogue offers."""

    offered = ""


class LinesInput(forms.Textarea):
    """A list as lines."""

    def __init__(self) -> None:
        super().__init__({"rows": 4, "cols": 30, "spellcheck": "false"})

    def format_value(self, value: Any) -> str:
        return "\n".join(value) if isinstance(value, list) else value or ""


class ListField(forms.Field):
    """An ordered list of texts, from rows, from lines, or from JSON. Order and what stands twice are kept."""

    def __init__(self, *, example: str, **options: Any) -> None:
        super().__init__(**options)
        self.example = example

    def to_python(self, value: Any) -> list[str]:
        texts = [value] if isinstance(value, str) else value or []
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise self._wrong()
        return [name for text in texts for name in self._names(text)]

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return list(initial or []) != self.to_python(data)
        except ValidationError:
            return True

    def _names(self, text: str) -> list[str]:
        text = text.strip()
        if text[:1] not in ("[", "{", '"'):
            return [name.strip() for line in text.splitlines() for name in line.split(",") if name.strip()]
        try:
            read = json.loads(text)
        except ValueError:
            raise self._wrong() from None
        if not isinstance(read, list) or not all(isinstance(each, str) for each in read):
            raise self._wrong()
        return read

    def _wrong(self) -> ValidationError:
        return ValidationError(f"Write a list of texts, one to a line, such as {self.example}.")


class ModelsField(ListField):
    """An ordered list of models."""

    widget = NamesInput

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, example="openrouter/x-ai/grok-4.3", **options)
