"""Sweeps on a real Ray cluster of three nodes on this machine, one of them killed while it trains."""

import socket
import threading
import time

import polars as pl
import pytest
from shared_sweeps import STUDY, write_folders, written

import scaling
from scaling.errors import BadOption, MissingPackage, check_installed
from scaling.store import Store
from scaling.study import read_study
from scaling.sweeps.engines import make_engine
from scaling.sweeps.engines.base import Asked

try:
    check_installed("ray", "ray")
except MissingPackage as problem:
    pytest.skip(str(problem), allow_module_level=True)

from scaling.sweeps.engines.ray import ClusterUnreachable, NoPlaceInCluster, RayEngine

pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("ignore"),  # of Ray's own
]
WHAT_MAY_DIFFER = ["seconds", "flops_per_second", "ceiling", "study", "origin"]


@pytest.fixture(scope="module")
def cluster():
    """Three nodes of one CPU each, this process connected to them."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    ray.init(address=made.address, logging_level="ERROR", log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def folders(tmp_path, library):
    asked = {"budgets": ["64Ki", "256Ki"], "seed": [0, 1, 2]}
    return write_folders(tmp_path / "runs", library, ("calm", "killed"), **asked)


class Overheard(RayEngine):
    """A cluster whose messages are noted."""

    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def start(self, asked, log, hear):
        def and_note(message):
            self.heard.append(message)
            hear(message)

        return super().start(asked, log, and_note)


def rows(folder):
    return scaling.open_runs(folder).drop(WHAT_MAY_DIFFER).sort("run_id")


def test_rows_are_invariant_to_the_engine_and_to_a_node_that_is_lost(cluster, folders):
    """Three stacks at once on three nodes, one node killed once two have a row; beside it this machine's processes."""
    calm, killed = folders
    scaling.sweep(calm, progress=False, workers=3)
    node = cluster.list_all_nodes()[-1]

    def kill():
        deadline = time.monotonic() + 300
        while len(written(killed)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    heard = []
    scaling.sweep(killed, progress=False, engine=Overheard(heard), device="cpu")
    killer.join()
    assert any("Ray has lost its worker or node" in message.problem for message in heard if message.problem)
    assert len(cluster.list_all_nodes()) == 2
    assert len(written(killed)) == len(set(written(killed))) == 12
    assert rows(killed).equals(rows(calm))
    assert not list(Store(read_study(killed)).local.glob("leases/*"))


def test_capacity_is_what_the_nodes_have(cluster):
    cluster.wait_for_nodes()  # a node that was killed counts until the cluster has missed it
    nodes = len(cluster.list_all_nodes())
    capacity = make_engine("ray").capacity(Asked(device="cpu"))
    assert (capacity.workers, capacity.device) == (nodes, "cpu")
    assert make_engine("ray", {"cpus": "0.5"}).capacity(Asked(device="cpu")).workers == 2 * nodes
    with pytest.raises(
        NoPlaceInCluster, match=r"asked for 2 CPUs and 0 GPUs a job, .* the largest has 1 and 0"
    ):
        make_engine("ray", {"cpus": "2"}).capacity(Asked(device="cpu"))
    with pytest.raises(BadOption, match="1 with the engine 'ray'"):
        make_engine("ray").capacity(Asked(ranks=2))


def test_a_share_of_a_gpu_counts_as_slots():
    """On nodes as Ray lists them, without a GPU here."""
    node = {"CPU": 8.0, "GPU": 2.0}
    slots = {
        gpus: make_engine("ray", {"gpus": gpus})._slots(node, Asked()) for gpus in ("0.25", "0.4", "1", "2")
    }
    assert slots == {"0.25": 8, "0.4": 4, "1": 2, "2": 1}


def test_a_problem_of_a_job_is_told_and_the_others_are_finished(cluster, folders):
    """A file is where one stack's checkpoints should be."""
    folder = folders[0]
    (folder / "study.toml").write_text(STUDY.format(budgets=["16Ki"], seed=[0, 1, 2]))
    from scaling.sweeps.launch import WorkersFailed
    from scaling.sweeps.plan import plan_sweep

    asked = Asked(device="cpu")
    plan = plan_sweep(read_study(folder), make_engine("ray").capacity(asked), asked, progress=False)
    checkpoints = Store(read_study(folder)).local / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / plan.stacks[0].id).write_text("in the way")
    with pytest.raises(WorkersFailed, match="Name another place"):
        scaling.sweep(folder, progress=False, engine="ray", device="cpu")
    done = {run for stack in plan.stacks[1:] for run in stack.run_ids}
    assert set(scaling.open_runs(folder)["run_id"]) == done
    assert isinstance(rows(folder), pl.DataFrame)


def test_engine_names_an_address_where_no_cluster_is(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ClusterUnreachable, match=rf"'127.0.0.1:{port}', but it does not answer \(.*refused"):
        make_engine("ray", {"address": f"127.0.0.1:{port}"}).capacity(Asked())
    with pytest.raises(BadOption, match="host:port of the cluster's head"):
        make_engine("ray", {"address": "ray://head:10001"})
