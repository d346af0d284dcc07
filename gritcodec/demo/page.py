"""The page itself: Gradio's widgets, and which view answers which of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from gritcodec.demo import markup
from gritcodec.demo.coding import Watch
from gritcodec.demo.views import CLIPS, PAIRS, Views

_HERE = Path(__file__).parent
CSS = (_HERE / "page.css").read_text(encoding="utf-8")
HEAD = f"<script>{(_HERE / 'page.js').read_text(encoding='utf-8')}</script>"
_TITLE = """# gritcodec
Speech in a few kilobits a second. Press play, move the slider, look at the bytes."""
_DEFAULT_CLIP = next(iter(CLIPS))
_DEFAULT_BITRATE = 3.0
_TO_COMPARE = "Press the button: every bitrate of the model, each with its sound, its picture and its price."
_TO_DRAW = "Press the button: the picture of the codes in the file."
_TO_LOSE = "Press the button: packets are taken out of the file at random, and what is left is played."
_TO_TEST = "A and B are two different versions, X is one of them. Can you tell which?"


@dataclass(frozen=True)
class _Top:
    """The widgets above the tabs."""

    clip: Any
    upload: Any
    microphone: Any
    bitrate: Any
    off: Any
    listen: Any
    card: Any


@dataclass(frozen=True)
class _Tabs:
    """The widgets in the tabs, and what each tab shows."""

    compare: Any
    comparison: Any
    pair: Any
    ask: Any
    trial: Any
    is_a: Any
    is_b: Any
    verdict: Any
    percent: Any
    seed: Any
    drop: Any
    loss: Any
    draw: Any
    codes: Any


def _only_uploads(widget: Any) -> Any:
    """Let a widget take what was uploaded here, and nothing else.

    Gradio would copy any file that a forged request names into its cache, and fetch what has an address. (A subclass
    would be tidier, but Gradio writes a stub beside the module of every subclass.)
    """

    async def move(named: str | Path | None) -> str | None:
        if named is None:
            return None
        path = Path(named).resolve()
        if not path.is_relative_to(Path(widget.GRADIO_CACHE).resolve()):
            raise gr.Error("this is no file that was uploaded here")
        return str(path)

    widget.async_move_resource_to_block_cache = move
    return widget


def theme() -> gr.themes.Base:
    """Return the page's colours, with fonts of the visitor's system: none is fetched."""
    fonts = ("system-ui", "sans-serif")
    return gr.themes.Default(
        primary_hue="teal", neutral_hue="slate", font=fonts, font_mono=("ui-monospace", "monospace")
    )


def build(views: Views) -> gr.Blocks:
    """Lay out the page and wire it.

    Args:
        views: what answers.
    """
    with gr.Blocks(title="gritcodec", analytics_enabled=False) as page:
        gr.Markdown(_TITLE, elem_id="title")
        top = _top(views)
        tabs = _tabs()
        _wire_top(page, views, top, tabs)
        _wire_tabs(views, top, tabs)

        def leave(request: gr.Request) -> None:
            views.leave(_key(request))

        page.unload(leave)
    page.queue(max_size=views.limits.waiting, default_concurrency_limit=views.limits.at_once)
    return page


def _top(views: Views) -> _Top:
    rates, limits = views.codec.bitrates, views.limits
    with gr.Row():
        with gr.Column(scale=2, min_width=300), gr.Tabs():
            with gr.Tab("Clips", elem_id="tab-clips"):
                clip = gr.Radio(list(CLIPS), value=_DEFAULT_CLIP, label="Recordings that come with it", elem_id="clips")
            with gr.Tab("Your file", elem_id="tab-upload"):
                upload = gr.File(
                    label=f"Audio (wav, flac, ogg, opus, mp3 ...) or a .grit file; up to "
                    f"{limits.upload_bytes / 1e6:,.0f} MB and {limits.seconds / 60:g} minutes",
                    elem_id="upload",
                    height=150,
                )
            with gr.Tab("Microphone", elem_id="tab-microphone"):
                # No button that would share a recording with a web site.
                microphone = gr.Audio(
                    sources=["microphone"], type="filepath", label="Your voice", buttons=[], elem_id="microphone"
                )
        with gr.Column(scale=3, min_width=300):
            start = _DEFAULT_BITRATE if rates[0] <= _DEFAULT_BITRATE <= rates[-1] else rates[-1]
            bitrate = gr.Slider(
                rates[0], rates[-1], value=start, step=rates[0], label="Bitrate, kbps", buttons=[], elem_id="bitrate"
            )
            with gr.Row(equal_height=True):
                off = gr.Checkbox(label="off: hear the original", elem_id="off", min_width=140)
                listen = gr.Button("Listen", variant="primary", elem_id="listen", min_width=140)
            card = gr.HTML(elem_id="card", min_height=220)
    return _Top(clip, _only_uploads(upload), _only_uploads(microphone), bitrate, off, listen, card)


def _tabs() -> _Tabs:
    with gr.Tabs():
        with gr.Tab("All bitrates", elem_id="tab-compare"):
            compare_button = gr.Button("Compare all bitrates", elem_id="compare")
            comparison = gr.HTML(markup.hint(_TO_COMPARE), elem_id="comparison")
        with gr.Tab("Blind test", elem_id="tab-abx"):
            pair = gr.Radio(list(PAIRS), value=next(iter(PAIRS)), label="Tell apart", elem_id="pair")
            ask = gr.Button("New trial", elem_id="ask")
            trial = gr.HTML(markup.hint(_TO_TEST), elem_id="trial")
            with gr.Row():
                is_a = gr.Button("X is A", elem_id="is-a")
                is_b = gr.Button("X is B", elem_id="is-b")
            verdict = gr.HTML(elem_id="verdict")
        with gr.Tab("Packet loss", elem_id="tab-loss"):
            percent = gr.Slider(0, 50, value=10, step=1, label="Packets lost, %", buttons=[], elem_id="percent")
            seed = gr.State(0)
            drop = gr.Button("Lose packets", elem_id="drop")
            loss = gr.HTML(markup.hint(_TO_LOSE), elem_id="loss")
        with gr.Tab("The codes", elem_id="tab-codes"):
            draw = gr.Button("Draw the codes", elem_id="draw")
            codes = gr.HTML(markup.hint(_TO_DRAW), elem_id="codes")
    return _Tabs(
        compare_button, comparison, pair, ask, trial, is_a, is_b, verdict, percent, seed, drop, loss, draw, codes
    )


def _wire_top(page: gr.Blocks, views: Views, top: _Top, tabs: _Tabs) -> None:
    """Let every way to choose a recording fill the card, and empty what belongs to the recording before it."""
    cleared = [tabs.comparison, tabs.trial, tabs.verdict, tabs.loss, tabs.codes]
    hints = [markup.hint(text) for text in (_TO_COMPARE, _TO_TEST, "", _TO_LOSE, _TO_DRAW)]
    opened = [top.card, top.off, top.bitrate, *cleared]

    def result(card: str, key: str) -> list[Any]:
        rate = views.bitrate_of(key)
        slider = gr.skip() if rate is None else gr.update(value=min(rate, views.codec.bitrates[-1]))
        return [card, False, slider, *hints]

    def open_clip(clip: str | None, bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        key = _key(request)
        return result(views.open_clip(key, clip or "", bitrate, _watch(progress)), key)

    def open_first(bitrate: float, request: gr.Request) -> str:
        # Nothing plays before the visitor has touched the page: browsers would not let it.
        return views.open_clip(_key(request), _DEFAULT_CLIP, bitrate, lambda *_: None, play=False)

    def open_file(path: str | None, bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        if not path:
            return [gr.skip() for _ in opened]
        key = _key(request)
        return result(views.open_upload(key, path, bitrate, _watch(progress)), key)

    def move(bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        return views.listen(_key(request), bitrate, False, False, _watch(progress)), False

    def listen(bitrate: float, off: bool, request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return views.listen(_key(request), bitrate, off, True, _watch(progress))

    # Lanes of their own for what takes no time: they need not wait behind somebody's hour of speech.
    _on(page.load, open_first, [top.bitrate], top.card, lane="first")
    _on(top.clip.input, open_clip, [top.clip, top.bitrate], opened, show_progress_on=top.card)
    _on(top.upload.upload, open_file, [top.upload, top.bitrate], opened, show_progress_on=top.card)
    _on(top.microphone.stop_recording, open_file, [top.microphone, top.bitrate], opened, show_progress_on=top.card)
    _on(
        top.bitrate.input,
        move,
        [top.bitrate],
        [top.card, top.off],
        trigger_mode="always_last",
        show_progress_on=top.card,
    )
    _on(top.off.input, listen, [top.bitrate, top.off], top.card, trigger_mode="always_last")
    _on(top.listen.click, listen, [top.bitrate, top.off], top.card)


def _wire_tabs(views: Views, top: _Top, tabs: _Tabs) -> None:
    def comparison(request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return views.comparison(_key(request), _watch(progress))

    def ask(pair: str, bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        return views.ask(_key(request), pair, bitrate, _watch(progress)), ""

    def answer(says_a: bool) -> Callable[..., str]:
        def judge(request: gr.Request) -> str:
            return views.answer(_key(request), says_a)

        return judge

    def lose(
        bitrate: float, percent: float, seed: int, request: gr.Request, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> Any:  # fmt: skip
        # Another press of the button is another draw.
        return views.loss(_key(request), bitrate, percent, seed, _watch(progress)), seed + 1

    def draw(bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return views.codes(_key(request), bitrate, _watch(progress))

    _on(tabs.compare.click, comparison, [], tabs.comparison)
    _on(tabs.ask.click, ask, [tabs.pair, top.bitrate], [tabs.trial, tabs.verdict], show_progress_on=tabs.trial)
    _on(tabs.is_a.click, answer(True), [], tabs.verdict, lane="answers")
    _on(tabs.is_b.click, answer(False), [], tabs.verdict, lane="answers")
    _on(tabs.drop.click, lose, [top.bitrate, tabs.percent, tabs.seed], [tabs.loss, tabs.seed])
    _on(tabs.draw.click, draw, [top.bitrate], tabs.codes)


def _on(
    event: Callable[..., Any], work: Callable[..., Any], inputs: Any, outputs: Any, lane: str = "codec", **more: Any
) -> None:
    """Wire an event: private, so that there is no API; the events of a lane are worked on a few at a time."""
    event(work, inputs, outputs, api_visibility="private", concurrency_id=lane, **more)


def _key(request: gr.Request) -> str:
    return request.session_hash or ""


def _watch(progress: gr.Progress) -> Watch:
    """Return a callback that moves Gradio's progress bar."""

    def watch(what: str, done: float, total: float | None) -> None:
        progress(
            None if not total else min(done / total, 1.0),
            desc=f"{what}: {done:,.0f}" + (f" of {total:,.0f}" if total else ""),
        )

    return watch
