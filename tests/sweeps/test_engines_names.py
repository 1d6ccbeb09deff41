"""Engines by name: what is refused before any work, and what the command line takes."""

import importlib.util

import pytest
from click.testing import CliRunner

import scaling
from scaling.__main__ import cli
from scaling.errors import BadOption, MissingPackage
from scaling.sweeps.engines import UnknownEngineOption, make_engine
from scaling.sweeps.engines.local import LocalEngine


def test_an_engine_has_a_name():
    assert isinstance(make_engine("local"), LocalEngine)
    with pytest.raises(
        BadOption, match="engine='rai' was asked for, but it must be one of 'local', 'ray', 'slurm'"
    ):
        scaling.sweep("runs/quickstart", engine="rai", progress=False)


def test_an_option_that_an_engine_lacks_is_named():
    with pytest.raises(
        UnknownEngineOption, match="'address' was given to the engine 'local', but it has none"
    ):
        make_engine("local", {"address": "head:6379"})


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_without_its_package_says_how_to_install_it(engine, package, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=rf"needs {package}, .* pip install 'scaling\[{engine}\]'"):
        make_engine(engine)


def test_the_command_line_names_an_option_that_an_engine_lacks():
    asked = ["sweep", "runs/quickstart", "--dry-run"]
    refused = CliRunner().invoke(cli, [*asked, "--address", "head:6379"])
    assert refused.exit_code == 2
    assert "'address' was given to the engine 'local', but it has none" in refused.output
    refused = CliRunner().invoke(cli, [*asked, "-o", "gpus"])
    assert refused.exit_code == 2
    assert "must be NAME=VALUE" in refused.output
