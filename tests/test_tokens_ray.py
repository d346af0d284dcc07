"""Tokens by Ray Data on two nodes (two raylets on this machine): the bytes of one process, whoever is killed."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import token_corpora
from conftest import tone

import gritcodec
from gritcodec.errors import UsageError
from gritcodec.sound import audio
from gritcodec.tokens import Tokenizer
from gritcodec.tokens.plan import Sizes
from gritcodec.tokens.run import tokenize
from gritcodec.tokens.shards import Setup

# Nothing is sent to Ray's makers, and no secret is left in the home folder.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_DEDUP_LOGS": "0"}
ray = pytest.importorskip("ray")
pytest.importorskip("pyarrow")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

SHARDS = 14
# It ends itself, without a word to anybody, as the third shard is done: no watcher could be sure to come in time.
_DRIVER = """
import os, signal, sys
from gritcodec.tokens.plan import Sizes
from gritcodec.tokens.run import tokenize
from gritcodec.tokens.shards import Setup

made = []

def told(record):
    made.append(record)
    if len(made) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    source, out, model, address = sys.argv[1:]
    tokenize([source], out, Setup(model), sizes=Sizes(3), jobs=2, ray=address, told=told)
"""


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.second = made.add_node(**node)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Files that take a tenth of a second each."""
    folder = tmp_path_factory.mktemp("corpus")
    for k in range(3 * SHARDS - 1):
        audio.write(folder / f"{k:03d}.wav", tone(1, 16000 * 12 + 1000 * k, 16000), 16000)
    (folder / "bad.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture(scope="module")
def alone(corpus, tiny_model, tmp_path_factory):
    """The shards that one process makes."""
    out = tmp_path_factory.mktemp("alone") / "out"
    found = tokenize([str(corpus)], out, Setup(str(tiny_model)), sizes=Sizes(3))
    assert (found.shards, found.refused) == (SHARDS, 1)
    return token_corpora.shard_bytes(out)


def by_ray(corpus, out, model, cluster, told=None):
    return tokenize([str(corpus)], out, Setup(str(model)), sizes=Sizes(3), jobs=2, ray=cluster.address, told=told)


def test_a_killed_worker_costs_its_shard_again_and_nothing_else(tmp_path, corpus, alone, tiny_model, cluster):
    killed, made = [], []

    def told(record):
        made.append((record["shard"], record["worker"]))
        if len(made) == 3:
            killed.append(record["worker"])
            os.kill(record["worker"], signal.SIGKILL)

    found = by_ray(corpus, tmp_path / "out", tiny_model, cluster, told)
    assert sorted(shard for shard, _ in made) == list(range(SHARDS))
    assert len({worker for _, worker in made}) >= 3 and killed
    assert (found.items, found.refused) == (3 * SHARDS - 1, 1)
    assert token_corpora.shard_bytes(tmp_path / "out") == alone


def test_a_killed_driver_goes_on_where_it_was(tmp_path, corpus, alone, tiny_model, cluster):
    out, script = tmp_path / "out", tmp_path / "driver.py"
    script.write_text(_DRIVER)
    driver = subprocess.run([sys.executable, script, corpus, out, tiny_model, cluster.address], timeout=120)
    assert driver.returncode == -signal.SIGKILL
    assert len(list((out / "work" / "records").glob("*.json"))) >= 3
    found = by_ray(corpus, out, tiny_model, cluster)
    assert 0 < found.run_items <= 3 * (SHARDS - 3) and found.items == 3 * SHARDS - 1
    assert token_corpora.shard_bytes(out) == alone


def test_other_peoples_pipelines(tmp_path, corpus, tiny_model, cluster):
    import ray.data

    ray.init(address=cluster.address, log_to_driver=False)
    try:
        names = [str(corpus / f"{k:03d}.wav") for k in range(8)]
        rows = ray.data.read_binary_files([*names, str(corpus / "bad.wav")], include_paths=True)
        coded = rows.map_batches(
            Tokenizer,
            fn_constructor_kwargs={"model": str(tiny_model), "bitrate": 3, "column": "bytes"},
            batch_size=4,
            compute=ray.data.ActorPoolStrategy(size=1),
        )
        coded.write_parquet(str(tmp_path / "out"))
        back = ray.data.read_parquet(str(tmp_path / "out")).take_all()
    finally:
        ray.shutdown()
    codec = gritcodec.load(tiny_model)
    found = {row["path"]: row for row in back}
    assert len(found) == 9 and "bad.wav" in str(found[str(corpus / "bad.wav")]["path"])
    assert found[str(corpus / "bad.wav")]["refused"] and found[str(corpus / "bad.wav")]["codes"] is None
    for name in names:
        codes = np.array(list(map(list, found[name]["codes"])))
        assert np.array_equal(codes, codec.encode(*audio.read(name), 3).indices[0])


def test_a_node_that_is_lost(tmp_path, corpus, alone, tiny_model, cluster):
    """Last: it takes one of the two."""
    made = []

    def told(record):
        made.append(record["shard"])
        if len(made) == 3:
            cluster.remove_node(cluster.second, allow_graceful=False)

    by_ray(corpus, tmp_path / "out", tiny_model, cluster, told)
    assert sorted(made) == list(range(SHARDS))
    assert token_corpora.shard_bytes(tmp_path / "out") == alone


def test_no_cluster_there(tmp_path, corpus, tiny_model):
    with pytest.raises(UsageError, match="no Ray at"):
        tokenize([str(corpus)], tmp_path / "out", Setup(str(tiny_model)), ray="127.0.0.1:1")
