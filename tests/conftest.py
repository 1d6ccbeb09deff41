"""Fixtures that several rooms share; each imports what it needs, so that a bare machine with torch collects tests."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before numpy and torch are loaded: a thread a process, as sweeps have it, and tests in as many processes as cores.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import pytest

from scaling.corpora.corpus import Corpus
from scaling.corpora.source import CorpusSource
from scaling.corpora.text import build_corpus
from scaling.flops import Shape, count_flops, count_parameters
from scaling.laws import chinchilla

with contextlib.suppress(ImportError):  # a bare machine does without
    from hypothesis import HealthCheck, settings

    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")

if TYPE_CHECKING:
    import polars as pl


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


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Corpora that tests build stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred modules of the standard library, none of them long, for tests that leave them as they are."""
    folder = tmp_path_factory.mktemp("shared") / "library"
    folder.mkdir()
    modules = sorted(Path(os.__file__).parent.glob("[a-z]*.py"))
    for path in [path for path in modules if path.stat().st_size < 30_000][:100]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def library(shared_library: Path, tmp_path: Path) -> Path:
    """A folder with real files to make a corpus of."""
    return Path(shutil.copytree(shared_library, tmp_path / "library"))


@pytest.fixture
def corpus(library: Path) -> Corpus:
    """A small corpus of code and prose."""
    return build_corpus(CorpusSource(source="folder", path=str(library)), progress=False)


@pytest.fixture(scope="session")
def ladder() -> pl.DataFrame:
    """Invented runs of a ladder of widths whose law is known: 5 sizes, 6 budgets, 2 seeds, costs as counted."""
    import polars as pl

    generator, rows = np.random.default_rng(0), []
    truth = {"E": 0.9, "A": 14.0, "B": 150.0, "alpha": 0.28, "beta": 0.36}
    for width, seed in itertools.product((16, 32, 48, 64, 96), (0, 1)):
        N = count_parameters(Shape(width=width)).matrices
        for D in 2 ** np.arange(18, 24):
            loss = chinchilla(N, float(D), **truth) * math.exp(0.003 * generator.normal())
            C = count_flops(Shape(width=width), int(D)).total
            rows.append(
                {"N": N, "D": int(D), "C": C, "loss": loss, "seed": seed, "trunk_id": f"{width}-{seed}"}
            )
    return pl.DataFrame(rows).with_columns(
        epochs=pl.lit(1.0), device=pl.lit("cpu"), origin=pl.lit("committed")
    )


_CELLS = """\
import polars as pl
from scaling.fitting import compare, fit
from scaling.laws import chinchilla, kaplan
from scaling.charts import live, plot, results
from scaling.charts import print as paper
runs = pl.read_parquet("ladder.parquet")
fitted = fit(chinchilla, runs, bootstrap=200)
live.enable()
# %%
plot(fitted, runs)
# %%
results.residuals(fitted, runs)
# %%
plot(compare([chinchilla, kaplan], runs))
# %%
paper.loss_against_compute(fitted, runs)
# %%
fitted"""


@pytest.fixture(scope="session")
def notebook_folder(tmp_path_factory: pytest.TempPathFactory, ladder: pl.DataFrame) -> Path:
    """A folder with one notebook, "ladder": three charts, a print figure, a table, formulas."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    folder = tmp_path_factory.mktemp("notebooks")
    ladder.write_parquet(folder / "ladder.parquet")
    title = new_markdown_cell(
        "# What is fitted?\n\nThe law is $L = E + A/N^\\alpha$.\n\n$$\\frac{B}{D^\\beta}$$"
    )
    cells = [title, *map(new_code_cell, _CELLS.split("\n# %%\n"))]
    nbformat.write(new_notebook(cells=cells), folder / "ladder.ipynb")
    return folder


@pytest.fixture(scope="session")
def made_report(notebook_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML of that notebook, executed once for all tests that read it."""
    from scaling.reports import report

    return report("ladder", notebooks=notebook_folder, out=tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium; where there is none the test is skipped, or fails where all is meant to be there."""
    import browsing  # here, because a bare machine does without selenium

    if missing := browsing.missing():
        reason = f"no {missing} here; apt-get install chromium chromium-driver"
        if os.environ.get("SCALING_CI") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    opened = browsing.open_browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()
