"""Notebooks as reports: one HTML file each, which asks the network for nothing."""

from scaling.reports.render import report, write_notebook

__all__ = ["report", "write_notebook"]
