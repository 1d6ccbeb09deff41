"""What trackers write: a row for each run and step."""

import json

import pytest

from scaling import read_runs
from scaling.intake.guesses import guessed
from scaling.intake.raw import NotATable


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("bounds", [True, False])
def test_a_chart_with_columns_for_each_run_becomes_rows(tmp_path, capsys, bounds):
    names, cells = ["Step"], [[100], [200]]
    for k, run in enumerate(("run-a", "lr 0.1 - seed 2")):
        for metric in ("_step", "val/loss", *(("val/loss__MIN", "val/loss__MAX") if bounds else ())):
            names.append(f"{run} - {metric}")
            for i, row in enumerate(cells):
                row.append(row[0] if metric == "_step" else "" if (i, k) == (0, 1) else 3 - i + k)
    text = "\n".join(",".join(f'"{c}"' for c in row) for row in [names, *cells])
    frame = read_runs(write(tmp_path / "chart.csv", text))
    assert frame.select("run", "step", "loss").rows() == [
        ("run-a", 100, 3), ("run-a", 200, 2), ("lr 0.1 - seed 2", 200, 3),
    ]  # fmt: skip
    assert "wide, with columns for each of 2 runs" in capsys.readouterr().out


def test_a_history_keeps_the_rows_that_log_the_held_out_loss(tmp_path, capsys):
    log = "epoch,step,train_loss,val_loss\n0,9,3.2,\n0,19,3.0,\n0,19,,2.9\n1,29,2.7,\n1,39,2.6,\n1,39,,2.5\n"
    frame = read_runs(write(tmp_path / "lightning_logs" / "version_0" / "metrics.csv", log))
    assert frame.select("step", "train_loss", "loss").rows() == [(19, 3.0, 2.9), (39, 2.6, 2.5)]
    said = capsys.readouterr().out
    assert "'val_loss' is taken as loss" in said
    assert "left out: 2 of 4 rows" in said
    assert read_runs(tmp_path / "lightning_logs")["name"].to_list() == ["version_0"] * 2


def test_a_trainers_state_has_a_row_for_each_step(tmp_path):
    history = [{"loss": 4 - 0.1 * i, "step": 100 * i, "epoch": 0.1 * i} for i in range(1, 6)]
    history += [{"eval_loss": 3.4, "step": 500, "epoch": 0.5}]
    text = json.dumps({"global_step": 500, "log_history": history})
    frame = read_runs(write(tmp_path / "out" / "checkpoint-500" / "trainer_state.json", text))
    assert (frame.height, frame["eval_loss"].null_count()) == (5, 4)
    write(
        tmp_path / "out" / "checkpoint-100" / "trainer_state.json", json.dumps({"log_history": history[:1]})
    )
    held_out = read_runs(tmp_path / "out", columns={"eval_loss": "loss", "loss": "train_loss"})
    assert held_out.select("step", "loss").rows() == [(500, 3.4)]


def test_a_summary_takes_its_config_along(tmp_path):
    folder = tmp_path / "wandb" / "run-1" / "files"
    summary = {
        "_step": 100,
        "val/loss": 3.2,
        "_wandb": {"runtime": 3},
        "grad": {"_type": "histogram", "bins": [1]},
    }
    write(folder / "config.yaml", "wandb_version: 1\nN:\n  value: 85000000\nmodel:\n  value:\n    depth: 4\n")
    frame = read_runs(write(folder / "wandb-summary.json", json.dumps(summary)))
    assert frame.select("name", "N", "model.depth", "step", "loss").row(0) == (
        "run-1",
        85_000_000,
        4,
        100,
        3.2,
    )
    assert read_runs(tmp_path / "wandb")["name"].to_list() == ["run-1"]


def test_scalars_of_event_files_are_columns(tmp_path):
    writer = pytest.importorskip("tensorboard.summary").Writer(str(tmp_path / "logs" / "run-a"))
    for step in range(3):
        writer.add_scalar("val/loss", 3 - 0.5 * step, 10 * step)
        writer.add_scalar("lr", 0.5, 10 * step)
    writer.close()
    frame = read_runs(tmp_path / "logs")
    assert frame.select("name", "step", "loss", "lr").rows()[-1] == ("run-a", 20, 2.0, 0.5)
    chart = write(tmp_path / "run-a-tag-val_loss.csv", "Wall time,Step,Value\n1.5,10,3.0\n2.5,20,2.5\n")
    assert read_runs(chart).select("step", "loss").rows() == [(10, 3.0), (20, 2.5)]


def test_metrics_of_one_a_row_and_folders_of_them_are_pivoted(tmp_path):
    text = "Run,metric,step,timestamp,value\na,val_loss,1,11,3\na,train_loss,1,12,4\na,val_loss,2,13,2\n"
    frame = read_runs(write(tmp_path / "chart.csv", text))
    assert frame.select("step", "loss", "train_loss").rows() == [(1, 3, 4), (2, 2, None)]
    write(tmp_path / "mlruns" / "0" / "r1" / "metrics" / "val_loss", "1 3.5 0\n2 3.0 10\n")
    write(tmp_path / "mlruns" / "0" / "r1" / "params" / "N", "85M")
    assert read_runs(tmp_path / "mlruns").select("name", "N", "step", "loss").row(1) == ("r1", 85e6, 10, 3.0)


def test_how_runs_ended_is_said_in_the_suites_words(tmp_path, capsys):
    frame = read_runs(write(tmp_path / "t.csv", "Name,State,loss\nr1,finished,3\nr2,crashed,2.9\n"))
    assert frame["status"].to_list() == ["done", "crashed"]
    assert "did not end well: 1 crashed" in capsys.readouterr().out


def test_a_folder_without_logs_is_named(tmp_path):
    with pytest.raises(NotATable, match="a folder without event files"):
        read_runs(tmp_path)


def test_results_of_the_evaluation_harness_are_a_row_for_each_task(tmp_path, capsys):
    document = {
        "results": {"arc": {"alias": "arc", "acc,none": 0.5, "acc_stderr,none": 0.01}, "hella": {"acc,none": 0.4}},
        "versions": {"arc": 1, "hella": 1}, "n-shot": {"arc": 0, "hella": 5},
        "config": {"model": "hf", "model_num_parameters": 124_000_000, "batch_size": 8},
    }  # fmt: skip
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document))
    frame = read_runs(path, columns={"model_num_parameters": "N"})
    assert frame.select("N", "task", "n_shot", "acc", "acc_stderr").rows() == [
        (124_000_000, "arc", 0, 0.5, 0.01), (124_000_000, "hella", 5, 0.4, None),
    ]  # fmt: skip
    assert "one row for each task" in capsys.readouterr().out


def test_a_row_of_pandas_that_is_cut_short_is_named(tmp_path):
    path = tmp_path / "split.json"
    path.write_text('{"columns": ["N", "loss"], "data": [[1e6, 3.1], [2e6]]}')
    with pytest.raises(NotATable, match="a row of its data has not 2 cells"):
        read_runs(path)


@pytest.mark.parametrize(
    "name", ["val_loss", "Val Loss", "validation-loss", "eval/loss", "metrics.test_loss"]
)
def test_a_held_out_loss_is_guessed_however_it_is_spelled(name):
    assert guessed([name, "PARAMS", "tokens (B)"]) == ({name: "loss", "PARAMS": "N", "tokens (B)": "D"}, {})
