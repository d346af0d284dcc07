"""The page of static files over time: long files, one after the other, several pages, and without a network."""

import base64
import dataclasses
import gzip
import io

import chromium
import numpy as np
import pytest
import soundfile
from web_visitor import Served, give, samples_of, saved, until

from gritcodec import bitstream
from gritcodec.containers import remux
from gritcodec.page.write import write

pytest_plugins = ["web_fixtures"]
pytestmark = [
    chromium.needed,
    pytest.mark.xdist_group("web"),
]


def test_a_long_file_by_seeking(page, codec, made):
    """The page holds no more than seconds of sound ready to play; the rest it fetches from where it was put."""
    data = repeated(codec, made, 40)
    give(page, "long.grit", data)
    until(page, "document.querySelector('#play').textContent == 'Pause'")
    position = "Number(document.querySelector('#place').value)"
    for place in (45, 3, 30, 0.5):
        page.locator("#place").fill(str(place))
        until(page, f"{position} > {place} + 0.1 && {position} < {place} + 20")
    page.locator("#place").fill("51")
    until(page, "document.querySelector('#play').textContent == 'Play'")
    page.click("#play")  # from the beginning
    until(page, f"{position} > 0.1 && {position} < 20")
    heard = samples_of(saved(page, "#wav")[1])
    expected = codec.decompress(data)[0]
    assert heard.shape == expected.shape and np.abs(heard - np.clip(expected, -1, 1)).max() < 1e-4


def repeated(codec, made, times):
    """Return a file with the first packet of another again and again."""
    contents = bitstream.read_contents(made)
    packet = contents.parts[0]
    samples = times * packet.frames * codec.hop_length - 240
    return bitstream.assemble(dataclasses.replace(contents.header, num_samples=samples), [packet] * times)


def test_a_few_bytes_that_stand_for_hours(page, codec, made):
    header = dataclasses.replace(bitstream.parse_header(made)[0], num_samples=4096 * 320 * 600 - 240)
    pauses = [bitstream.Pause(0, 4096, b"", 0)] * 600
    page.set_input_files("#file", {"name": "x.grit", "mimeType": "", "buffer": bitstream.assemble(header, pauses)})
    page.wait_for_selector("#problem:not([hidden])", timeout=60_000)
    assert "longer than this page" in page.inner_text("#problem")


def test_a_file_that_the_address_names_streams(context, served, codec, made):
    page = context.new_page()
    page.goto(served.address + "?file=slow.grit")
    until(page, "document.body.dataset.first !== undefined")
    assert page.evaluate("document.body.dataset.decoded === undefined")
    served.go.set()
    until(page, "document.body.dataset.decoded == '1'")
    assert page.inner_text("#time").endswith("/ 0:03") and page.inner_text("#name").startswith("Emma")
    page.close()


def test_without_a_click_it_says_what_to_do(browser, served, made):
    """Browsers keep silent until there was one; that stands until Play is pressed, however fast all is decoded."""
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    # This browser would let it play: as others, it is to wait for a click.
    page.add_init_script(
        "addEventListener('pointerdown', () => { window.clicked = true }, true);"
        "Object.defineProperty(BaseAudioContext.prototype, 'state',"
        " { get() { return window.clicked ? 'running' : 'suspended' } })"
    )
    page.route("**/talk.grit", lambda route: route.fulfill(body=made))
    page.goto(served.address + "?file=talk.grit")
    until(page, "document.querySelector('#state').textContent == 'Press Play.'")
    until(page, "document.body.dataset.decoded == '1'")
    assert page.inner_text("#state") == "Press Play." and page.inner_text("#play") == "Play"
    page.click("#play")
    until(page, "document.querySelector('#play').textContent == 'Pause'")
    assert not page.inner_text("#state")
    context.close()


def test_a_dropped_file(page, made):
    page.evaluate(
        "bytes => { const data = new DataTransfer(); data.items.add(new File([new Uint8Array(bytes)], 'dropped.grit'));"
        " document.querySelector('#drop').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true})) }",
        list(made),
    )
    until(page, "document.body.dataset.decoded == '1'")
    assert page.is_visible("#player")


def test_the_file_that_comes_last_is_shown(page, codec, clip, made):
    """However fast one comes after the other, and whatever the first one still does."""
    long, sound = repeated(codec, made, 60), io.BytesIO()
    soundfile.write(sound, np.tile(clip[0], 10), 16000, format="WAV")
    for name, data in {"long.grit": long, "sound.wav": sound.getvalue()}.items():
        done = int(page.evaluate("document.body.dataset.decoded ?? 0"))
        page.evaluate(
            "([name, first, last]) => { for (const [n, b] of [[name, first], ['last.grit', last]]) {"
            " const data = new DataTransfer(); data.items.add(new File([Uint8Array.from(atob(b), (c) =>"
            " c.charCodeAt(0))], n)); document.querySelector('#drop').dispatchEvent(new DragEvent('drop',"
            " {dataTransfer: data, bubbles: true})) } }",
            [name, base64.b64encode(data).decode(), base64.b64encode(made).decode()],
        )
        until(page, f"document.body.dataset.decoded == '{done + 1}'")
        # Once more while the first is on its way.
        page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": data})
        give(page, "last.grit", made, done + 2)
        page.wait_for_timeout(300)
        assert page.evaluate("document.body.dataset.decoded") == str(done + 2)
        assert page.inner_text("#time").endswith("/ 0:03") and f"{len(made):,} bytes" in page.inner_text("#facts")
        assert samples_of(saved(page, "#wav")[1]).shape == (1, 48000)
        assert not page.is_visible("#problem") and not page.is_visible("#progress")


