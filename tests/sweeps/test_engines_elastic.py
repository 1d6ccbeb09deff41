"""Launchers on several machines, told apart by their names, join and leave one sweep: by a common disk, or by S3."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from shared_sweeps import write_folders, written

import scaling
from scaling.errors import MissingPackage, check_installed
from scaling.store import SharedStore, Store, StoreUnreachable
from scaling.study import read_study

ELSEWHERE = """
import socket, sys
host = sys.argv.pop(1)
socket.gethostname = lambda: host
import scaling.leases, scaling.sweeps.launch
scaling.leases.LEASE_SECONDS, scaling.sweeps.launch._REFRESH_SECONDS = 3.0, 0.5
from scaling.__main__ import main
main()
"""
WHAT_MAY_DIFFER = ["seconds", "flops_per_second", "ceiling", "study", "origin"]


@pytest.fixture
def folders(tmp_path, library):
    """A folder of the study for a calm sweep, and one for each of two machines."""
    names = tuple(f"{machine}/runs/elastic" for machine in ("calm", "one", "two"))
    return write_folders(tmp_path, library, names, budgets=["32Ki", "64Ki"])


@pytest.fixture
def s3(monkeypatch):
    """The address of an S3 server with one bucket."""
    try:
        check_installed("s3", "s3fs", "moto", "flask")
    except MissingPackage as problem:
        pytest.skip(str(problem))
    import fsspec
    import requests
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    requests.post(f"{address}/moto-api/reset", timeout=10).raise_for_status()  # all its servers share buckets
    fsspec.filesystem("s3").mkdir("bucket")
    yield address
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def launch(host, folder, *more):
    command = [
        sys.executable,
        "-c",
        ELSEWHERE,
        host,
        "sweep",
        str(folder),
        "--quiet",
        "--workers",
        "1",
        *more,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def workers_of(launcher):
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [int(pid) for pid in children]


def kill_all(launcher):
    """As when the machine is switched off."""
    workers = workers_of(launcher)
    launcher.kill()
    launcher.wait()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def rows(where):
    return scaling.open_runs(where).drop(WHAT_MAY_DIFFER).sort("run_id")


def join_and_leave(one, two, *more):
    """The first machine dies with a row made; the second joins it, and takes over what it was at."""
    first = launch("one", one, *more)
    wait_for(lambda: written(one))
    second = launch("two", two, *more)
    wait_for(lambda: len(list(Store(read_study(two)).local.glob("jobs/*"))) == 2 or second.poll() is not None)
    kill_all(first)
    assert second.wait(300) == 0


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_a_launcher_joins_a_sweep_and_takes_over_from_one_whose_machine_dies(folders):
    calm, one, _ = folders
    scaling.sweep(calm, progress=False)
    join_and_leave(one, one)
    assert len(written(one)) == len(set(written(one))) == 4
    assert rows(one).equals(rows(calm))
    assert not list(Store(read_study(one)).local.glob("leases/*.json"))


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")  # of what S3 needs
def test_machines_without_a_common_disk_share_a_sweep_by_s3(folders, s3):
    calm, one, two = folders
    scaling.sweep(calm, progress=False)
    join_and_leave(one, two, "--store", "s3://bucket/prefix")
    assert rows("s3://bucket/prefix/elastic").equals(rows(calm))
    assert len(written(two)) == len(set(written(two))) == 4
    seconds = scaling.open_runs(two)["seconds"]  # whoever trained it: nothing was trained by both
    assert scaling.open_runs("s3://bucket/prefix/elastic")["seconds"].sort().equals(seconds.sort())
    third = scaling.sweep(one, store="s3://bucket/prefix", progress=False)
    assert third["seconds"].sort().equals(seconds.sort()) and isinstance(third, pl.DataFrame)


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")
def test_a_bucket_that_is_not_there_or_refuses_is_named_before_any_work(folders, s3):
    import requests

    study = read_study(folders[0])
    with pytest.raises(StoreUnreachable, match=r"s3://gone/prefix, but .* bucket does not exist"):
        scaling.sweep(study, store="s3://gone/prefix", progress=False)
    requests.post(f"{s3}/moto-api/reset-auth", data="0", timeout=10).raise_for_status()
    with pytest.raises(StoreUnreachable, match=r"PermissionError.*credentials that may list, read and write"):
        scaling.sweep(study, store="s3://bucket/prefix", progress=False)
    assert not Store(study).local.exists()
    assert SharedStore(study, "s3://bucket/prefix").study is study
