"""What the tests of every engine train, and how they tell that nothing was lost or doubled."""

from __future__ import annotations

from pathlib import Path

from scaling.records import read_rows
from scaling.store import Store
from scaling.study import read_study

STUDY = """
[corpus]
source = "folder"
path = "text"
[defaults]
budgets = {budgets}
warmup_tokens = "4Ki"
context = 32
max_epochs = 4
[[grid]]
width = [16, 32]
seed = {seed}
"""


def write_folders(
    root: Path, library: Path, names: tuple[str, ...], *, budgets: list[str], seed: int | list[int] = 0
) -> tuple[Path, ...]:
    """A folder of one and the same study for each name."""
    folders = tuple(root / name for name in names)
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "text").symlink_to(library)
        (folder / "study.toml").write_text(STUDY.format(budgets=budgets, seed=seed))
    return folders


def written(folder: Path) -> list[str]:
    """The ids of all rows on a machine's disk, doubled ones too."""
    files = Store(read_study(folder)).local.glob("rows/*.jsonl")
    return [row["run_id"] for file in files for row in read_rows(file, "run")]
