"""What every error of the suite is: of one family, whole on the other side of a pipe, and in words."""

import dataclasses
import importlib
import pickle
import pkgutil

import pytest

import scaling
from scaling.errors import BadOption, MissingColumns, ScalingError, UnknownKey, did_you_mean

for room in pkgutil.walk_packages(scaling.__path__, "scaling."):
    if not room.name.endswith("__main__"):
        importlib.import_module(room.name)


def leaves(kind=ScalingError):
    for below in kind.__subclasses__():
        yield from leaves(below) if below.__subclasses__() else [below]


def test_every_exception_of_the_suite_has_one_root():
    """`Stopped` and `_TooLong`, which a worker and a typesetter raise to themselves, are no refusals."""
    mine = {k for k in leaves(Exception) if k.__module__.startswith("scaling.")}
    assert {k.__name__ for k in mine - set(leaves())} == {"Stopped", "_TooLong"}


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.__name__)
def test_an_error_names_its_meaning_and_its_parts(kind):
    assert kind.__doc__
    assert dataclasses.fields(kind)
    assert "__str__" in vars(kind)


def test_an_error_is_whole_in_another_process():
    """Positional or by keyword, as a pool of processes sends it back."""
    given = MissingColumns(missing=["loss"], there=["N", "D"], hint="Name it.")
    sent = pickle.loads(pickle.dumps(given))
    assert type(sent) is MissingColumns
    assert (str(sent), sent.missing) == (str(given), ["loss"])
    assert str(pickle.loads(pickle.dumps(BadOption("level", 5, "in (0, 1)")))).startswith(
        "level=5 was asked for"
    )


def test_a_close_name_is_offered_whatever_its_capitals():
    assert did_you_mean("CHINCHILA", ["chinchilla", "kaplan"]) == "Did you mean 'chinchilla'? "
    assert did_you_mean("zzz", ["chinchilla"]) == ""
    assert str(UnknownKey("study.toml", "budget", ["budgets", "seed"])).endswith("Did you mean 'budgets'?")


def test_a_column_in_other_capitals_is_named_by_its_own_name():
    assert "rename({'Loss': 'loss'})" in str(MissingColumns(["loss"], ["N", "D", "Loss"], "Rename one."))
    assert str(MissingColumns(["loss"], ["N", "D", "ppl"], "Rename one.")).endswith("Rename one.")
    both = str(MissingColumns(["loss", "seed"], ["N", "Loss"], "Add a seed."))
    assert both.endswith("rename({'Loss': 'loss'}). Add a seed.")
