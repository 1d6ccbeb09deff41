"""The command line: every command documented with an example, one-line refusals, exit statuses."""

import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import scaling.store
import scaling.study
from scaling.__main__ import cli
from scaling.questions._wall.scenario import SCENARIOS

RUNS = Path(__file__).parents[1] / "runs"


def commands(group=cli, path=()):
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


def invoke(*words):
    return CliRunner().invoke(cli, [str(w) for w in words])


@pytest.mark.parametrize("name", ["mine", "runs/mine", "runs/mine/"])
def test_report_takes_a_study_by_its_name_or_its_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "study.toml").write_text('[[grid]]\nwidth = 16\nbudgets = ["64Ki"]\n')
    said = invoke("report", name)
    assert said.exit_code == 2
    assert "runs/mine/study.toml names no notebook" in said.output
    assert "scaling report quickstart -p study=runs/mine" in said.output


@pytest.fixture
def grid(tmp_path):
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e5, 1e7, 5), np.geomspace(1e7, 1e9, 5)))
    noise = np.exp(np.random.default_rng(0).normal(0, 0.002, N.size))
    path = tmp_path / "grid.parquet"
    pl.DataFrame({"N": N, "D": D, "loss": (1.7 + 400 / N**0.34 + 410 / D**0.28) * noise}).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_every_command_says_what_it_does_with_an_example(path, command):
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    example = result.output.partition("Example:")[2]
    assert f"scaling {' '.join(path)}".strip() in example
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in (
            "objective",
            "seed",
            "device",
            "bootstrap",
            "out",
            "root",
        ):
            assert parameter.help, f"{path} {parameter.name}"


def test_blend_proposes_shares_and_refuses_in_a_line(tmp_path):
    code, path = np.linspace(0, 1, 12), tmp_path / "blends.csv"
    runs = {"w_code": code, "w_prose": 1 - code, "loss_code": 3 - code, "loss_prose": 2 + 0.5 * code**2}
    pl.DataFrame(runs).write_csv(path)
    words = ("blend", path, "--target", "code=1", "--target", "prose=3", "--law", "mixing", "--bootstrap", 20)
    said = invoke(*words, "--limit", "code=0:0.4")
    assert said.exit_code == 0, said.output
    assert "blend for the loss on 0.25 code + 0.75 prose, from 12 runs" in said.output
    for options, words in (
        (("--target", "cod=1"), "Did you mean 'code'"),
        (("--target", "code"), "must be NAME=VALUE"),
        (("--target", "code=1", "--limit", "code=0.4"), "must be DOMAIN=LOW:HIGH"),
    ):
        refused = invoke("blend", path, *options)
        assert refused.exit_code == 2
        assert words in refused.output


def test_fit_prints_the_law_and_saves_it(grid, tmp_path):
    result = invoke("fit", grid, "--law", "chinchilla", "--bootstrap", 50, "--save", tmp_path / "fit.json")
    assert result.exit_code == 0, result.output
    assert "chinchilla fitted to 25 runs" in result.output
    assert "alpha = 0.3" in result.output
    assert (tmp_path / "fit.json").exists()


def test_fit_holds_a_parameter_still(grid):
    result = invoke("fit", grid, "--fixed", "E=1.7", "--bootstrap", 0)
    assert result.exit_code == 0, result.output
    assert "1.7" in result.output


def test_fit_takes_the_rows_that_fulfil_a_condition(grid):
    result = invoke("fit", grid, "--where", "N > 2e5 AND D < 9e8", "--bootstrap", 0)
    assert "chinchilla fitted to 16 runs" in result.output
    for wrong in ("M > 1", "N >", "N + 1"):
        refused = invoke("fit", grid, "--where", wrong)
        assert refused.exit_code == 2
        assert f"asked for rows where {wrong!r}" in refused.output


