"""The models that bots can ask, as the catalogues of their providers list them, and the providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from decisions.api.said import Said
from decisions.domain.model_state import Kind
from decisions.llm.endpoints import standings
from decisions.models import CatalogueRead
from decisions.selectors.model_list import model_lines
from vibex.lib.api import Amount, Filters
from vibex.lib.api.listed import page_of
from vibex.lib.api.query import query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer


class ModelOut(Out):
    """A model by the name that a bot gives it. Prices in US dollars per million tokens; null is unknown."""

    model = Said(source="name")
    title = Said()
    state = serializers.ChoiceField([each.value for each in Kind], source="state.kind.value")
    askable = serializers.SerializerMethodField(help_text="Whether its provider has a key here, or needs none.")
    input_price = Amount(source="state.facts.input_price", default=None, allow_null=True)
    output_price = Amount(source="state.facts.output_price", default=None, allow_null=True)
    context = serializers.IntegerField(  # type: ignore[assignment]
        source="state.facts.context", default=None, allow_null=True
    )
    max_output = serializers.IntegerField(source="state.facts.max_output", default=None, allow_null=True)
    expires = serializers.DateField(source="state.facts.expires", default=None, allow_null=True)
    schema = serializers.BooleanField(source="state.schema", allow_null=True, help_text="Whether it takes a schema.")
    efforts = serializers.ListField(child=serializers.CharField(), source="state.facts.efforts", default=list)
    successor = serializers.CharField(source="state.successor", help_text="The name to use instead; empty: none.")
    note = Said()

    def get_askable(self, line: Any) -> bool:
        return str(line.name).partition("/")[0] in self.context["askable"]  # type: ignore[index]


class ModelsOut(Out):
    """A page of models, by name."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ModelOut(many=True)


class ProviderOut(Out):
    """A provider of models. `problem` says why it cannot be asked; empty: it can. Keys are never shown."""

    name = serializers.CharField()
    dialect = serializers.CharField()
    key_variable = serializers.CharField(help_text="Environment variable that holds its key; empty: it wants none.")
    problem = serializers.CharField()
    catalogue_at = serializers.DateTimeField(allow_null=True, help_text="When its catalogue was read last.")
    catalogue_problem = Said()


class ModelsQuery(Filters):
    provider = serializers.CharField(required=False, default="", help_text="Only this one's: openrouter, openai, …")
    search = serializers.CharField(required=False, default="", help_text="Words that stand in name or title.")
    state = serializers.ChoiceField([each.value for each in Kind], required=False)
    askable = serializers.BooleanField(
        required=False, help_text="Only those that can be asked with the keys there are."
    )
    gone = serializers.BooleanField(required=False, default=False, help_text="Also those that are listed no more.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=500, default=50)
    cursor = serializers.CharField(required=False)


class ModelsView(Face):
    """The models that bots can name. Read from the last catalogues: no provider is asked."""

    slow = True

    @extend_schema(parameters=[ModelsQuery], responses=ModelsOut)
    def get(self, request: Request) -> Response:
        asked = query(ModelsQuery, request)
        lines = model_lines(provider=asked["provider"], search=asked["search"], gone=asked["gone"])
        askable = {each.name for each in standings() if not each.problem}
        page = page_of([line for line in lines if _wanted(line, asked, askable)], request, name=lambda line: line.name)
        return Response(ModelsOut(page, context={"askable": askable}).data)


class ProvidersView(Face):
    """The providers of models, those without a key among them."""

    slow = True

    @extend_schema(responses=ProviderOut(many=True))
    def get(self, request: Request) -> Response:
        query(Filters, request)
        reads = {row.provider: row for row in CatalogueRead.objects.all()}
        told = [(each, reads.get(each.name)) for each in standings()]
        rows = [
            {
                "name": each.name,
                "dialect": each.dialect,
                "key_variable": each.key_variable,
                "problem": each.problem,
                "catalogue_at": read.at if read else None,
                "catalogue_problem": read.fault if read else "",
            }
            for each, read in told
        ]
        return Response(ProviderOut(rows, many=True).data)


def _wanted(line: Any, asked: dict[str, Any], askable: set[str]) -> bool:
    if "state" in asked and line.state.kind.value != asked["state"]:
        return False
    return "askable" not in asked or (line.name.partition("/")[0] in askable) is asked["askable"]
