"""Anybody's tables: read right, or refused in words about the table."""

import bz2
import gzip
import json
import math
import sys
import zipfile

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaling
from scaling import open_runs, read_runs
from scaling.errors import BadOption, MissingColumns, MissingPackage, RecordError, ScalingError
from scaling.intake import understand
from scaling.intake.cells import AmbiguousNumber, BadCell
from scaling.intake.convert import UnitTwice
from scaling.intake.delimited import read_delimited
from scaling.intake.raw import ColumnTwice, NotATable
from scaling.intake.reading import WideTable
from scaling.laws import chinchilla
from scaling.records import MissingRuns, UnreadableTable
from scaling.units import UnknownUnit

ROWS = [(1_000_000, 100_000_000, 3.25), (2_000_000, 200_000_000, 3.0), (4_000_000, 400_000_000, 2.75)]
OBJECTS = [dict(zip(("N", "D", "loss"), row, strict=True)) for row in ROWS]
BODY = "N,D,loss\n" + "".join(f"{n},{d},{loss}\n" for n, d, loss in ROWS)


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def rows(frame):
    return [tuple(map(float, row)) for row in frame.select("N", "D", "loss").iter_rows()]


def workbook(path):
    """A workbook as Excel writes it, by hand: the numbers of ROWS under their names."""
    cells = [("N", "D", "loss"), *ROWS]
    sheet = "".join(
        f'<row r="{i}">'
        + "".join(
            f'<c r="{c}{i}" t="inlineStr"><is><t>{v}</t></is></c>'
            if i == 1
            else f'<c r="{c}{i}"><v>{v}</v></c>'
            for c, v in zip("ABC", row, strict=True)
        )
        + "</row>"
        for i, row in enumerate(cells, 1)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    of_package = "http://schemas.openxmlformats.org/package/2006"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{of_package}/content-types"><Default Extension="rels" ContentType="application/vnd.'
            'openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
            "</Types>",
        )
        for name, target, word in (
            ("_rels/.rels", "xl/workbook.xml", "officeDocument"),
            ("xl/_rels/workbook.xml.rels", "worksheets/sheet1.xml", "worksheet"),
        ):
            book.writestr(
                name,
                f'<Relationships xmlns="{of_package}/relationships"><Relationship Id="r1" Type="{kind}/{word}" '
                f'Target="{target}"/></Relationships>',
            )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{kind}"><sheets><sheet name="runs" sheetId="1" r:id="r1"/></sheets>'
            "</workbook>",
        )
        book.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
        )
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.CSV", BODY),
        ("t.tsv", BODY.replace(",", "\t")),
        ("t.txt", "# N D loss\n" + BODY.split("\n", 1)[1].replace(",", "  ")),
        ("t.csv.gz", gzip.compress(BODY.encode(), mtime=0)),
        ("gzip_without_saying.csv", gzip.compress(BODY.encode(), mtime=0)),
        ("t.csv.bz2", bz2.compress(BODY.encode())),
        ("comma.csv", BODY.replace(",", ";").replace(".", ",")),
        ("excel.csv", "sep=;\r\n" + BODY.replace(",", ";").replace(".", ",").replace("\n", "\r\n")),
        ("unicode.csv", BODY.replace(",", "\t").replace(".", ",").encode("utf-16")),
        ("mark.csv", b"\xef\xbb\xbf" + BODY.encode()),
        ("comment.csv", "# from my notes\n\n" + BODY + "\n,,\n"),
        ("comment_below.csv", BODY + "# two seeds are missing\n"),
        ("old_macintosh.csv", BODY.replace("\n", "\r")),
        ("index.csv", "".join(f"{',' if i == 0 else f'{i - 1},'}{x}\n" for i, x in enumerate(BODY.split()))),
        ("rows.json", json.dumps(OBJECTS)),
        ("inside.json", json.dumps({"runs": OBJECTS})),
        ("split.json", json.dumps({"columns": ["N", "D", "loss"], "index": [0, 1, 2], "data": ROWS})),
        ("lists.json", json.dumps(dict(zip(("N", "D", "loss"), zip(*ROWS, strict=True), strict=True)))),
        ("named.json", json.dumps({f"run-{i}": row for i, row in enumerate(OBJECTS)})),
    ],
)  # fmt: skip
def test_a_table_is_read_whatever_its_format(tmp_path, name, data):
    assert rows(read_runs(write(tmp_path / name, data))) == ROWS


