"""A machine with a GPU and little else can run the tests that need one."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
THERE = {"torch", "numpy", "scipy", "safetensors", "rich", "click", "pytest", "hypothesis"}


def test_gpu_tests_are_collected_where_torch_is_and_charts_and_notebooks_are_not(tmp_path):
    """In a process that cannot import any other direct dependency of the suite."""
    listed = re.findall(r"^([\w-]+)[><=]", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    absent = {name.lower() for name in listed} - THERE
    top_level = importlib.metadata.packages_distributions().items()
    modules = [m for m, packages in top_level if absent & {name.lower() for name in packages}]
    assert {"polars", "nbformat", "lmfit", "altair", "pooch"} <= set(modules)
    (tmp_path / "bare.py").write_text(f"import sys\nsys.modules |= dict.fromkeys({modules})\n")
    command = [sys.executable, "-m", "pytest", "-p", "bare", "-p", "no:cacheprovider", "-m", "gpu"]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    collected = subprocess.run(
        [*command, "--collect-only", "tests/train"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert "tests/train/test_stack.py" in collected.stdout
