"""The page itself: Gradio's widgets, and which view answers which of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from gritcodec.demo import markup, opus
from gritcodec.demo.coding import Watch
from gritcodec.demo.views import CLIPS, PAIRS, Views
from gritcodec.sound import endings

_HERE = Path(__file__).parent
CSS = (_HERE / "page.css").read_text(encoding="utf-8")
# Gradio lets a page's CSS reach no further than its widgets: what lies around them is set apart. Where that only
# hides what hangs over, and does not scroll, something within can stay in sight while the page scrolls.
_AROUND = (
    ".gradio-container.gradio-container { overflow: clip; }"
    "@media (max-width: 700px) { .gradio-container .main.app { padding-left: 16px; padding-right: 16px; } }"
)
_SCRIPTS = [(_HERE / name).read_text(encoding="utf-8") for name in ("page.answers.js", "page.js")]
HEAD = f"<style>{_AROUND}</style>" + "".join(f"<script>{script}</script>" for script in _SCRIPTS)
_TITLE = """# gritcodec
Speech in a few kilobits a second. Choose a recording, move the slider, listen."""
_PLAYER = """ [A player that works offline](/player/) is here too."""
# What Gradio tells screen readers, and has no words for.
WORDS = gr.I18n(en={"common.complete": "Done"})
_DEFAULT_CLIP = next(iter(CLIPS))
_DEFAULT_BITRATE = 3.0
_SLIDER = "Bitrate"
_COMPRESSED, _ORIGINAL = "Compressed", "Original"
_LOSSES = (1, 5, 10, 20, 30, 50)
_TO_COMPARE = "Every bitrate of the model and Opus beside them: sounds to switch between, pictures, and a table."
_TO_DRAW = "A picture of all that the decoder is told: the codes in the file."
_TO_LOSE = "Packets are taken out of the file at random, and what is left is played."
_TO_TEST = "A and B are two versions of the recording, X is one of the two. Can you hear which?"

# A bitrate, and a number that makes the same one twice two wishes.
_Wanted = tuple[float, int]


@dataclass(frozen=True)
class _Top:
    """The widgets above the tabs."""

    clip: Any
    upload: Any
    microphone: Any
    bitrate: Any
    number: Any
    notice: Any
    version: Any
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
    answers: Any
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
    """Return the page's colours, dark enough to read, with fonts of the visitor's system: none is fetched."""
    fonts = ("system-ui", "sans-serif")
    return gr.themes.Default(
        primary_hue="teal", neutral_hue="slate", font=fonts, font_mono=("ui-monospace", "monospace")
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        color_accent="*primary_700",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
    )


def build(views: Views, playable: bool = False) -> gr.Blocks:
    """Lay out the page and wire it.

    Args:
        views: what answers.
        playable: whether the page that needs no server is at /player/.
    """
    with gr.Blocks(title="gritcodec", analytics_enabled=False) as page:
        gr.Markdown(_TITLE + (_PLAYER if playable else ""), elem_id="title")
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
    with gr.Row(elem_id="top"):
        with gr.Column(scale=5, min_width=300):
            clip, upload, microphone = _sources(views)
            bitrate, number = _rate(views.codec.bitrates)
            with gr.Row(equal_height=True, elem_id="hear"):
                version = gr.Radio(
                    [_COMPRESSED, _ORIGINAL], value=_COMPRESSED, label="Version", container=False, min_width=210,
                    elem_id="version", elem_classes="segments",
                )  # fmt: skip
                listen = gr.Button("Listen", variant="primary", elem_id="listen", min_width=100)
            # Below the buttons: one that moved away between press and release would miss its click.
            notice = gr.HTML(elem_id="notice")
        with gr.Column(scale=6, min_width=300):
            card = gr.HTML(elem_id="card", min_height=220)
    return _Top(clip, _only_uploads(upload), _only_uploads(microphone), bitrate, number, notice, version, listen, card)


def _sources(views: Views) -> tuple[Any, Any, Any]:
    """The three ways to choose a recording."""
    limits = views.limits
    with gr.Tabs(overflow_behavior="wrap"):
        with gr.Tab("Clips", elem_id="tab-clips"):
            clip = gr.Radio(list(CLIPS), value=_DEFAULT_CLIP, label="Recordings that come with it", elem_id="clips")
        with gr.Tab("Your file", elem_id="tab-upload"):
            gr.HTML(markup.hint(_taken(limits.upload_bytes, limits.seconds)), elem_id="taken")
            upload = gr.File(label="Audio, video or .grit", show_label=False, elem_id="upload", height=130)
        with gr.Tab("Microphone", elem_id="tab-microphone"):
            # No button that would share a recording with a web site.
            microphone = gr.Audio(
                sources=["microphone"], type="filepath", label="Your voice", buttons=[], elem_id="microphone"
            )
    return clip, upload, microphone


def _taken(size: float, seconds: float) -> str:
    """Say which files go in here: what reads m4a and video is an extra."""
    kinds = "wav, mp3, flac, ogg, opus"
    more = (
        f"{kinds}, m4a ..., the sound of mp4, mov and webm video, or .grit"
        if endings.has_av()
        else f"{kinds} or .grit (m4a and video: pip install 'gritcodec[av]')"
    )
    return f"{more}. Up to {size / 1e6:,.0f} MB and {seconds / 60:g} minutes."


def _rate(rates: Sequence[float]) -> tuple[Any, Any]:
    """The slider, and a box to type the number into.

    The slider's own box is hidden: Gradio answers a number out of range with a traceback, and an empty one by coding
    at the lowest bitrate.
    """
    start = _DEFAULT_BITRATE if rates[0] <= _DEFAULT_BITRATE <= rates[-1] else rates[-1]
    with gr.Row(equal_height=True, elem_id="rate"):
        bitrate = gr.Slider(
            rates[0], rates[-1], value=start, step=rates[0], label=_SLIDER, buttons=[], elem_id="bitrate", scale=4,
            min_width=180,
        )  # fmt: skip
        number = gr.Number(start, label="kbps", step=rates[0], elem_id="number", scale=1, min_width=84)
    # What is wrong with a forged one is the views' to say.
    setattr(bitrate, "preprocess", lambda payload: payload)  # noqa: B010 - assigned, mypy takes it for a mistake
    return bitrate, number


def _tabs() -> _Tabs:
    pairs = [pair for pair, names in PAIRS.items() if opus.available() or "Opus" not in names]
    with gr.Tabs(overflow_behavior="wrap", elem_id="views"):
        with gr.Tab("All bitrates", elem_id="tab-compare"):
            compare_button = gr.Button("Compare all bitrates", elem_id="compare")
            comparison = gr.HTML(markup.hint(_TO_COMPARE), elem_id="comparison")
        with gr.Tab("Blind test", elem_id="tab-abx"):
            pair = gr.Radio(pairs, value=pairs[0], label="Tell apart", elem_id="pair")
            ask = gr.Button("New trial", elem_id="ask")
            trial = gr.HTML(markup.hint(_TO_TEST), elem_id="trial")
            with gr.Row(visible=False, elem_id="answers") as answers:
                is_a = gr.Button("X is A", elem_id="is-a", min_width=120)
                is_b = gr.Button("X is B", elem_id="is-b", min_width=120)
            verdict = gr.HTML(elem_id="verdict")
        with gr.Tab("Packet loss", elem_id="tab-loss"):
            percent = gr.Radio(
                [(f"{share} %", share) for share in _LOSSES], value=10, label="Packets lost", elem_id="percent"
            )
            seed = gr.State(0)
            drop = gr.Button("Lose packets", elem_id="drop")
            loss = gr.HTML(markup.hint(_TO_LOSE), elem_id="loss")
        with gr.Tab("Codes", elem_id="tab-codes"):
            draw = gr.Button("Draw the codes", elem_id="draw")
            codes = gr.HTML(markup.hint(_TO_DRAW), elem_id="codes")
    return _Tabs(
        compare_button, comparison, pair, ask, trial, answers, is_a, is_b, verdict, percent, seed, drop, loss, draw,
        codes,
    )  # fmt: skip


def _wire_top(page: gr.Blocks, views: Views, top: _Top, tabs: _Tabs) -> None:
    """Let every way to choose a recording fill the card, and empty what belongs to the recording before it."""
    cleared = [tabs.comparison, tabs.trial, tabs.answers, tabs.verdict, tabs.loss, tabs.codes]
    hints = [markup.hint(_TO_COMPARE), markup.hint(_TO_TEST), gr.update(visible=False), ""]
    hints += [markup.hint(_TO_LOSE), markup.hint(_TO_DRAW)]
    opened = [top.card, top.version, top.bitrate, top.notice, *cleared]

    def result(card: str, key: str) -> list[Any]:
        rate, label = views.bitrate_of(key), _SLIDER + (" per channel" if views.channels_of(key) > 1 else "")
        slider: dict[str, Any] = {"label": label} | ({} if rate is None else {"value": rate})
        return [card, _COMPRESSED, gr.update(**slider), "", *hints]

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

    # Lanes of their own for what takes no time: they need not wait behind somebody's hour of speech.
    _on(page.load, open_first, [top.bitrate], top.card, lane="first")
    _on(top.clip.input, open_clip, [top.clip, top.bitrate], opened, show_progress_on=top.card)
    _on(top.upload.upload, open_file, [top.upload, top.bitrate], opened, show_progress_on=top.card)
    _on(top.microphone.stop_recording, open_file, [top.microphone, top.bitrate], opened, show_progress_on=top.card)
    _wire_rate(views, top)


def _wire_rate(views: Views, top: _Top) -> None:
    """Let slider, number and buttons play the recording at a bitrate."""

    def listen(bitrate: float, version: str, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        return views.listen(_key(request), bitrate, version == _ORIGINAL, _watch(progress)), ""

    def check(bitrate: float, wanted: _Wanted, key: str) -> tuple[str, Any]:
        """Return what there is to say about a bitrate, and what is wanted then, if anything."""
        said = views.refusal(bitrate) or views.postponed(key, bitrate)
        return said, gr.skip() if said else (bitrate, wanted[1] + 1)

    def move(bitrate: float, wanted: _Wanted, request: gr.Request) -> tuple[str, Any]:
        return check(bitrate, wanted, _key(request))

    def type_in(number: float | None, bitrate: float, wanted: _Wanted, request: gr.Request) -> tuple[Any, str, Any]:
        refused = views.refusal(number)
        if refused or number is None or number == bitrate:
            return gr.skip(), refused, gr.skip()
        return number, *check(number, wanted, _key(request))

    def play(wanted: _Wanted, request: gr.Request, progress: gr.Progress = gr.Progress()) -> tuple[str, str]:  # noqa: B008
        return views.listen(_key(request), wanted[0], False, _watch(progress)), _COMPRESSED

    # Two steps: what is not to be coded now must not touch the card, nor wait behind what is.
    wanted = gr.State((_DEFAULT_BITRATE, 0))
    checked = [top.notice, wanted]
    quick = {"lane": "checks", "show_progress": "hidden"}
    _on(top.bitrate.input, move, [top.bitrate, wanted], checked, trigger_mode="always_last", **quick)
    typed = [top.number.submit, top.number.blur]
    _on(partial(gr.on, typed), type_in, [top.number, top.bitrate, wanted], [top.bitrate, *checked], **quick)
    _on(wanted.change, play, [wanted], [top.card, top.version], show_progress_on=top.card)
    # In the browser alone; what is heard is the slider's bitrate, whatever was typed and refused.
    for event in (top.bitrate.change, top.listen.click, top.version.input):
        event(None, [top.bitrate], [top.number], js="bitrate => bitrate", api_visibility="private")
    heard = [top.bitrate, top.version], [top.card, top.notice]
    _on(top.version.input, listen, *heard, trigger_mode="always_last", show_progress_on=top.card)
    _on(top.listen.click, listen, *heard, show_progress_on=top.card)


def _wire_tabs(views: Views, top: _Top, tabs: _Tabs) -> None:
    def comparison(bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return views.comparison(_key(request), bitrate, _watch(progress))

    def ask(pair: str, bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        key = _key(request)
        return views.ask(key, pair, bitrate, _watch(progress)), "", gr.update(visible=views.is_asked(key))

    def answer(says_a: bool) -> Callable[..., Any]:
        def judge(request: gr.Request) -> Any:
            return views.answer(_key(request), says_a), gr.update(visible=False)

        return judge

    def lose(
        bitrate: float, percent: float, seed: int, request: gr.Request, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> Any:  # fmt: skip
        # Another press of the button is another draw.
        return views.loss(_key(request), bitrate, percent, seed, _watch(progress)), seed + 1

    def draw(bitrate: float, request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return views.codes(_key(request), bitrate, _watch(progress))

    asked, judged = [tabs.trial, tabs.verdict, tabs.answers], [tabs.verdict, tabs.answers]
    _on(tabs.compare.click, comparison, [top.bitrate], tabs.comparison)
    _on(tabs.ask.click, ask, [tabs.pair, top.bitrate], asked, show_progress_on=tabs.trial)
    _on(tabs.is_a.click, answer(True), [], judged, lane="answers", show_progress_on=tabs.verdict)
    _on(tabs.is_b.click, answer(False), [], judged, lane="answers", show_progress_on=tabs.verdict)
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