def test_workbooks_parquet_and_arrow_are_read(tmp_path):
    assert rows(read_runs(workbook(tmp_path / "t.xlsx"))) == ROWS
    frame = pl.DataFrame(ROWS, schema=["N", "D", "loss"], orient="row")
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ipc(tmp_path / "t.arrow")
    assert rows(read_runs(tmp_path / "t.parquet")) == rows(read_runs(tmp_path / "t.arrow")) == ROWS
    categories = frame.with_columns(pl.col("N").cast(pl.String).cast(pl.Categorical))
    categories.write_parquet(tmp_path / "categories.parquet")
    assert rows(read_runs(tmp_path / "categories.parquet")) == ROWS


@pytest.mark.parametrize(
    ("package", "name", "extra"),
    [("fastexcel", "t.xlsx", "excel"), ("tensorboard", "events.out.tfevents.1", "tensorboard")],
)
def test_a_reader_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, package, name, extra):
    for module in [*(m for m in sys.modules if m.partition(".")[0] == package), package]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackage, match=rf"needs {package}.*scaling\[{extra}\]"):
        read_runs(write(tmp_path / name, b"PK"))


@given(
    st.lists(
        st.tuples(st.integers(1, 10**12), st.floats(0.1, 20).map(lambda x: round(x, 4))),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_numbers_come_back_whatever_the_delimiter(cells, delimiter):
    text = delimiter.join(("N", "loss", "note")) + "\n"
    text += "".join(f'{n}{delimiter}{loss}{delimiter}"a{delimiter}\nb"\n' for n, loss in cells)
    raw = read_delimited("t.csv", text.encode())
    assert (raw.delimiter, raw.frame.columns) == (delimiter, ["N", "loss", "note"])
    assert raw.frame["N"].cast(pl.Int64).to_list() == [n for n, _ in cells]
    assert raw.frame["loss"].cast(pl.Float64).to_list() == [loss for _, loss in cells]
    assert raw.lines == tuple(range(3, 2 * len(cells) + 2, 2))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.csv", "1,2,3\n4,5,6\n", "line 1 holds numbers where names should stand"),
        ("t.csv", "N,loss\n1,2\n3\n", "line 3 has 1 cells, the line of names 2"),
        ("t.csv", "N,D,loss\n1,2,3,25\n", "line 2 has 4 cells, the line of names 3"),
        ("t.csv", "<!DOCTYPE html><html>", "it is a web page"),
        ("t.csv", "version https://git-lfs.github.com/spec/v1\noid x", "pointer of Git LFS"),
        ("t.csv", "", "it is empty"),
        ("t.csv", "N,loss\n", "it has no rows"),
        ("t.csv", b"\0\1\2\3", "it is no text"),
        ("t.csv.gz", gzip.compress(BODY.encode(), mtime=0)[:-9], "ended before"),
        ("t.jsonl", '{"N": 1}\n{"N": \n{"N": 2}\n', "line 2"),
        ("t.json", "7", "neither rows nor columns"),
    ],
)
def test_a_broken_file_is_named_with_a_way_out_that_keeps_it(tmp_path, name, data, words):
    with pytest.raises(NotATable, match=words) as refused:
        read_runs(write(tmp_path / name, data))
    assert str(refused.value).startswith(name)
    assert "delete" not in str(refused.value).lower()
    assert "sweep" not in str(refused.value)


