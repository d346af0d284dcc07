"""web/, the JavaScript package: vectors, files equal to this package's, types, what is built, what npm packs."""

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

import gritcodec
from gritcodec import bitstream, model_store
from gritcodec.errors import ModelError, UsageError
from gritcodec.page import __main__ as page_command
from gritcodec.page import serve
from gritcodec.page import weights as page_weights
from gritcodec.page.write import contents, write
from tests.vectors import building, make

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
VECTORS = Path(__file__).parent / "vectors"
NODE, NPM = shutil.which("node"), shutil.which("npm")
REQUIRED = os.environ.get("GRITCODEC_PEERS") == "required"
ROWS = json.loads((VECTORS / "vectors.json").read_text(encoding="utf-8"))
needs_node = pytest.mark.skipif(NODE is None and not REQUIRED, reason="Node is not installed")
# One worker: they share the installed tools and the folder that npm packs.
with_npm = [
    pytest.mark.skipif(NPM is None and not REQUIRED, reason="npm is not installed"),
    pytest.mark.xdist_group("npm"),
]


def run(*command: object, **more: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def codec():
    return gritcodec.load("speech-16k")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights as the page has them."""
    folder = tmp_path_factory.mktemp("weights")
    for name, data in make_weights().items():
        (folder / name).write_bytes(data)
    return folder


def make_weights():
    from gritcodec.page import weights

    return weights.files(model_store.read(model_store.resolve("speech-16k")))


@pytest.fixture(scope="module")
def tools():
    """The tools of web/package-lock.json, whole: npm writes the list of what it has put there last."""
    if not (WEB / "node_modules" / ".package-lock.json").exists():
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=WEB, capture_output=True, text=True)
        if done.returncode and not REQUIRED:
            pytest.skip("npm ci: " + done.stderr[-200:])
        assert done.returncode == 0, done.stderr[-2000:]
    return WEB / "node_modules"


# ------------------------------------------------------------------------------------------------ vectors
@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_vector_in_python(row, codec):
    data = (VECTORS / f"{row['name']}.grit").read_bytes()
    if row["outcome"] == "refused":
        with pytest.raises(gritcodec.GritcodecError):
            codec.decompress(data, strict=False)
        return
    assert json.loads(json.dumps(make.view_of(data, codec.contexts))) == row["files"]
    plays = row.get("plays")
    sound, rate = codec.decompress(data[:plays], strict=False)
    assert sound.shape[1] == row["samples"]
    if row["outcome"] != "damaged":
        codec.decompress(data[:plays], strict=True)
    if "tolerance" in row:
        with wave.open(str(VECTORS / f"{row['name']}.wav")) as file:
            assert file.getframerate() == rate
            known = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, len(sound)).T / 32767
        assert np.abs(np.clip(sound, -1, 1) - known).max() < row["tolerance"]


def test_files_that_no_encoder_makes_in_python(codec, tmp_path):
    with tarfile.open(VECTORS / make.CONTAINER) as archive:
        archive.extractall(tmp_path, filter="data")
    rows = json.loads((VECTORS / "container.json").read_text(encoding="utf-8"))
    assert sorted(row["name"] for row in rows) == sorted(path.name for path in tmp_path.iterdir())
    for row in rows:
        data = (tmp_path / row["name"]).read_bytes()
        assert json.loads(json.dumps(make.view_of(data, codec.contexts))) == row["files"], row["name"]


def test_every_vector_is_listed():
    names = {row["name"] for row in ROWS}
    assert {path.stem for path in VECTORS.glob("*.grit")} == names
    assert {path.stem for path in VECTORS.glob("*.wav")} == {row["name"] for row in ROWS if "tolerance" in row}
    assert sum(path.stat().st_size for path in VECTORS.iterdir() if path.is_file()) < 600_000
    # docs/conformance.md says of each which rule it is for.
    table = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8").split("## Which rules they cover")[1]
    told = set(re.findall(r"`([\w-]+)`", table))
    assert {name for name in names if not name.startswith("hurt-")} <= told
    assert {name for name in told if name.startswith(("hurt-", "refused-"))} - {"hurt-"} <= names


@needs_node
def test_vectors_in_javascript(weights, tmp_path):
    with tarfile.open(VECTORS / make.CONTAINER) as archive:
        archive.extractall(tmp_path, filter="data")
    environment = {**os.environ, "GRIT_WEIGHTS": str(weights), "GRIT_CONTAINER": str(tmp_path)}
    out = run(NODE, "--test", WEB / "test" / "vectors.test.mjs", env=environment)
    assert "# fail 0" in out and "# skipped 0" in out


@needs_node
def test_arguments_in_javascript(weights, codec, tmp_path):
    sound = soundfile.read(ROOT / "gritcodec" / "clips" / "austen.flac", dtype="float32", frames=60_000)[0]
    data = codec.compress(sound[None], 16_000, bitrate=3)
    (tmp_path / "in.grit").write_bytes(data)
    environment = {**os.environ, "GRIT_WEIGHTS": str(weights), "GRIT_FILE": str(tmp_path / "in.grit")}
    run(NODE, "--test", WEB / "test" / "arguments.test.mjs", env=environment)


# ------------------------------------------------------------------------------------------------ files
def signals():
    speech, rate = soundfile.read(ROOT / "gritcodec" / "clips" / "austen.flac", dtype="float32")
    assert rate == 16_000
    speech = speech[None]
    quiet = np.concatenate([speech, np.zeros((1, 30_000), np.float32), 0.3 * speech], axis=1)
    return {
        "3 kbps": (speech, 3),
        "7 kbps": (speech[:, :50_001], 7),
        "0.5 kbps": (speech[:, :20_000], 0.5),
        "a budget, and a pause": (quiet, 2.2),
        "stereo": (np.concatenate([speech, speech[:, ::-1]])[:, :30_000], 1.5),
        "one sample": (speech[:, :1], 3),
        "nothing": (speech[:, :0], 3),
    }


@needs_node
@pytest.mark.parametrize("name", signals())
def test_its_files_are_this_packages_byte_for_byte(name, codec, weights, tmp_path):
    sound, kbps = signals()[name]
    sound.astype("<f4").tofile(tmp_path / "in.f32")
    arguments = (tmp_path / "in.f32", len(sound), 16_000, kbps, tmp_path / "out.grit")
    run(NODE, WEB / "test" / "code.mjs", *arguments, env={**os.environ, "GRIT_WEIGHTS": str(weights)})
    made = codec.compress(sound, 16_000, bitrate=kbps)
    assert (tmp_path / "out.grit").read_bytes() == made


@needs_node
@pytest.mark.parametrize(
    ("frames", "chain"),
    [
        (1, True),
        *(pytest.param(*way, marks=pytest.mark.slow) for way in ((4, True), (1, False), (15, True), (16, False))),
        (64, False),
    ],
)
def test_its_live_streams_are_this_packages_byte_for_byte(frames, chain, codec, weights, tmp_path):
    sound, _ = signals()["a budget, and a pause" if frames in (1, 64) else "stereo"]
    sound.astype("<f4").tofile(tmp_path / "in.f32")
    arguments = (tmp_path / "in.f32", len(sound), 16_000, 2.2, frames, "chain" if chain else "", tmp_path / "out.grit")
    run(NODE, WEB / "test" / "send.mjs", *arguments, env={**os.environ, "GRIT_WEIGHTS": str(weights)})
    encoder = codec.stream_encoder(16_000, len(sound), bitrate=2.2, packet_frames=frames, chain=chain)
    pieces = []
    for at in range(0, sound.shape[1], 4_000):
        pieces += encoder.push(sound[:, at : at + 4_000])
        if at == 8_000:
            pieces.append(encoder.mark("h\u00e9re"))
    assert (tmp_path / "out.grit").read_bytes() == b"".join(pieces + encoder.flush())


@needs_node
@pytest.mark.parametrize("kbps", [*(pytest.param(kbps, marks=pytest.mark.slow) for kbps in (0.5, 2.7)), 1.5])
def test_it_peels_as_truncate_does(kbps, codec, tmp_path):
    sound, _ = signals()["a budget, and a pause"]
    for name, data in {
        "long": codec.compress(sound, 16_000, bitrate=3),
        "short": codec.compress(sound[:, :90_000], 16_000),
        "short, in packets of 80 ms": codec.compress(sound[:, :90_000], 16_000, packet_frames=4),
    }.items():
        plain = building.as_plain(codec, data)
        kinds = {"coded": data, "plain": plain, "live": building.live(codec, sound, bitrate=4)}
        for kind, each in kinds.items():
            (tmp_path / "in.grit").write_bytes(each)
            run(NODE, WEB / "test" / "peel.mjs", tmp_path / "in.grit", kbps, tmp_path / "out.grit")
            assert (tmp_path / "out.grit").read_bytes() == bitstream.truncate(each, kbps), (name, kind)


# ------------------------------------------------------------------------------------------------ what is built
@needs_node
def test_the_shipped_page_is_what_the_sources_make():
    assert "compared" in run(NODE, WEB / "build.mjs", "--check", "--page")


class TestTools:
    pytestmark = with_npm

    def test_tests_of_a_group_stay_with_one_worker(self, request):
        """Browser, npm and bench tests would disturb each other: pytest-xdist 3.8 groups nothing under pytest 9.2."""
        if getattr(request.config.option, "loadgroup", False):
            assert request.node.nodeid.endswith("@npm"), "this pytest-xdist ignores groups: see pyproject.toml"

    def test_the_kernel_is_what_its_sources_make(self, tools):
        assert "kernel and page compared" in run(NODE, WEB / "build.mjs", "--check")

    def test_types(self, tools):
        run(NODE, tools / "typescript" / "bin" / "tsc", "-p", WEB, "--noEmit")

    @pytest.mark.slow
    def test_the_packed_package_in_an_empty_project(self, tools, tmp_path):
        environment = {**os.environ, "PYTHON": sys.executable, "npm_config_loglevel": "error"}
        run("npm", "pack", "--pack-destination", tmp_path, cwd=WEB, env=environment)
        (packed,) = tmp_path.glob("gritcodec-*.tgz")
        assert packed.name == f"gritcodec-{gritcodec.__version__}.tgz"
        project = tmp_path / "project"
        project.mkdir()
        (project / "package.json").write_text(
            '{"name": "empty", "version": "1.0.0", "private": true, "type": "module"}'
        )
        run("npm", "install", packed, "--offline", "--no-audit", "--no-fund", cwd=project, env=environment)
        (project / "play.mts").write_text(
            "import fs from 'node:fs'\n"
            "import { load, readAll, toWav, type Header, type Sound } from 'gritcodec'\n"
            "const at = (name: string) => new Uint8Array(fs.readFileSync(new URL(import.meta.resolve(name))))\n"
            "const codec = await load(at('gritcodec/weights/player.safetensors'))\n"
            "const bytes = new Uint8Array(fs.readFileSync(process.argv[2]))\n"
            "const sound: Sound & { report: string[] } = codec.decompress(bytes)\n"
            "const header: Header = readAll(bytes)[0].header\n"
            "console.log(sound.channels[0].length, header.stages, toWav(sound).length, sound.report.length)\n"
        )
        settings = ("--module", "nodenext", "--target", "es2022", "--strict", "--skipLibCheck", "false")
        types = ("--types", "node", "--typeRoots", tools / "@types")
        run(NODE, tools / "typescript" / "bin" / "tsc", *settings, *types, project / "play.mts", cwd=project)
        assert run(NODE, project / "play.mjs", VECTORS / "entropy.grit").split()[0] == "8000"


# ------------------------------------------------------------------------------------------------ the page's files
def test_the_page_is_written(tmp_path):
    out = tmp_path / "page"
    written = write(out)
    assert sorted(written) == sorted(path for path in out.rglob("*") if path.is_file())
    # Samples are taken when they are played.
    assert sum(path.stat().st_size for path in written if path.parent.name != "samples") < 25_000_000
    index = (out / "index.html").read_text()
    for path in (out / "weights").iterdir():
        assert f"weights/{path.name}" in index
    worker = (out / "sw.js").read_text()
    names = json.loads(next(line for line in worker.splitlines() if line.startswith("const FILES")).partition("=")[2])
    assert all((out / name).exists() for name in names)
    assert [name for name in names if name.startswith("samples/")] == ["samples/list.json"]
    assert '"gritcodec/kernel-bytes.js"' in worker and "@" not in index.split("<body")[1].split(">")[0]
    for name in written:
        if name.suffix in (".js", ".html", ".css"):
            assert "http://" not in name.read_text() and "https://" not in name.read_text(), name
    with pytest.raises(UsageError, match="--force"):
        write(out)
    packed = {path.name.partition("-")[0]: path.read_bytes() for path in (out / "weights").glob("*.safetensors.gz")}
    plain = page_weights.files(model_store.read(model_store.resolve("speech-16k")))
    assert {f"{name}.safetensors": gzip.decompress(data) for name, data in packed.items()} == plain
    assert sum(map(len, packed.values())) < 0.92 * sum(map(len, plain.values()))
    (out / "weights" / "player-00000000.safetensors").write_bytes(b"old")
    (out / "mine.txt").write_bytes(b"mine")
    assert sorted(write(out, overwrite=True)) == sorted(written)
    assert not (out / "weights" / "player-00000000.safetensors").exists() and (out / "mine.txt").exists()


def test_samples_cost_what_is_said_and_ours_are_of_this_codec(codec):
    """After a new model `python benchmarks/page_samples.py` makes them anew."""
    made = contents()
    samples = {name.partition("/")[2]: data for name, data in made.items() if name.startswith("samples/")}
    rows = {row["file"]: row for row in json.loads(samples.pop("list.json"))}
    assert set(rows) == set(samples) and sum(map(len, samples.values())) < 600_000
    clip, rate = soundfile.read(io.BytesIO(samples["original.flac"]), dtype="float32")
    for name, data in samples.items():
        row = rows[name]
        assert row["kbps"] == pytest.approx(8 * row["bytes"] / len(clip) * rate / 1000, abs=0.006)
        if name.endswith(".grit"):
            kbps = float(name.removeprefix("gritcodec-").removesuffix(".grit"))
            assert len(data) == row["bytes"] and data == codec.compress(clip, rate, bitrate=kbps)
        else:
            assert len(soundfile.read(io.BytesIO(data))[0]) == len(clip)


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        write(tmp_path / "file")
    with pytest.raises(ModelError, match="no model"):
        contents("no-such-model")


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not empty, and holds no page"):
        write(out)
    assert [path.name for path in out.iterdir()] == ["index.html"]
    write(out, overwrite=True)
    with pytest.raises(UsageError, match="there is a page in"):
        write(out)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="root of the file system"):
            write("/", overwrite=overwrite)


def test_caches_of_other_pages_are_left_alone():
    # Names begin with the folder, and a space, which no address has: one page's are never another's.
    worker, service = ((WEB / "page" / name).read_text() for name in ("worker.js", "sw.js"))
    assert "`gritcodec ${self.registration.scope} `" in service and "name.startsWith(MINE)" in service
    assert "`gritcodec ${new URL('.', self.location.href).href} weights`" in worker


def test_the_page_for_a_server_in_python():
    found = serve.find("speech-16k", "")
    assert found is not None and found[0].startswith(b"<!doctype html>") and found[1] == "text/html"
    assert serve.find("speech-16k", "gritcodec/index.js")[1] == "text/javascript"
    assert serve.find("speech-16k", "../secret") is None
    assert serve.is_playable("speech-16k") and not serve.is_playable("no-such-model")


def test_the_command_beside_the_verb(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["page", "--weights", str(tmp_path / "weights")])
    page_command.main()
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == [
        "encoder.safetensors",
        "player.safetensors",
    ]
