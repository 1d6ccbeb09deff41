"""Sweeps by an array of jobs of a real Slurm on this machine: slurmctld, slurmd and munge of the test's own."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from shared_sweeps import write_folders, written

import scaling
from scaling.errors import BadOption, MissingPackage, check_installed
from scaling.store import Store
from scaling.study import read_study
from scaling.sweeps.engines import make_engine
from scaling.sweeps.engines.base import Asked
from scaling.sweeps.launch import WorkersFailed

try:
    check_installed("slurm", "submitit")
except MissingPackage as problem:
    pytest.skip(str(problem), allow_module_level=True)

from scaling.sweeps.engines.slurm import SlurmNotFound, SlurmRefused

pytestmark = [pytest.mark.engines, pytest.mark.slurm]
CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=2,socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MailProg=/bin/true
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
WHAT_MAY_DIFFER = ["seconds", "flops_per_second", "ceiling", "study", "origin"]


def free_ports(count):
    with contextlib.ExitStack() as stack:
        return [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)
        ]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A cluster of one node with two CPUs; its daemons end with the test."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here; apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid():
        pytest.skip("only root starts slurmd")
    folder = tmp_path_factory.mktemp("slurm")
    host = socket.gethostname().partition(".")[0]
    file = folder / "slurm.conf"
    file.write_text(CONFIGURATION.format(host=host, folder=folder, ports=free_ports(2)))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o400)
    own = [f"--{what}={folder}/{what}" for what in ("pid-file", "log-file", "seed-file")]
    munge = [
        "munged",
        "--foreground",
        "--force",
        f"--key-file={folder}/key",
        f"--socket={folder}/munge.socket",
    ]
    environment = os.environ | {"SLURM_CONF": str(file)}
    daemons = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in ([*munge, *own], ["slurmctld", "-D", "-f", file], ["slurmd", "-D", "-f", file])
        if not time.sleep(0.5)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(file))
        wait_for(lambda: "idle" in said("sinfo", "--noheader", "--format=%T"))
        yield
        subprocess.run(["scancel", "--user=root"], check=False)
    for daemon in reversed(daemons):
        daemon.terminate()
        daemon.wait(30)


@pytest.fixture
def folders(tmp_path, library):
    return write_folders(tmp_path / "runs", library, ("calm", "queued"), budgets=["64Ki", "512Ki"])


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def rows(folder):
    return scaling.open_runs(folder).drop(WHAT_MAY_DIFFER).sort("run_id")


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def array_of(folder):
    file = Store(read_study(folder)).local / "slurm" / "array"
    return file.read_text() if file.exists() else ""


def test_an_array_is_queued_again_at_its_notice_and_goes_on_to_the_same_rows(slurm, folders):
    """Both jobs get the signal that Slurm sends before the time limit once a row is there; beside it a calm sweep."""
    calm, queued = folders
    scaling.sweep(calm, progress=False)
    restarts = []

    def give_notice():
        wait_for(lambda: written(queued))
        for job in (0, 1):
            subprocess.run(["scancel", "--signal=USR2", f"{array_of(queued)}_{job}"], check=True)
        wait_for(lambda: "Restarts=1" in said("scontrol", "show", "job", array_of(queued)))
        restarts.append(said("scontrol", "show", "job", array_of(queued)))

    notice = threading.Thread(target=give_notice)
    notice.start()
    scaling.sweep(queued, progress=False, engine="slurm", options={"jobs": 2, "minutes": 10})
    notice.join()
    assert restarts
    assert len(written(queued)) == len(set(written(queued))) == 4
    assert rows(queued).equals(rows(calm))
    wait_for(lambda: not said("squeue", "--noheader"))
    assert not list(Store(read_study(queued)).local.glob("leases/*.json"))


def workers_of(job):
    """Of a job that runs on this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            of_job = f"SLURM_JOB_ID={job}".encode() in (process / "environ").read_bytes().split(b"\0")
            if of_job and b"scaling.train.worker" in (process / "cmdline").read_bytes():
                yield int(process.name)


def test_a_job_is_queued_again_at_its_real_time_limit_and_goes_on_to_the_same_rows(slurm, folders):
    """A limit of two minutes is waited for: the worker is held still from its first row to Slurm's notice."""
    calm, queued = folders
    scaling.sweep(calm, progress=False)
    told = []

    def wait_for_the_limit():
        wait_for(lambda: written(queued))
        array, logs = array_of(queued), Store(read_study(queued)).local / "slurm"
        held = list(workers_of(array))
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: any("Caught signal" in log.read_text() for log in logs.glob(f"{array}/*_log.err")))
        for pid in held:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: re.search("Restarts=[1-9]", said("scontrol", "show", "job", array)))
        told.extend([held, said("scontrol", "show", "job", array)])

    limit = threading.Thread(target=wait_for_the_limit)
    limit.start()
    options = {"jobs": 1, "minutes": 2, "notice": 20}
    scaling.sweep(queued, progress=False, engine="slurm", options=options)
    limit.join()
    held, job = told
    assert held and "TimeLimit=00:02:00" in job
    assert len(written(queued)) == len(set(written(queued))) == 4
    assert rows(queued).equals(rows(calm))


def test_jobs_that_fail_are_told_with_what_they_said(slurm, folders):
    folder = folders[0]
    logs = Store(read_study(folder)).local / "logs"
    logs.parent.mkdir(parents=True)
    logs.write_text("in the way")
    with pytest.raises(WorkersFailed, match=r"4 runs are not done[^$]*File exists: .*logs"):
        scaling.sweep(folder, progress=False, engine="slurm", options={"jobs": "1", "minutes": "10"})


def test_what_slurm_refuses_is_named(slurm, folders, monkeypatch):
    with pytest.raises(SlurmRefused, match="invalid partition specified: gone"):
        scaling.sweep(folders[0], progress=False, engine="slurm", options={"partition": "gone"})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SlurmNotFound, match="Type the command on a login node"):
        scaling.sweep(folders[0], progress=False, engine="slurm")


def test_capacity_is_that_of_the_whole_array():
    engine = make_engine("slurm", {"jobs": "3", "cpus": "4", "minutes": "60"})
    assert engine.capacity(Asked()).workers == 12
    assert engine.capacity(Asked(ranks=2)).workers == 6
    assert engine.capacity(Asked(workers=5)).workers == 8
    assert make_engine("slurm", {"jobs": 2, "gpus": 4}).capacity(Asked()).device == "cuda"
    with pytest.raises(BadOption, match="ranks=5 was asked for, but it must be at most 4"):
        engine.capacity(Asked(ranks=5))
    with pytest.raises(BadOption, match=r"gpus=0 .* as --device cuda was asked for"):
        engine.capacity(Asked(device="cuda"))
    with pytest.raises(BadOption, match="more than the notice of 90 s"):
        make_engine("slurm", {"minutes": 1})
    with pytest.raises(BadOption, match="jobs='two' was asked for, but it must be a number"):
        make_engine("slurm", {"jobs": "two"})