def test_a_missing_file_and_an_unknown_ending_are_named(tmp_path):
    write(tmp_path / "table.csv", BODY)
    with pytest.raises(MissingRuns, match=r"Did you mean 'table\.csv'"):
        read_runs(tmp_path / "tabel.csv")
    with pytest.raises(UnreadableTable, match="its name must end in"):
        read_runs(write(tmp_path / "t.xyz", ""))
    with pytest.raises(UnreadableTable, match=r"t\.parquet cannot be read .*Restore it from a copy"):
        read_runs(write(tmp_path / "t.parquet", b"PAR1 and no more"))
    with pytest.raises(NotATable, match="it is a int"):
        read_runs(3)


def test_read_runs_brings_anybodys_table_into_the_schema(tmp_path):
    pl.DataFrame(
        {"params": [70, 400], "tokens": [1.4, 0.3], "bpb": [0.7, 0.8], "bytes_per_token": [4.0, 4.0]}
    ).write_csv(tmp_path / "t.csv")
    frame = read_runs(
        tmp_path / "t.csv",
        columns={"params": "N", "tokens": "D", "bpb": "loss"},
        units={"N": "M", "D": "T", "loss": "bits/byte"},
        n_convention="total",
    )
    assert frame["N"].to_list() == [70e6, 400e6]
    assert frame["D"].to_list() == [1.4e12, 0.3e12]
    assert frame["loss"].to_list() == pytest.approx([0.7 * 4 * 0.693147, 0.8 * 4 * 0.693147])
    assert frame["n_convention"].unique().to_list() == ["total"]


def test_read_runs_names_columns_that_are_not_there(tmp_path):
    file = write(tmp_path / "t.csv", "N,loss\n1,2\n")
    with pytest.raises(MissingColumns, match="column params asked for, but the table has N, loss"):
        read_runs(file, columns={"params": "N"})
    with pytest.raises(MissingColumns, match="bytes_per_token"):
        read_runs(file, units={"loss": "bits/byte"})
    with pytest.raises(UnknownUnit, match="'furlongs'"):
        read_runs(file, units={"N": "furlongs"})


def test_two_columns_of_one_name_are_named_with_a_call_that_works(tmp_path):
    file = write(tmp_path / "t.csv", "params,loss,val_loss\n1,2.5,2.7\n")
    mapping = {"params": "N", "val_loss": "loss"}
    with pytest.raises(ColumnTwice, match="'loss' and 'val_loss'") as refused:
        read_runs(file, columns=mapping)
    way = eval(str(refused.value).split("columns=")[1].rstrip("."))
    assert read_runs(file, columns=mapping | way)["loss"].to_list() == [2.7]
    with pytest.raises(ColumnTwice, match="'column 1' and 'column 2'"):
        read_runs(write(tmp_path / "u.csv", "loss, loss\n1,2\n"))


# --- units -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["1e9", "1B", 1e9, "1000000000"])
def test_a_factor_is_no_unit_and_the_way_out_is_its_name(tmp_path, unit):
    with pytest.raises(UnknownUnit, match=r"k, M, G, B, T.*A unit is a name and no factor: say 'B'"):
        read_runs(write(tmp_path / "t.csv", BODY), units={"D": unit})


@pytest.mark.parametrize("unit", ["B", "M", "k", "PFLOPs"])
def test_a_loss_takes_no_unit_of_counts(tmp_path, unit):
    with pytest.raises(UnknownUnit, match="units of loss, a loss, nats/token, bits/token, bits/byte"):
        read_runs(write(tmp_path / "t.csv", BODY), units={"loss": unit})


