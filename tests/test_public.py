"""The public face: what `import scaling` offers, and what it does not cost."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import scaling

HEAVY = {"torch", "altair", "matplotlib", "nbconvert", "lmfit", "polars", "scipy", "rich", "click"}
HEAVY |= {"pooch", "platformdirs", "requests"}


def modules_after(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_import_scaling_is_light():
    assert not modules_after("import scaling") & HEAVY


def test_only_the_training_room_imports_torch_and_nothing_what_is_drawn_later():
    """altair takes 1 to 3 seconds, matplotlib and scipy.stats half of one: a fit does not pay for them."""
    rooms = (
        "store",
        "fitting",
        "laws",
        "charts",
        "reports",
        "design.allocation",
        "sweeps.launch",
        "__main__",
    )
    slow = {"torch", "lmfit", "scipy.stats", "matplotlib", "altair", "vl_convert", "nbconvert"}
    assert not modules_after("; ".join(f"import scaling.{room}" for room in rooms)) & slow


def test_workers_need_numpy_and_torch_alone():
    assert not modules_after("import scaling.train.worker") & (HEAVY - {"torch"})


def test_public_names_stay_callable_beside_the_rooms_of_the_same_name():
    import scaling.charts.theme
    import scaling.fitting.resample
    import scaling.reports

    assert callable(scaling.fit)
    assert callable(scaling.plot)
    assert callable(scaling.report)
    assert set(scaling.__all__) <= set(dir(scaling))


def test_an_unknown_name_is_named():
    try:
        scaling.fitt  # noqa: B018
    except AttributeError as problem:
        assert "scaling has no 'fitt'" in str(problem)
    else:
        raise AssertionError("no error")


@pytest.mark.parametrize("module", [m.name for m in pkgutil.walk_packages(scaling.__path__, "scaling.")])
def test_no_room_bears_the_name_of_a_public_function(module):
    """`import scaling.fitting.profiles as p` binds the module: no face puts a function over it."""
    if not module.endswith("__main__"):
        importlib.import_module(module)
        room, _, name = module.rpartition(".")
        assert getattr(sys.modules[room], name) is sys.modules[module]
