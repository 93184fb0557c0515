"""What callers send, as strictly as it is meant: plain JSON objects without tricks, and the forms of browsers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.http import Http404, QueryDict
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from vibex.lib.api.renderers import PlainJson

DEEPEST = 32
"""Levels of a body. Nothing that is asked for needs more."""


class StrictJson(BaseParser):
    """JSON in UTF-8. Refused are names that stand twice, numbers that are none, NUL characters, halves of characters, and
    what is nested too deep to be meant."""

    media_type = "application/json"
    renderer_class = PlainJson

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            found = json.loads(
                stream.read().decode("utf-8"), object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_number
            )
            _plain(found, DEEPEST)
        except RecursionError:
            raise ParseError("It is nested too deep.") from None
        except ValueError as fault:
            raise ParseError(f"This is no JSON: {fault}.") from None
        return found


class StrictForm(BaseParser):
    """What a browser's form sends, in UTF-8."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> QueryDict:
        found = QueryDict(stream.read(), encoding="utf-8")
        if any("\0" in text for name, values in found.lists() for text in (name, *values)):
            raise ParseError("There is a NUL character in it.")
        return found


def odd_query_refused(request: Request, kwargs: Mapping[str, Any]) -> None:
    """Raise for a NUL character, which no database takes: ValidationError (400) in the query, Http404 in the path.

    A name that stands twice is 400 too: which one counts would be a guess.
    """
    if any("\0" in str(value) for value in kwargs.values()):
        raise Http404
    for name, values in request.query_params.lists():
        if any("\0" in text for text in (name, *values)):
            raise ValidationError({name.replace("\0", ""): ["There is a NUL character in it."]})
        if len(values) > 1:
            raise ValidationError({name: ["It stands here more than once."]})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _plain(found: Any, deeper: int) -> None:
    """Raise ValueError where a text cannot be stored or a level is too deep."""
    if deeper < 0:
        raise ValueError("it is nested too deep")
    match found:
        case str():
            if "\0" in found or any("\ud800" <= each <= "\udfff" for each in found):
                raise ValueError("there is a character in it that is none")
        case dict():
            for name, value in found.items():
                _plain(name, deeper)
                _plain(value, deeper - 1)
        case list():
            for value in found:
                _plain(value, deeper - 1)