@pytest.mark.parametrize(
    ("column", "unit", "value"),
    [
        ("loss", "perplexity", math.log(3.25)),
        ("loss", "bits/token", 3.25 * math.log(2)),
        ("N", "million", 1e12),
        ("N", "Ki", 1e6 * 1024),
        ("C", "PF-days", 2 * 8.64e19),
        ("C", "EFLOPs", 2e18),
    ],
)
def test_units_of_counts_losses_and_compute(column, unit, value):
    frame = read_runs({"N": [1e6], "C": [2.0], "loss": [3.25]}, units={column: unit})
    assert frame[column].to_list() == pytest.approx([value])


def test_counts_with_suffixes_are_read_and_not_multiplied_again(tmp_path):
    file = write(tmp_path / "t.csv", "N,D,loss\n85M,1.4B,3.1\n128Ki,300B tokens,2.9\n")
    assert read_runs(file)["N"].to_list() == [85e6, 131072]
    assert read_runs(file)["D"].to_list() == [1.4e9, 3e11]
    with pytest.raises(UnitTwice, match=r"column N says its unit itself \('85M'\).*Leave N out of units"):
        read_runs(file, units={"N": "M"})


def test_a_unit_in_a_columns_name_counts_once(tmp_path):
    file = write(tmp_path / "t.csv", "params (M),D [B],loss [bits/token]\n85,1.5,3\n")
    frame = read_runs(file, columns={"params (M)": "N"}, units={"D": "B"})
    assert frame.select("N", "D").row(0) == (85e6, 1.5e9)
    assert frame["loss"][0] == pytest.approx(3 * math.log(2))
    with pytest.raises(UnitTwice, match=r"'D \[B\]'"):
        read_runs(file, units={"D": "M"})


def test_a_loss_of_two_readings_is_asked_about(tmp_path):
    file = write(tmp_path / "t.csv", 'N,loss\n"1,000","3,250"\n')
    with pytest.raises(AmbiguousNumber, match=r"3250 where ',' sets thousands apart, and 3\.250"):
        read_runs(file)
    assert read_runs(file, decimal=",").select("N", "loss").row(0) == (1.0, 3.25)
    assert read_runs(file, decimal=".").select("N", "loss").row(0) == (1000.0, 3250.0)


# --- cells that are missing or wrong -----------------------------------------------------------------


@pytest.mark.parametrize("cell", ["nan", "N/A", "-", "", "#N/A", "null"])
def test_a_missing_loss_is_counted_by_row_and_line_and_never_fitted(tmp_path, capsys, cell):
    loss = [f"{3 + 1 / (i + 1):.4f}" for i in range(12)]
    loss[7] = cell
    text = "N,D,loss\n" + "".join(f"{2**i}e6,{3**i}e6,{x}\n" for i, x in enumerate(loss))
    frame = read_runs(write(tmp_path / "t.csv", text))
    assert "column loss" in (said := capsys.readouterr().out)
    assert "in 1 of 12 rows (row 7, line 9" in said
    with pytest.raises(ScalingError, match=r"1 of the runs .*row 7"):
        scaling.fit(chinchilla, frame, bootstrap=0)


def test_a_cell_that_is_no_number_is_named(tmp_path):
    with pytest.raises(BadCell, match=r"column loss .* 1 of 3 cells does not \(row 1, line 3: 'oops'\)"):
        read_runs(write(tmp_path / "t.csv", BODY.replace("3.0", "oops")))
    with pytest.raises(BadCell, match=r"row 0, line 2: '125m'\)\. Did you mean '125M'"):
        read_runs(write(tmp_path / "t.csv", "N,loss\n125m,3\n"))


def test_a_column_that_no_law_reads_stays_text_with_a_word(tmp_path, capsys):
    frame = read_runs(write(tmp_path / "t.csv", "loss,lr\n3,1e-3\n2,2e-3\n2,3e-3\n2,tuned\n"))
    assert frame["lr"].to_list()[-1] == "tuned"
    assert (
        "column lr stays text: 1 of 4 cells are no numbers (row 3, line 5: 'tuned')"
        in capsys.readouterr().out
    )


