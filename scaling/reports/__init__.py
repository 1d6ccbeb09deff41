"""Notebooks as reports: one HTML file each, which asks the network for nothing, and an index of all."""

from scaling.reports.index import site
from scaling.reports.render import report, write_notebook
from scaling.reports.suite import start
from scaling.reports.watching import watch

__all__ = ["report", "site", "start", "watch", "write_notebook"]
