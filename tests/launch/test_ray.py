"""A Ray cluster of three nodes on this machine: one is killed, and an image kills whatever process it comes to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.run_files import SHARDS
from tests.commands import Command, command
from tests.deadly_images import add_deadly_images, check_quarantined, copy_photographs_and_network

NODES = 3


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, networks: Path, tmp_path: Path) -> Iterator[Any]:
    """A head that computes nothing and three nodes of one core."""
    utilities = pytest.importorskip("ray.cluster_utils", reason="the extra ray is not installed")
    here = (str(path) for path in (Path(__file__).parents[2], networks, tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(here))
    made = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own processes and sockets
def test_a_node_and_processes_die_and_every_image_is_there_once(
    cluster: Any, dataset: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [
        *tiny,
        *copy_photographs_and_network(dataset, tmp_path),
        "store.shard_size=2",
        "model.factory=deadly_networks:slow",
    ]
    run, unbroken = tmp_path / "run", tmp_path / "unbroken"
    assert command(*arguments, f"output_dir={unbroken}", folder=tmp_path).status == 0
    names = add_deadly_images(tmp_path / "photographs", {"1/b.png": "lime"})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES)]
    address = f"launch.address={cluster.address}"
    started = Command([*arguments, "launch=ray", f"launch.workers={NODES}", address], tmp_path)
    until = time.monotonic() + 300
    while len(list((run / SHARDS).glob("*/*.h5"))) < 2:
        assert started.running and time.monotonic() < until, started.wait(1).err
        time.sleep(0.05)
    cluster.remove_node(nodes[0], allow_graceful=False)
    result = started.wait(300)
    assert result.status == 3, result.err
    assert "retry 1 of 10" in result.err and "is not retried" not in result.err
    check_quarantined(run, names, unbroken)
    again = command(*arguments, "launch=ray", f"launch.workers={NODES}", address, folder=tmp_path)
    assert again.status == 3 and "nothing is left to do" in again.err