def test_refusals_are_one_line_and_exit_with_2(grid, tmp_path):
    cases = {
        ("fit", tmp_path / "gird.parquet"): "Did you mean 'grid.parquet'?",
        ("fit", grid, "--law", "chinchila"): "chinchilla",
        ("sweep", tmp_path / "gone.toml"): "asked for runs at",
        ("report", "nothing"): "nothing",
        ("runs", "commit", tmp_path / "gone"): "asked for runs at",
        ("fit", tmp_path / "names.csv"): "Say which it is: --columns YOUR_NAME=D --columns Loss=loss.",
    }
    (tmp_path / "names.csv").write_text("N,tok,Loss\n1e6,1e7,3.1\n2e6,1e7,3.0\n4e6,2e7,2.9\n")
    for words, expected in cases.items():
        result = invoke(*words)
        assert result.exit_code == 2, (words, result.output)
        assert result.output.startswith("scaling: ")
        assert expected in result.output
        assert "Traceback" not in result.output


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_fit_names_a_loss_that_is_no_number(grid, tmp_path, value):
    frame = pl.read_parquet(grid)
    frame[3, "loss"] = value
    frame.write_parquet(tmp_path / "bad.parquet")
    result = invoke("fit", tmp_path / "bad.parquet")
    assert result.exit_code == 2
    assert "loss" in result.output


def test_fit_names_too_few_runs(grid, tmp_path):
    pl.read_parquet(grid).head(4).write_parquet(tmp_path / "few.parquet")
    result = invoke("fit", tmp_path / "few.parquet")
    assert result.exit_code == 2
    assert "5 free parameters" in result.output


def test_usage_errors_say_what_was_wanted():
    result = invoke("fit", "x", "--fixed", "E")
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output


def test_python_m_scaling_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "scaling", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("scaling, version")


def test_runs_lists_every_study(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "study.toml").write_text(
        '[defaults]\nbudgets = ["64Ki", "128Ki"]\n[[grid]]\nwidth = [16, 32]\n'
    )
    result = invoke("runs", "--root", tmp_path)
    assert result.exit_code == 0
    assert result.output.splitlines()[1].split()[:3] == ["one", "4", "0"]


def test_runs_say_what_share_of_the_ceiling_they_reached():
    result = invoke("runs", "--root", RUNS)
    (line,) = (line for line in result.output.splitlines() if line.split()[:1] == ["ladder"])
    rows = scaling.store.Store(scaling.study.read_study(RUNS / "ladder")).rows("run", "committed")
    share = (rows["flops_per_second"] / rows["ceiling"]).drop_nulls().median()
    assert line.split()[-1] == f"{share:.0%}"


def test_published_lists_every_source_with_its_licence():
    result = invoke("published")
    assert result.exit_code == 0
    from scaling.published import SOURCES

    for name in SOURCES:
        assert name in result.output
    assert "MIT" in result.output
    refused = invoke("published", "fetch", "chinchila")
    assert refused.exit_code == 2
    assert "chinchilla" in refused.output


def test_dry_run_trains_nothing(tmp_path, library):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.toml").write_text(
        f'[corpus]\nsource = "folder"\npath = "{library}"\n[defaults]\nbudgets = ["64Ki"]\n[[grid]]\nwidth = [16, 32]\n'
    )
    result = invoke("sweep", tmp_path / "s", "--dry-run", "--quiet")
    assert result.exit_code == 0, result.output
    assert "2 runs, 0 of them done" in result.output
    assert not (tmp_path / "s" / ".store").exists()


def test_wall_prints_the_verdict_and_writes_the_report(tmp_path):
    out = tmp_path / "reports" / "wall.html"
    (tmp_path / "mine.toml").write_text((SCENARIOS / "published-2024.toml").read_text())
    result = invoke("wall", tmp_path / "mine.toml", "--draws", 2000, "--seed", 3, "--out", out)
    assert result.exit_code == 0, result.output
    assert "When is the data wall?" in result.output and "2,000 draws, seed 3" in result.output
    page = out.read_text()
    assert "Common Crawl" in page and "months that each intervention gains" in page
    assert out.with_suffix(".ipynb").exists()


def test_wall_reads_a_file_and_a_year(tmp_path):
    words = (SCENARIOS / "published-2024.toml").read_text()
    (tmp_path / "mine.toml").write_text(words.replace("high = 1e12", "high = 1e14"))
    result = invoke("wall", tmp_path / "mine.toml", "--draws", 2000, "--by", 2028, "--no-report")
    assert result.exit_code == 0, result.output
    assert "The data wall comes after 2028" in result.output
    (tmp_path / "mine.toml").write_text(words.replace("low = 1.87", "low = -1.87"))
    for where, expected in ((tmp_path / "mine.toml", "dataset_growth"), ("nowhere", "published-2024")):
        refused = invoke("wall", where, "--no-report")
        assert refused.exit_code == 2
        assert refused.output.startswith("scaling: ") and expected in refused.output
