"""The page of static files in a real browser: what a visitor does, by mouse, keyboard and thumb."""

import dataclasses
import io

import chromium
import numpy as np
import pytest
import soundfile
from web_visitor import give, samples_of, saved, until

from gritcodec import bitstream
from gritcodec.codec.about import About

LIMIT = 25_000_000

pytest_plugins = ["web_fixtures"]
pytestmark = [
    chromium.needed,
    pytest.mark.xdist_group("web"),
]


def test_a_file_plays_and_its_sound_is_the_packages(page, served, codec, made, said):
    give(page, "emma.grit", made)
    assert page.inner_text("#name") == "Emma, <b>chapter</b> 1"
    assert f"{len(made):,} bytes" in page.inner_text("#facts")
    until(page, "Number(document.querySelector('#place').value) > 0.05")
    assert page.inner_text("#play") == "Pause"
    name, data = saved(page, "#wav")
    assert name == "emma.wav"
    heard, expected = samples_of(data), codec.decompress(made)[0]
    assert heard.shape == expected.shape and np.abs(heard - np.clip(expected, -1, 1)).max() < 1e-4
    # Both pictures show something, the codes from the first frame to the last.
    for canvas in ("#wave", "#codes"):
        colours, first, last = page.evaluate(
            "s => { const c = document.querySelector(s); const d = c.getContext('2d').getImageData(0, 0, c.width,"
            " c.height).data; return [new Set(new Uint32Array(d.buffer)).size, d[3], d[4 * c.width - 5]] }",
            canvas,
        )
        assert colours > 2, canvas
        assert canvas == "#wave" or first == last == 255
    # Only once: encoder and kernel included.
    page.wait_for_selector("body[data-offline=yes]", timeout=20_000)
    assert served.bytes < LIMIT
    assert not said


def test_the_bitrate_slider_peels(page, made):
    give(page, "emma.grit", made)
    slider = page.locator("#bitrate")
    slider.fill("1.5")
    until(page, "document.body.dataset.decoded == '2'")
    assert page.inner_text("#kbps") == "1.5 kbps"
    name, peeled = saved(page, "#grit")
    assert name == "emma-1.5kbps.grit" and peeled == bitstream.truncate(made, 1.5)
    assert saved(page, "#wav")[0] == "emma-1.5kbps.wav"
    slider.press("End")
    until(page, "document.body.dataset.decoded == '3'")
    assert saved(page, "#grit") == ("emma.grit", made)


def test_it_records_from_a_microphone(page, codec):
    page.click("#record")
    page.wait_for_selector("#record.on", timeout=20_000)
    page.wait_for_timeout(1500)
    page.click("#record")
    until(page, "document.body.dataset.decoded == '1'")
    name, data = saved(page, "#grit")
    assert name.startswith("recording-") and name.endswith(".grit")
    sound, rate = codec.decompress(data)
    assert 1 < sound.shape[1] / rate < 6
    # The fake microphone beeps.
    assert np.abs(sound).max() > 0.01


def test_a_microphone_that_is_asked_for_late_and_pulled_out(page, codec):
    """Who waits for the browser's question presses again: that asks once. What was recorded is kept."""
    page.evaluate(
        "() => { const { mediaDevices } = navigator, real = mediaDevices.getUserMedia.bind(mediaDevices);"
        " window.asked = 0; mediaDevices.getUserMedia = async (what) => { window.asked++;"
        " await new Promise((go) => { window.answer = go }); return (window.stream = await real(what)) } }"
    )
    page.focus("#record")
    for _ in range(3):
        page.keyboard.press("Enter")
    assert page.inner_text("#record") == "Preparing …" and page.evaluate("document.activeElement.id") == "record"
    page.evaluate("window.answer()")
    page.wait_for_selector("#record.on", timeout=20_000)
    assert page.evaluate("window.asked") == 1
    until(page, "!['', '0:00'].includes(document.querySelector('#recorded').textContent)")
    page.evaluate("window.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    until(page, "document.body.dataset.decoded == '1'")
    assert page.inner_text("#record") == "Record"
    assert codec.decompress(saved(page, "#grit")[1])[0].size


def test_a_microphone_that_is_refused(page):
    page.evaluate(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('Permission denied') }; undefined"
    )
    page.click("#record")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem") == "There is no microphone to record from: Permission denied"
    assert page.inner_text("#record") == "Record" and page.is_enabled("#record")


def test_another_sound_file_becomes_a_grit_file(page, codec, clip):
    out = io.BytesIO()
    soundfile.write(out, clip[0], 16000, format="WAV")
    give(page, "speech.wav", out.getvalue())
    _, data = saved(page, "#grit")
    assert codec.decompress(data)[0].shape[1] == 3 * 48000  # at the rate at which the browser decoded it


