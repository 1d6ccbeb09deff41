"""Bits that turn over on the disk: in rows as they were made, in tables, checkpoints and weights."""

import json
from itertools import accumulate

import pytest

from scaling.records import DamagedRows, append_rows, read_rows

ROWS = [{"run": {"run_id": f"{i}", "loss": 2.5 + i, "blend": {"J*": 1.0}}} for i in range(3)]


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    for row in ROWS:
        append_rows(path, row, {"evaluation": {"step": 1, "loss": row["run"]["loss"]}})
    return path


def test_no_bit_that_turns_over_changes_the_rows_that_are_read(rows):
    """A bit of every third byte at least, ends of lines and checksums included; benchmarks/faults.py turns all over."""
    assert read_rows(rows, "run") == [row["run"] for row in ROWS]
    whole = b"".join(rows.read_bytes().splitlines(keepends=True)[:3])
    last = [
        end - back for end in accumulate(map(len, whole.splitlines(keepends=True))) for back in range(1, 20)
    ]
    for place, bit in [*((p, p % 8) for p in range(0, len(whole), 3)), *((p, 1) for p in last)]:
        harmed = bytearray(whole)
        harmed[place] ^= 1 << bit
        rows.write_bytes(harmed)
        with pytest.raises(DamagedRows, match=r"rows\.jsonl cannot be used: line \d .* trained anew"):
            read_rows(rows, "run")


def test_a_line_cut_short_anywhere_is_passed_over_and_closed_by_the_next(rows):
    """As a kill or a power cut leaves the end of a file, checksum begun or not."""
    whole = rows.read_bytes()
    last = len(whole) - len(whole.splitlines()[-1]) - 1
    for end in range(last, len(whole) - 2):
        rows.write_bytes(whole[:end])
        assert len(read_rows(rows, "run")) == 3
        assert len(read_rows(rows, "evaluation")) == 2
        append_rows(rows, {"evaluation": {"step": 2}})
        assert read_rows(rows, "evaluation")[2:] == [{"step": 2}]


def test_rows_from_before_there_were_checksums_open(rows):
    old = [json.dumps(row) for row in ROWS]
    rows.write_text("\n".join([old[0], old[1][:20], old[2]]) + "\n")
    assert read_rows(rows, "run") == [ROWS[0]["run"], ROWS[2]["run"]]
    append_rows(rows, ROWS[1])
    assert len(read_rows(rows, "run")) == 3
