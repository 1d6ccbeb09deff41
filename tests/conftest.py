"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder with open results of others: SCALING_PUBLISHED, else ../shared/data beside the checkout."""
    given = os.environ.get("SCALING_PUBLISHED")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "manifest.json").exists():
        reason = f"no published results at {folder}; set SCALING_PUBLISHED"
        if os.environ.get("SCALING_CI") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
