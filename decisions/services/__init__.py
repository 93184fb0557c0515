"""The only writers of what is asked, answered and decided."""

from decisions.services.recording import decisions_record, diary_write, interactions_record
from decisions.services.templates import SEEDS, prompt_template_add, prompt_template_install

__all__ = [
    "SEEDS",
    "decisions_record",
    "diary_write",
    "interactions_record",
    "prompt_template_add",
    "prompt_template_install",
]
