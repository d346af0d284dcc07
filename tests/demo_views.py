"""What the page's buttons do, without a page: fixtures that its tests share."""

import io

import pytest
import soundfile
from conftest import tone

from gritcodec.codec.codec import load
from gritcodec.demo.limits import Limits
from gritcodec.demo.views import Views
from gritcodec.demo.workspace import Workspace

KEY = "a visitor"


def quiet(*_):
    pass


@pytest.fixture(scope="module")
def codec(tiny_model):
    return load(tiny_model)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    workspace = Workspace()
    yield workspace
    workspace.close()
    assert not list(tmp_path.glob("gritcodec-demo-*"))


@pytest.fixture
def views(codec, workspace):
    return Views(codec, workspace, Limits(upload_bytes=1_000_000, seconds=30, short_seconds=10, excerpt_seconds=2))


@pytest.fixture
def upload(workspace):
    """Put a file where Gradio puts uploads."""

    def put(name, data):
        path = workspace.uploads / "0123" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return str(path)

    return put


def wav(seconds, rate=16000, channels=1):
    output = io.BytesIO()
    soundfile.write(output, tone(channels, int(seconds * rate), rate).T, rate, format="WAV", subtype="PCM_16")
    return output.getvalue()


def published(workspace, html, ending):
    tokens = [part.split("/")[0] for part in html.split("sound/")[1:] if part.split('"')[0].endswith(ending)]
    return workspace.find(tokens[0])[0]
