"""The only writers of what is asked, answered and decided."""

from decisions.services.outside import outside_text_add, outside_text_end
from decisions.services.recording import decisions_record, diary_write, interactions_record
from decisions.services.templates import SEEDS, prompt_template_add, prompt_template_check, prompt_template_install

__all__ = [
    "SEEDS",
    "decisions_record",
    "diary_write",
    "interactions_record",
    "outside_text_add",
    "outside_text_end",
    "prompt_template_add",
    "prompt_template_check",
    "prompt_template_install",
]
