"""What is stored about a person: given to them as files, and taken out of the tables when they leave."""

from accounts.services.privacy.export import person_export
from accounts.services.privacy.forgetting import person_forget, pseudonym_of

__all__ = ["person_export", "person_forget", "pseudonym_of"]