def test_ids_stay_text_and_whole_numbers_become_fractions(tmp_path):
    frame = read_runs(write(tmp_path / "t.csv", "run_id,N,loss\n0012,18446744073709551616,3\n1e5,2,2.5\n"))
    assert frame["run_id"].to_list() == ["0012", "1e5"]
    assert frame["N"].to_list() == [2.0**64, 2.0]
    assert frame["loss"].to_list() == [3.0, 2.5]


@pytest.mark.parametrize(
    "last", ["mean,-,-,3.0\n", "Average:,2333333.3,,3\n", "total,,,9.0\n", ",2333333.333,233333333.333,3.0\n"]
)
def test_a_last_row_that_sums_up_the_others_is_left_out_with_a_word(tmp_path, capsys, last):
    named = "name,N,D,loss\n" + "".join(f"r{i},{x}\n" for i, x in enumerate(BODY.split()[1:])) + last
    assert read_runs(write(tmp_path / "t.csv", named)).height == 3
    assert "left out: row 3, line 5" in capsys.readouterr().out


def test_a_run_that_is_called_mean_is_a_run(capsys):
    pooling = {"name": ["max", "first", "mean"], "N": [1e6, 1e6, 2e6], "loss": [3.0, 3.1, 2.2]}
    assert read_runs(pooling).height == 3
    assert "left out" not in capsys.readouterr().out


def test_keys_that_come_late_and_numbers_that_are_none_are_kept(tmp_path):
    late = [{"N": 1, "loss": 3}] * 130 + [{"N": 2**70, "loss": 2.5, "status": "diverged"}]
    text = (
        "".join(json.dumps(row) + "\n" for row in late)
        + '{"N": 3, "loss": NaN, "status": "diverged"}\n{"N": 4, "lo'
    )
    frame = read_runs(write(tmp_path / "t.jsonl", text))
    assert frame.height == 132
    assert frame["status"].to_list()[-1] == "diverged"
    assert frame["status"].null_count() == 130
    assert frame["N"][130] == 2.0**70
    assert math.isnan(frame["loss"][131])


def test_open_runs_leaves_out_what_a_late_status_says(tmp_path, capsys):
    given = [{"N": i + 1, "loss": 3.0, "status": "diverged" if i > 7 else "done"} for i in range(10)]
    text = "".join(json.dumps(row) + "\n" for row in given)
    assert open_runs(write(tmp_path / "t.jsonl", text)).height == 8
    assert "2 diverged" in capsys.readouterr().out


def test_dates_are_read_in_the_form_that_units_state(tmp_path):
    file = write(tmp_path / "t.csv", "released,score\n03.02.2024,0.5\n")
    assert read_runs(file, units={"released": "%d.%m.%Y"})["released"].dtype == pl.Date
    assert read_runs(file)["released"].to_list() == ["03.02.2024"]


def test_a_column_for_each_budget_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(WideTable, match=r"1B, 2B, 4B are named by numbers.*unpivot"):
        read_runs(write(tmp_path / "t.csv", "N,1B,2B,4B\n85M,3.2,3.1,3.0\n"))


# --- frames ------------------------------------------------------------------------------------------


def test_frames_of_pandas_come_in_and_their_index_is_not_lost_in_silence(capsys):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"N": ["85M", "1B", None], "loss": [3.0, 2.5, 2.0]}, index=[4, 7, 9])
    assert read_runs(frame)["N"].to_list() == [85e6, 1e9, None]
    assert "left out: the index of the frame, which has no name (4, …)" in capsys.readouterr().out
    frame.index.name = "run"
    assert read_runs(frame)["run"].to_list() == [4, 7, 9]
    assert "kept as column 'run'" in capsys.readouterr().out
    assert "index" not in read_runs(frame.reset_index(drop=True)).columns


