"""Puts the notebooks and the committed runs into a built wheel, so that reports work wherever it is installed."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "evaluations.parquet")
"""Learning curves, more than half of all bytes, which no notebook reads."""


class WithNotebooks(build_py):
    """The package, and beside its code what stands at the top of the repository; an editable one reads it there."""

    def run(self) -> None:
        super().run()
        for folder in () if self.editable_mode else ("notebooks", "runs"):
            target = Path(self.build_lib) / "scaling" / "suite" / folder
            shutil.copytree(folder, target, ignore=LEFT_OUT, dirs_exist_ok=True)


setup(cmdclass={"build_py": WithNotebooks})
