"""The public face: what `import scaling` offers, and what it does not cost."""

import subprocess
import sys

import scaling

HEAVY = {"torch", "altair", "matplotlib", "nbconvert", "lmfit", "polars", "scipy", "rich", "click"}


def modules_after(statement):
    code = f"import sys; {statement}; print(*(m.partition('.')[0] for m in sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_import_scaling_is_light():
    assert not modules_after("import scaling") & HEAVY


def test_only_the_training_room_imports_torch():
    rooms = ("store", "fit", "laws", "plot", "report", "train.sweep", "__main__")
    assert "torch" not in modules_after("; ".join(f"import scaling.{room}" for room in rooms))
    assert not modules_after("import scaling.fit") & {"lmfit", "matplotlib", "altair"}


def test_workers_need_numpy_and_torch_alone():
    assert not modules_after("import scaling.train.worker") & (HEAVY - {"torch"})


def test_public_names_stay_callable_beside_the_rooms_of_the_same_name():
    import scaling.fit.resample
    import scaling.plot.theme
    import scaling.report

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
