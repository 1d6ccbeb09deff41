"""What a look at a table says."""

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import scaling
from scaling.__main__ import cli
from scaling.errors import MissingColumns
from scaling.laws import HOFFMANN_2022, chinchilla


def table(path, moved=()):
    N, D = np.repeat([1e6, 4e6, 16e6, 64e6, 256e6], 5), np.tile(np.geomspace(1e8, 1e11, 5), 5)
    loss = HOFFMANN_2022(N, D)
    D = np.where(np.isin(np.arange(25), list(moved)), D / 1e3, D)
    pl.DataFrame({"params": N / 1e6, "tokens": D, "eval/loss": loss.round(4)}).write_csv(path)
    return path


READ = {"columns": {"params": "N", "tokens": "D", "eval/loss": "loss"}, "units": {"N": "M"}}


def test_a_check_says_how_each_column_was_read_and_what_a_fit_determines(tmp_path):
    checked = scaling.check_runs(table(tmp_path / "t.csv"), **READ)
    lines = str(checked).splitlines()
    assert lines[0] == "t.csv: CSV, 25 rows, 3 columns"
    assert next(line for line in lines if line.startswith("N ")).split() == [
        "N",
        "params",
        "M",
        "1,000,000",
        "256,000,000",
        "5",
    ]
    assert checked.laws["chinchilla"].startswith("determines E, A, B, alpha, beta")
    assert "compute_only" in checked.wanting["C"]
    assert "doubtful" not in str(checked)
    assert checked._repr_html_().count("<table>") == 2


def test_a_check_names_rows_in_other_units_and_columns_of_other_names(tmp_path):
    doubtful = scaling.check_runs(table(tmp_path / "t.csv", moved=[7, 13]), **READ)
    assert "row 7, line 9; row 13, line 15 in column D" in str(doubtful)
    unnamed = scaling.check_runs(table(tmp_path / "t.csv"))
    assert unnamed.suggested == {"params": "N", "tokens": "D", "eval/loss": "loss"}
    assert "no law can be fitted" in str(unnamed)


def test_a_check_and_a_fit_suggest_columns_and_units_by_their_names(tmp_path):
    runs = pl.read_csv(table(tmp_path / "t.csv"))
    N, D, loss = runs["params"] / 1e3, runs["tokens"] / 1e12, runs["eval/loss"]  # params are millions
    named = {"n_params_B": N, "tokens_seen_T": D, "flops_C": 6e21 * N * D, "eval/loss": loss}
    checked = scaling.check_runs(pl.DataFrame(named))
    assert checked.suggested == {"n_params_B": "N", "tokens_seen_T": "D", "flops_C": "C", "eval/loss": "loss"}
    assert checked.suggested_units == {"N": "B", "D": "T"}
    assert "units={'N': 'B', 'D': 'T'}" in str(checked)
    read = scaling.read_runs(pl.DataFrame(named), columns=checked.suggested, units=checked.suggested_units)
    np.testing.assert_allclose(read["C"] / (6 * read["N"] * read["D"]), 1.0)
    with pytest.raises(MissingColumns, match=r"columns=.*'n_params_B': 'N'.*units=.*'N': 'B'"):
        scaling.fit(chinchilla, pl.DataFrame(named), bootstrap=0)
    symbols = scaling.check_runs({"params_N": N, "tokens_D": D})
    assert symbols.suggested == {"params_N": "N", "tokens_D": "D"}


def test_a_check_says_why_a_law_cannot_be_fitted():
    few = scaling.check_runs({"N": [1e6, 2e6, 4e6], "D": [1e8, 2e8, 4e8], "loss": [3.0, 2.8, "-"]})
    assert few.laws["chinchilla"].startswith("refused: chinchilla has 5 free parameters")
    assert "1 of 3 rows have gaps" in few.laws["chinchilla"]


def test_the_command_line_checks_and_fits_a_table_of_other_names(tmp_path):
    file = str(table(tmp_path / "t.csv"))
    read = ["--columns", "params=N", "--columns", "tokens=D", "--columns", "eval/loss=loss", "--units", "N=M"]
    checked = CliRunner().invoke(cli, ["check", file, *read])
    assert checked.exit_code == 0
    assert "chinchilla" in checked.output
    fitted = CliRunner().invoke(cli, ["fit", file, *read, "--where", "N > 2e6", "--bootstrap", "0"])
    assert "chinchilla fitted to 20 runs" in fitted.output
    refused = CliRunner().invoke(cli, ["fit", file, "--units", "tokens=1e9"])
    assert (refused.exit_code, "say 'B'" in refused.output) == (2, True)