def test_two_files_of_two_rates(page, codec, clip, made):
    give(page, "two.grit", made + codec.compress(clip, 44_100, bitrate=3))
    problem = page.inner_text("#problem")
    assert problem.startswith("Not all of it plays") and "it has 1 x 44,100 Hz" in problem
    assert samples_of(saved(page, "#wav")[1]).shape == (1, 48000)


@pytest.mark.parametrize("container", ["ogg", "matroska"])
def test_packets_in_a_container_get_a_hint(page, codec, made, container):
    data = remux.remuxed(io.BytesIO(made), container, lambda _: codec.clock)
    page.set_input_files("#file", {"name": "talk.oga", "mimeType": "", "buffer": data})
    page.wait_for_selector("#problem:not([hidden])")
    assert "gritcodec remux talk.oga talk.grit" in page.inner_text("#problem")


def test_samples_beside_each_other(context, served):
    page = context.new_page()
    page.goto(served.address)
    page.wait_for_selector("body[data-offline=yes]", timeout=30_000)
    page.wait_for_selector("#beside:not([hidden]) button")
    assert len(page.locator("#samples button").all()) == 8
    pressed = "[...document.querySelectorAll('#samples [aria-pressed=true]')].map((b) => b.textContent).join()"
    for button in page.locator("#samples button").all():
        button.click()
        until(page, f"{pressed} == {button.text_content()!r}")
    assert not page.inner_text("#samples-state")
    page.locator("#samples button").nth(7).click()
    until(page, f"{pressed} == ''")
    # A microphone would hear them.
    page.locator("#samples button").nth(1).click()
    until(page, f"{pressed} != ''")
    page.click("#record")
    until(page, f"{pressed} == ''")
    page.wait_for_selector("#record.on", timeout=20_000)
    page.click("#record")
    until(page, "document.body.dataset.decoded == '1'")
    context.set_offline(True)
    try:
        page.reload()
        page.wait_for_selector("#beside:not([hidden]) button", timeout=30_000)
        for number in (0, 1, 7):
            page.locator("#samples button").nth(number).click()
            until(page, f"{pressed} == {page.locator('#samples button').nth(number).text_content()!r}")
    finally:
        context.set_offline(False)
    page.close()


def renamed(folder, name, before="speech-16k"):
    """Make a page one of another model, as far as caches can tell: `name` and other weights."""
    (player,) = (folder / "weights").glob("player-*")
    new = player.with_name(f"player-{name}.safetensors")
    data = player.read_bytes()
    # The page's own are packed; these are not, and are read all the same.
    data = gzip.decompress(data) if player.suffix == ".gz" else data
    new.write_bytes(data.replace(before.encode().ljust(10, b"_"), name.encode().ljust(10, b"_")))
    player.unlink()
    for file in (folder / "index.html", folder / "sw.js"):
        file.write_text(file.read_text().replace(player.name, new.name).replace("VERSION = ", f'VERSION = "{name}" + '))


@pytest.mark.slow
def test_two_pages_of_two_models_on_one_origin(browser, tmp_path, made):
    for name in ("one", "two"):
        write(tmp_path / name)
        renamed(tmp_path / name, name)
    served = Served(tmp_path)
    context = browser.new_context()

    def visit(name, model):
        page = context.new_page()
        page.goto(f"{served.address}{name}/")
        page.wait_for_selector("body[data-offline=yes]", timeout=30_000)
        until(page, f"document.querySelector('#state').textContent == 'Ready: {model.ljust(10, '_')}'")
        give(page, "emma.grit", made)
        kept = page.evaluate(
            "(async () => { const found = []; for (const name of await caches.keys())"
            " for (const request of await (await caches.open(name)).keys()) found.push(request.url);"
            " return found.filter((url) => url.includes('player-')) })()"
        )
        page.close()
        return sorted(url.removeprefix(served.address) for url in kept)

    visit("one", "one")
    assert visit("two", "two") == ["one/weights/player-one.safetensors", "two/weights/player-two.safetensors"]
    context.set_offline(True)
    visit("one", "one")
    visit("two", "two")
    context.set_offline(False)
    # A new release of one: its new worker takes the place of the old one, whose weights go; the other's stay.
    renamed(tmp_path / "one", "three", "one")
    page = context.new_page()
    page.goto(f"{served.address}one/")
    page.wait_for_selector("body[data-offline=yes]", timeout=30_000)
    until(page, "caches.keys().then((names) => names.some((name) => name.includes('/one/ three')))")
    until(page, "navigator.serviceWorker.getRegistration().then((found) => !found.installing && !found.waiting)")
    until(page, "navigator.serviceWorker.getRegistration().then((found) => found.active.state == 'activated')")
    page.close()
    kept = visit("one", "three")
    assert kept == ["one/weights/player-three.safetensors", "two/weights/player-two.safetensors"]
    context.close()
    served.server.shutdown()


def test_offline_after_the_first_visit(context, page, served, made, said):
    page.wait_for_selector("body[data-offline=yes]", timeout=20_000)
    loaded = served.bytes
    context.set_offline(True)
    try:
        again = context.new_page()
        again.goto(served.address)
        again.wait_for_selector("body[data-ready=yes]", timeout=30_000)
        give(again, "emma.grit", made)
        again.click("#record")
        again.wait_for_selector("#record.on", timeout=20_000)
        again.close()
    finally:
        context.set_offline(False)
    assert served.bytes == loaded
    assert not said