def test_frames_dictionaries_and_lists_are_tables_too():
    columns = {"N": [1, 2], "loss": ["3.5", "-"]}
    frame = pl.DataFrame(columns)
    lists = [{"N": 1, "loss": "3.5"}, {"N": 2, "loss": "-"}]
    for table in (columns, frame, frame.lazy(), frame.to_arrow(), lists):
        assert read_runs(table)["loss"].to_list() == [3.5, None]


def test_a_reading_says_what_was_understood(tmp_path):
    reading = understand(
        write(tmp_path / "t.csv", "tokens (B);loss\n1,5;-\n2,5;3,1\n"), columns={"tokens (B)": "D"}
    )
    assert reading.kind == "CSV with semicolons"
    assert dict(reading.names) == {"D": "tokens (B)"}
    assert dict(reading.units) == {"D": "B"}
    assert dict(reading.missing) == {"D": 0, "loss": 1}


# --- what exports put around a table -------------------------------------------------------------------


@pytest.mark.parametrize("title", ["Our sweep,,\n,,\n", "Our sweep\n\n"])
def test_a_title_above_the_names_is_left_out_and_said(tmp_path, capsys, title):
    for mark, name in ((",", "t.csv"), (";", "semicolons.csv")):
        body = (title + BODY).replace(",", mark)
        assert read_runs(write(tmp_path / name, body))["loss"].to_list() == [3.25, 3.0, 2.75]
        assert "left out: line 1, a title above the names (Our sweep)" in capsys.readouterr().out


def test_a_table_without_any_number_is_a_table(tmp_path):
    assert read_runs(write(tmp_path / "t.csv", "a,b\nx,y\nz,w\nu,v\n")).height == 3


def test_percent_are_hundredths_where_every_cell_says_so(tmp_path):
    file = write(tmp_path / "t.csv", "C;score\n1e18;50,5%\n1e19;60 %\n1e20;-\n")
    assert read_runs(file)["score"].to_list() == [0.505, 0.6, None]
    with pytest.raises(BadCell, match=r"column score .*'50%'.*hundredths in all"):
        read_runs(write(tmp_path / "mixed.csv", "C,score\n1e18,50%\n1e19,60\n"))


def test_a_loss_that_is_called_perplexity_is_one(tmp_path, capsys):
    file = write(tmp_path / "t.csv", "N,D,val_ppl\n1e6,1e9,20\n2e6,1e9,18\n")
    assert read_runs(file, columns={"val_ppl": "loss"})["loss"].to_list() == pytest.approx(
        [math.log(20), math.log(18)]
    )
    assert "'val_ppl' is perplexity by its name" in capsys.readouterr().out
    stated = read_runs(file, columns={"val_ppl": "loss"}, units={"loss": "nats"})
    assert stated["loss"].to_list() == [20, 18]


def test_a_loss_for_each_byte_is_converted_where_it_can_be_and_named_where_not(tmp_path, capsys):
    body = "N,bytes_per_token,bpb\n1e6,4,1\n2e6,4,0.5\n"
    read = read_runs(write(tmp_path / "t.csv", body), columns={"bpb": "loss"})
    assert read["loss"].to_list() == pytest.approx([4 * math.log(2), 2 * math.log(2)])
    capsys.readouterr()
    plain = write(tmp_path / "plain.csv", "N,D,bpb\n1e6,1e9,1\n2e6,1e9,0.5\n")
    assert read_runs(plain, columns={"bpb": "loss"})["loss"].to_list() == [1, 0.5]
    assert "'bpb' is bits/byte by its name, and stays so" in capsys.readouterr().out


