"""The script for a GPU runs from end to end where there is none, with nothing but what such a machine has."""

import json
import os
import subprocess
import sys
from pathlib import Path

from scaling.study import read_study

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "runs" / "ladder-gpu" / "smoke.toml"


def script(*arguments):
    """In a process that cannot import what a bare machine lacks, and that finds the suite by itself."""
    absent = ("polars", "lmfit", "altair", "nbformat", "pooch", "platformdirs", "matplotlib")
    code = f"import sys, runpy; sys.modules |= dict.fromkeys({absent}); sys.argv = sys.argv[1:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(ROOT / "benchmarks" / "gpu.py"), *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SCALING_CACHE")}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_gpu_script_writes_rows_table_and_log(tmp_path):
    out = tmp_path / "out"
    done = script("--smoke", "--out", out)
    assert done.returncode == 0, done.stderr
    cells = [line for line in (out / "table.md").read_text().splitlines() if line.startswith("|")]
    assert len(cells) == 2 + 4 + 2 + 2 + 1
    assert not [line for line in cells if "failed" in line or "not measured" in line]
    lines = [json.loads(line) for path in out.glob("rows/*.jsonl") for line in path.read_text().splitlines()]
    runs = [line["run"] for line in lines if "run" in line]
    trunks = read_study(STUDY).trunks
    assert sorted((r["seed"], r["D"]) for r in runs) == sorted(
        (t.seed, b) for t in trunks for b in t.schedule.budgets
    )
    assert "s in all" in (out / "log.md").read_text()


def test_gpu_script_keeps_what_a_cut_run_has_done(tmp_path):
    done = script("--smoke", "--minutes", "0", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no time was left" in (tmp_path / "table.md").read_text()
    assert "not begun, no time was left" in (tmp_path / "log.md").read_text()


def test_gpu_script_names_a_machine_without_a_gpu(tmp_path):
    done = script("--out", tmp_path)
    assert done.returncode == 2
    assert "--smoke runs tiny models on a CPU" in done.stderr
