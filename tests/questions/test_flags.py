"""What reading adds to answers about flags, on invented studies and against rows that say nothing of it."""

import polars as pl
import pytest
from studies.locality import flags_world

from scaling.questions import flags_known
from scaling.questions._locality.flags import NoFlagsAsked


def test_flags_known_recovers_what_manuals_add():
    table = flags_known(*flags_world(0.2, questions=1000, seed=1), level=0.95)
    assert set(table["programs"]) == {"known", "held out"} and set(table["read"]) == {"neither", "manuals"}
    for row in table.filter(read="manuals").iter_rows(named=True):
        assert row["gain_low"] <= 0.2 <= row["gain_high"] and row["gain"] == pytest.approx(0.2, abs=0.05)
        assert (row["seeds"], row["questions"]) == (3, 1000)
    neither = table.filter(read="neither")
    assert neither["gain"].is_nan().all() and neither["share"].to_list() == pytest.approx(
        [0.3, 0.3], abs=0.06
    )


def test_flags_known_is_invariant_to_the_order_of_rows():
    runs, measured = flags_world(0.1)
    again = flags_known(runs.reverse(), measured.reverse())
    assert again.equals(flags_known(runs, measured))


def test_more_seeds_do_not_make_the_doubt_of_shared_questions_vanish():
    narrow, wide = (
        flags_known(*flags_world(0.1, seeds=seeds)).filter(read="manuals", programs="known")
        for seeds in (400, 3)
    )
    reach = (narrow["gain_high"] - narrow["gain_low"])[0] / 2
    assert 0.06 < reach < (wide["gain_high"] - wide["gain_low"])[0] / 2  # 1.28 x .06


def test_flags_known_names_what_is_missing():
    runs, measured = flags_world(0.1)
    with pytest.raises(NoFlagsAsked, match=r"no answer to such a question. Measure the probe item_choice"):
        flags_known(runs, measured.with_columns(group=pl.lit("all")))
    with pytest.raises(NoFlagsAsked, match="no run that has read neither"):
        flags_known(runs.with_columns(blend=pl.lit('{"prose": 0.5, "manuals": 0.5}')), measured)