def test_an_address_on_the_web_and_a_slip_in_a_name_are_told_apart(tmp_path):
    write(tmp_path / "runs.csv", BODY)
    for read in (read_runs, open_runs):
        with pytest.raises(MissingRuns, match=r"https://host/runs\.csv, .*download it"):
            read("https://host/runs.csv")
        with pytest.raises(MissingRuns, match=r"Did you mean 'runs\.csv'\?"):
            read(tmp_path / "run.csv")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"N": 1e6, "loss": 3.1, "loss": 9}\n{"N": 2e6, "loss": 2.9}\n', "'loss' stands twice"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.csv.gz", "N,loss\n1e6,3.1\n", "Take .gz off its name"),
        ("a.parquet", "N,loss\n1e6,3.1\n", "does not begin as .parquet does"),
        ("a.csv", "N,loss@1B,loss@2B,loss@4B\n1e6,3.1,3.0,2.9\n", "is wide: its columns loss@1B, loss@2B"),
    ],
)
def test_reading_names_what_a_file_is_not(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(RecordError, match=words):
        read_runs(tmp_path / name)


def test_reading_names_columns_that_are_no_words():
    with pytest.raises(BadOption, match=r"^columns=\{'N': 5\} .* a dictionary of names"):
        read_runs({"N": [1e6, 2e6], "loss": [3.0, 2.9]}, columns={"N": 5})


@pytest.mark.parametrize(
    ("name", "column", "factor"),
    [
        ("FLOPs (1e18)", "C", 1e18),
        ("FLOPs [x10^18]", "C", 1e18),
        ("compute (10¹⁸)", "C", 1e18),
        ("train_zflops", "C", 1e21),
        ("compute_pfdays", "C", 8.64e19),
        ("C (PFLOP/s-day)", "C", 8.64e19),
        ("D/1e9", "D", 1e9),
        ("tokens_1e9", "D", 1e9),
        ("tokens_in_billions", "D", 1e9),
        ("BTokens", "D", 1e9),
        ("tokens (B, unique)", "D", 1e9),
        ("params_M", "N", 1e6),
        ("params (mil)", "N", 1e6),
        ("N (non-embedding)", "N", 1.0),
        ("T", "D", 1.0),
        ("d_model", "N", 1.0),
    ],
)
def test_a_unit_in_a_name_is_applied_however_it_is_written(tmp_path, name, column, factor):
    path = write(tmp_path / "runs.csv", f'"{name}",loss\n2000,3.1\n4000,3.0\n')
    assert read_runs(path, columns={name: column})[column].to_list() == [2000 * factor, 4000 * factor]


def test_a_unit_in_a_name_that_the_numbers_contradict_is_said_and_not_applied(tmp_path, capsys):
    path = write(tmp_path / "runs.csv", "tokens_B,params (100M),loss\n2e9,30000,3.1\n")
    frame = read_runs(path, columns={"tokens_B": "D", "params (100M)": "N"})
    assert frame.select("N", "D").row(0) == (30000, 2e9)
    said = capsys.readouterr().out
    assert "'tokens_B' is in B by its name, and has 2e+09: its numbers are taken as they are" in said
    assert "'params (100M)' says '100M', which is no unit known here" in said


def test_cells_that_alone_lack_a_unit_are_said(tmp_path, capsys):
    path = write(tmp_path / "runs.csv", "N,D,loss\n1.4B,300B,3.5\n7,1T,3.1\n70B,1.4T,1.9\n")
    assert read_runs(path)["N"].to_list() == [1.4e9, 7, 7e10]
    assert (
        "column N says '1.4B' in one row and '7' in row 1, line 3: is a unit missing there?"
        in capsys.readouterr().out
    )


def test_rows_that_repeat_the_names_are_left_out_with_a_word(tmp_path, capsys):
    path = write(tmp_path / "runs.csv", BODY + BODY)
    assert rows(read_runs(path)) == [tuple(map(float, row)) for row in ROWS * 2]
    assert "left out: 1 row that repeats the names (row 3, line 5)" in capsys.readouterr().out


def test_a_row_of_units_is_named_as_one(tmp_path):
    path = write(tmp_path / "runs.csv", "N,D,loss\n(M),(B),(nats)\n10,0.2,3.5\n")
    with pytest.raises(BadCell, match=r"A unit stands in the name, e\.g\. 'N \(M\)', and not in a row"):
        read_runs(path)
