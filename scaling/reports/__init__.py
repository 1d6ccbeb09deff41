"""Notebooks as reports: one HTML file each, which asks the network for nothing."""

from scaling.reports.render import report

__all__ = ["report"]
