"""The one exception a user of the paper venue sees."""

from __future__ import annotations


class PaperError(Exception):
    """Say in one sentence which option or value is wrong and what would be right."""
