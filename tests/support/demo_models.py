"""A provider with its catalogue, for the pages that show them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from decisions.models import CatalogueModel, CatalogueRead, LearnedFormat, Provider

SCHEMA = ["max_tokens", "reasoning", "response_format", "structured_outputs", "temperature"]
EFFORTS = ["none", "minimal", "low", "medium", "high"]
LISTED = [
    # slug, title, in, out, context, most, supported, efforts, ends
    ("anthropic/claude-sonnet-5", "Anthropic: Claude Sonnet 5", "2", "10", 1_000_000, 128_000, SCHEMA, EFFORTS, None),
    ("anthropic/claude-sonnet-4.5", "Anthropic: Claude Sonnet 4.5", "3", "15", 1_000_000, 64_000, SCHEMA, EFFORTS, date(2026, 11, 30)),
    ("deepseek/deepseek-v4-flash", "DeepSeek: V4 Flash", "0.3", "1.2", 1_000_000, 393_216, SCHEMA, ["low", "high", "max"], None),
    ("google/gemini-3.8-flash", "Google: Gemini 3.8 Flash", "0.75", "3.75", 1_048_576, 65_536, SCHEMA, EFFORTS, None),
    ("meta-llama/llama-small", "Llama small", "0.05", "0.1", 8_192, 2_048, ["max_tokens", "temperature"], [], None),
    ("openai/gpt-5.6-luna", "OpenAI: GPT-5.6 Luna", "0.2", "1.2", 1_050_000, 128_000, SCHEMA, EFFORTS, None),
    ("x-ai/grok-4.3", "xAI: Grok 4.3", "1.25", "2.5", 1_000_000, 1_000_000, SCHEMA, EFFORTS[1:], None),
]  # fmt: skip


def models(now: datetime) -> None:
    """Write the catalogue of OpenRouter as it might have been read, once for all demos."""
    if CatalogueRead.objects.filter(provider="openrouter").exists():
        return
    Provider.objects.create(name="lan", base_url="http://127.0.0.1:11434/v1", dialect="plain")
    CatalogueRead.objects.create(provider="openrouter", at=now, tried_at=now)
    for slug, title, prompt, reply, context, most, supported, efforts, ends in LISTED:
        CatalogueModel.objects.create(
            provider="openrouter", slug=slug, canonical_slug=f"{slug}-20260930", title=title, input_price=Decimal(prompt),
            output_price=Decimal(reply), context=context, max_output=most, supported=supported, efforts=efforts,
            expires=ends, seen_at=now,
        )  # fmt: skip
    LearnedFormat.objects.create(
        provider="lan", base_url="http://127.0.0.1:11434/v1", model="llama3", format="json", learned_at=now
    )