def test_a_sound_file_that_cannot_be_coded(page):
    out = io.BytesIO()
    soundfile.write(out, np.full(9_000, np.nan, np.float32), 16000, format="WAV", subtype="FLOAT")
    page.set_input_files("#file", {"name": "none.wav", "mimeType": "", "buffer": out.getvalue()})
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem") == "This cannot become none.grit: a sample that is no number"
    assert not page.is_visible("#progress") and not page.inner_text("#state")


def test_by_keyboard(page, made):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    give(page, "emma.grit", made)
    until(page, "document.querySelector('#play').textContent == 'Pause'")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(" ")
    until(page, "document.querySelector('#play').textContent == 'Play'")
    page.focus("#place")
    before = float(page.input_value("#place"))
    page.keyboard.press("PageUp")
    assert float(page.input_value("#place")) > before
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    assert order == ["play", "bitrate", "wav", "grit", "rate", "record"]
    # By a second, with Shift by five, on the slider and beside it; within the recording.
    position = "Number(document.querySelector('#place').value)"
    for where in ("#place", "#play"):
        page.focus(where)
        page.evaluate("document.querySelector('#place').dispatchEvent(new Event('input'))")
        for key, expected in (("Shift+ArrowLeft", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
            page.keyboard.press(key)
            until(page, f"{position} == {expected}")
        page.keyboard.press("Shift+ArrowRight")
        until(page, f"{position} == 3")
    # The bitrate's own arrows stay its own.
    page.focus("#bitrate")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(position) == 3 and page.inner_text("#kbps") == "3 kbps"


def test_on_a_phone(context, served, made):
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(served.address)
    page.wait_for_selector("body[data-ready=yes]", timeout=30_000)
    give(page, "a-name-that-is-much-longer-than-the-screen-of-a-phone-is-wide-and-has-no-blanks.grit", made)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert all(box["height"] >= 40 for box in (page.locator(b).bounding_box() for b in ("#play", "#wav", "#record")))
    page.close()


def test_on_a_phone_with_all_there_is(context, served, codec, clip):
    page = context.new_page()
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(served.address)
    page.wait_for_selector("#beside:not([hidden]) button", timeout=30_000)
    marks = tuple((1_000 * n, "a name that is long enough to wrap " * 2) for n in range(1, 9))
    give(page, "marks.grit", codec.compress(clip, 16000, about=About(marks=marks)))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert all(button.bounding_box()["height"] >= 40 for button in page.locator("button:visible").all())
    page.close()


def test_marks_and_gain(page, codec, clip):
    about = About(marks=((16_000, "one <i>"), (32_000, ""))).with_tags([])
    give(page, "marks.grit", codec.compress(clip, 16000, about=dataclasses.replace(about, gain=-3.5)))
    assert page.locator("#marks button").all_inner_texts() == ["0:01 one <i>", "0:02"]
    assert "played -3.5 dB" in page.inner_text("#facts")
    page.click("#play")
    until(page, "document.querySelector('#play').textContent == 'Play'")
    page.locator("#marks button").nth(1).click()
    until(page, "Number(document.querySelector('#place').value) == 2")


def test_a_damaged_file(page, made):
    middle = len(made) // 2
    give(page, "hurt.grit", made[:middle] + b"damaged" + made[middle + 7 :])
    assert "damaged" in page.inner_text("#problem") and "lost" in page.inner_text("#problem")
    assert samples_of(saved(page, "#wav")[1]).shape == (1, 48000)
    assert "whole can be peeled" in page.inner_text("#hint") and not page.is_visible("#bitrate")


@pytest.mark.parametrize("kind", ["model", "version", "text"])
def test_a_file_that_cannot_be_played(page, made, kind):
    header = bitstream.read_contents(made).header_bytes
    if kind == "text":
        data = b"no such thing"
    else:
        at, value = (8, made[8] ^ 1) if kind == "model" else (7, 2)
        start = made[:at] + bytes([value]) + made[at + 1 : header - 4]
        data = start + bitstream.crc.crc32c(start).to_bytes(4, "little") + made[header:]
    page.set_input_files("#file", {"name": "x.grit", "mimeType": "application/octet-stream", "buffer": data})
    page.wait_for_selector("#problem:not([hidden])")
    text = {"model": "another model", "version": "version 2", "text": "not a .grit file"}[kind]
    assert text in page.inner_text("#problem") and page.inner_text("#problem").startswith("x.grit")
    assert not page.is_visible("#player")
