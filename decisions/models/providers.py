"""Who can be asked: providers, their catalogues, and what was learned of each model."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from vibex.lib.fields import ExactDecimalField

KEY_VARIABLES = r"^([A-Z0-9]+_API_KEY|LLM_API_KEY(_[A-Z0-9]+)*)$"


class Provider(models.Model):
    """A server that speaks the chat API of OpenAI. A bot's model is named <provider>/<model>.

    Those of `decisions.domain.providers.HOUSE` need no row; a row of the same name goes before them.
    """

    class Dialect(models.TextChoices):
        OPENROUTER = "openrouter", "OpenRouter"
        OPENAI = "openai", "OpenAI"
        ANTHROPIC = "anthropic", "Anthropic"
        DEEPSEEK = "deepseek", "DeepSeek"
        XAI = "xai", "xAI"
        GEMINI = "gemini", "Gemini"
        PLAIN = "plain", "plain: any other server"

    name = models.SlugField(
        max_length=30, unique=True, help_text="What stands before the first slash of a model's name."
    )
    dialect = models.CharField(max_length=10, choices=Dialect, default=Dialect.PLAIN)
    base_url = models.CharField(
        max_length=200, help_text="Address up to and with the version, as https://api.example/v1."
    )
    key_variable = models.CharField(
        max_length=60,
        blank=True,
        validators=[RegexValidator(KEY_VARIABLES, "Name a variable such as OPENAI_API_KEY or LLM_API_KEY_NAME.")],
        help_text="Environment variable that holds the key. Empty: the server wants none.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="To one model. Empty: LLM_REQUESTS_PER_MINUTE."
    )
    at_once = models.PositiveIntegerField(null=True, blank=True, help_text="Requests under way. Empty: LLM_AT_ONCE.")
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CatalogueModel(models.Model):
    """A model as the catalogue of its provider describes it."""

    provider = models.CharField(max_length=30, help_text="Name of the provider.")
    slug = models.CharField(max_length=120)
    canonical_slug = models.CharField(max_length=120, blank=True, help_text="Under which name it says that it answers.")
    title = models.CharField(max_length=160, blank=True)
    context = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    max_output = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens.")
    input_price = ExactDecimalField(null=True, blank=True, help_text="US dollars per million tokens of a prompt.")
    output_price = ExactDecimalField(null=True, blank=True, help_text="US dollars per million tokens of a reply.")
    supported = models.JSONField(default=list, blank=True, help_text="Parameters that it takes.")
    efforts = models.JSONField(
        default=list, blank=True, help_text="Efforts of reasoning that it takes; empty: unknown."
    )
    cutoff = models.DateField(null=True, blank=True, help_text="Until when it knows the world.")
    expires = models.DateField(null=True, blank=True, help_text="When it is switched off.")
    seen_at = models.DateTimeField(default=timezone.now)
    gone_at = models.DateTimeField(null=True, blank=True, help_text="When the catalogue stopped listing it.")

    class Meta:
        ordering = ["provider", "slug"]
        constraints = [models.UniqueConstraint(fields=["provider", "slug"], name="catalogue_model_unique")]

    def __str__(self) -> str:
        return f"{self.provider}/{self.slug}"


class CatalogueRead(models.Model):
    """When the catalogue of a provider was read last, and what went wrong if it could not be."""

    provider = models.CharField(max_length=30, unique=True)
    at = models.DateTimeField(null=True, blank=True, help_text="Of the last catalogue that could be read.")
    tried_at = models.DateTimeField(default=timezone.now)
    fault = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.provider}: {self.fault or 'read'}"


class LearnedFormat(models.Model):
    """The strictest format of a reply that a model takes, as its server's refusals taught."""

    class Format(models.TextChoices):
        STRICT = "strict", "strict schema"
        SCHEMA = "schema", "schema"
        JSON = "json", "JSON object"
        PROMPT = "prompt", "prompt alone"

    provider = models.CharField(max_length=30)
    base_url = models.CharField(max_length=200)
    model = models.CharField(max_length=120)
    format = models.CharField(max_length=6, choices=Format)
    learned_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["base_url", "model"], name="learned_format_unique")]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}: {self.format}"
