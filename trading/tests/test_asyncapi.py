"""docs/asyncapi.yaml says what is sent: it is in step, its examples are messages, and what is sent is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from trading.consumers import messages
from trading.consumers.asyncapi import FROM_CLIENT, STREAMS, document, text
from trading.consumers.codes import MEANING, Code
from trading.consumers.streams import OF_ACCOUNT
from vibex.lib.env import ROOT


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())


def validator(doc: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": doc["components"]})


def test_the_written_document_is_in_step_with_the_messages():
    assert (ROOT / "docs" / "asyncapi.yaml").read_text() == text(), "run `manage.py asyncapi > docs/asyncapi.yaml`"


def test_every_example_is_such_a_message(written):
    for name, message in written["components"]["messages"].items():
        assert message["examples"], name
        for example in message["examples"]:
            validator(written, name).validate(example["payload"])
            model = getattr(messages, name)
            told = model.model_validate_json(json.dumps(example["payload"]))
            if model not in FROM_CLIENT:
                assert json.loads(told.model_dump_json()) == example["payload"]


def test_every_reference_leads_somewhere(written):
    def walk(node: Any) -> None:
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(value)
        if isinstance(node, dict) and isinstance(ref := node.get("$ref"), str):
            found: Any = written
            for part in ref.removeprefix("#/").split("/"):
                found = found[part]

    walk(written)


def test_every_kind_of_every_stream_has_a_schema():
    schemas = document()["components"]["schemas"]
    known = set(schemas["Changes"]["properties"]["changes"]["items"]["discriminator"]["mapping"])
    assert set().union(*(stream.kinds for _, stream in STREAMS.values())) == known
    assert known - {"price", "candle", "pnl"} == OF_ACCOUNT


def test_every_code_has_a_meaning(written):
    assert set(MEANING) == set(Code)
    assert all(str(code.value) in written["info"]["description"] for code in Code)
