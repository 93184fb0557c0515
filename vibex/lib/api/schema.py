"""The schema of the API (OpenAPI 3.1): what every address has in common is added here, so that no view has to say it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_mock_request
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from vibex.lib.api.exports import CsvRenderer
from vibex.lib.api.problems import CONTENT_TYPE

ALWAYS: Final = (400, 406, 429, 503)
"""Statuses of problems that every address may answer with."""
SIGNED_IN: Final = (401, 403)
ACTING: Final = (409, 413, 415, 422)
PROBLEMS: Final = sorted({*ALWAYS, *SIGNED_IN, *ACTING, 404})
PROBLEM: Final = {
    "type": "object",
    "description": "What is wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "instance", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For a person."},
        "code": {"type": "string", "description": "For a program."},
        "instance": {"type": "string", "description": "Path of the call."},
        "request_id": {"type": "string", "description": "Of the log lines of the call."},
        "errors": {
            "type": "object",
            "description": "By field, what does not fit.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
SECURITY_SCHEMES: Final = {
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "A key of a program: `Api-Key vbx_…`.",
    },
    "session": {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "A browser that signed in."},
    "tokens": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of `auth/login/`.",
    },
}
ID: Final = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 120, "pattern": "^[!-~]{1,120}$"},
    OpenApiParameter.HEADER,
    description="Names the call: sent again within a day, it is answered as before and does nothing twice.",
)


def mock_request(method: str, path: str, view: Any, original_request: Any, **options: Any) -> Any:
    """Return the request with which a view is asked what it answers: of nobody."""
    make: Any = build_mock_request
    request = make(method, path, view, original_request, **options)
    request._not_authenticated()
    return request


def common_parts(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:  # noqa: ARG001
    """Return the schema with what every address refers to."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["securitySchemes"] = SECURITY_SCHEMES
    components["responses"] = {f"Problem{int(status)}": _problem(status) for status in PROBLEMS}
    return result


class AddressSchema(AutoSchema):
    """Adds what the base classes of all views do: problems, repeated calls, sparse fields, order, tables, ETags."""

    def get_auth(self) -> list[dict[str, Any]]:
        """Return the ways in. All are the same for every address; one that is open needs none."""
        return [{}] if self._open else [{name: []} for name in SECURITY_SCHEMES]

    def get_override_parameters(self) -> list[Any]:
        """Return the parameters that stand in no serializer of the view."""
        if self.method not in SAFE_METHODS:
            return [] if self._open else [IDEMPOTENCY_KEY]
        if getattr(self.view, "action", "") not in ("list", "retrieve"):
            return []
        text = (
            "Only these fields: `id,name`. The answer then lacks the others, also those that it has to have otherwise."
        )
        fields = OpenApiParameter("fields", OpenApiTypes.STR, description=text)
        if getattr(self.view, "action", "") == "retrieve":
            return [fields]
        return [fields, *self._of_list()]

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        """Return the parts of the path. An `id` is that of a row, whatever the view looks it up by."""
        ids = [name for name in variables if name in ("id", "pk") or name.endswith("_id")]
        others = [name for name in variables if name not in ids]
        found: list[dict[str, Any]] = []
        if others:
            found = super()._resolve_path_parameters(others)  # type: ignore[no-untyped-call]
        return [*found, *({"name": name, "in": "path", "required": True, "schema": ID} for name in ids)]

    def _of_list(self) -> list[Any]:
        found: list[Any] = []
        if (filters := getattr(self.view, "filters", None)) is not None:
            found.append(filters)
        if orders := getattr(self.view, "orders", {}):
            names = [name for order in orders for name in (order, f"-{order}")]
            found.append(OpenApiParameter("ordering", OpenApiTypes.STR, enum=names))
        return found

    @property
    def _open(self) -> bool:
        """Whether nobody has to be signed in."""
        acts = getattr(self.view, "acts", {})
        return str(acts.get(getattr(self.view, "action", None) or self.method.lower(), "")) == "open"

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for answer in bodies.values():
            if table := answer.get("content", {}).get(CsvRenderer.media_type):
                table["schema"] = {"type": "string"}
        if getattr(self.view, "slow", False) and self.method in SAFE_METHODS:
            bodies["304"] = {"description": "What you have (`If-None-Match`) is still so."}
        for status in self._problems():
            bodies.setdefault(str(int(status)), {"$ref": f"#/components/responses/Problem{int(status)}"})
        return dict(sorted(bodies.items()))

    def _problems(self) -> list[int]:
        statuses = [*ALWAYS, *(() if self._open else SIGNED_IN)]
        if "{" in self.path or getattr(self.view, "action", "") != "list":  # also what a query or a body names
            statuses.append(HTTPStatus.NOT_FOUND)
        if self.method not in SAFE_METHODS:
            statuses += [*ACTING, *((HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) if self._open else ())]
        return statuses

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> dict[str, Any]:
        """Return a form; what is sent may hold no names that it does not have (`given` refuses them)."""
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        return schema | {"additionalProperties": False} if direction == "request" else schema


def _problem(status: int) -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": HTTPStatus(status).phrase, "content": content}
