"""Anybody's runs in: what people and trackers write, understood column by column, or refused in words."""

from scaling.intake.formats import is_named_as_table
from scaling.intake.reading import Reading, read_runs, read_table, understand

__all__ = ["Reading", "is_named_as_table", "read_runs", "read_table", "understand"]
