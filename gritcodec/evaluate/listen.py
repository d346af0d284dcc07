"""The page of the blind listening test: plays what `trials` says, and hands the answers to it."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from gritcodec import messages
from gritcodec.errors import UsageError
from gritcodec.evaluate import results
from gritcodec.evaluate.trials import MOST_STIMULI, Answers, Material, Trial

_INTRODUCTION = """# Blind listening test
Use headphones. **MUSHRA**: rate every sound from 0 (bad) to 100 (like the reference); one of them *is* the reference.
**ABX**: tell whether X is A or B."""
_SCALE = "0 bad - 20 poor - 40 fair - 60 good - 80 excellent - 100"


def serve(out: Path, port: int) -> None:
    """Serve the test on this machine until it is interrupted; answers go to OUT/listening/answers.csv.

    Raises:
        UsageError: no results, no Gradio, or the port is taken.
    """
    found = results.load(out)
    with messages.needing("demo", "the listening test"):
        prepare_gradio()
    material = Material(found, out)
    try:
        app = build(material, Answers(out))
        try:
            app.launch(
                server_name="127.0.0.1",
                server_port=port,
                allowed_paths=[str(material.folder)],
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise UsageError(f"port {port} is taken: choose another with --port") from error
        print(f"listening test: {app.local_url} (Ctrl-C ends it)", flush=True)
        app.block_thread()
    finally:
        shutil.rmtree(material.folder, ignore_errors=True)
        # Where nobody has answered.
        with suppress(OSError):
            material.folder.parent.rmdir()


def prepare_gradio() -> None:
    """Import Gradio without the looks outside that it takes otherwise."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio  # noqa: F401


class Session:
    """One listener's way through the test; kept in the page's state."""

    def __init__(self, test: str, listener: str, material: Material) -> None:
        """Draw the order."""
        self.id = secrets.token_hex(6)
        self.listener = listener or "anonymous"
        self.steps = material.trials(test, self.id)
        self.place = 0

    @property
    def trial(self) -> Trial | None:
        """Where the listener is; None at the end."""
        return self.steps[self.place] if self.place < len(self.steps) else None


def build(material: Material, answers: Answers) -> Any:
    """Return the Gradio page."""
    import gradio as gr

    with gr.Blocks(title="gritcodec: listening test", analytics_enabled=False) as app:
        gr.Markdown(_INTRODUCTION)
        state = gr.State(None)
        with gr.Row() as start:
            name = gr.Textbox(label="Who listens", max_length=40, elem_id="listener")
            test = gr.Radio(["MUSHRA", "ABX"], value="MUSHRA", label="Test", elem_id="test")
            begin = gr.Button("Start", variant="primary", elem_id="start")
        status = gr.Markdown(elem_id="status")
        # No picture of the waveform: the eye would find the reference among the others.
        look: dict[str, Any] = {
            "interactive": False,
            "buttons": [],
            "waveform_options": {"show_recording_waveform": False},
        }
        reference = gr.Audio(label="Reference", visible=False, elem_id="reference", **look)
        players, sliders = [], []
        for number in range(MOST_STIMULI):
            with gr.Row():
                players.append(gr.Audio(visible=False, elem_id=f"sound-{number}", **look))
                sliders.append(gr.Slider(0, 100, 50, step=1, visible=False, elem_id=f"rating-{number}"))
        choice = gr.Radio(["X is A", "X is B"], label="Which?", visible=False, elem_id="choice")
        after = gr.Button("Next", variant="primary", visible=False, elem_id="next")
        summary = gr.Markdown(elem_id="summary")
        outputs = [state, start, status, reference, *players, *sliders, choice, after, summary]

        def first(kind: str, listener: str) -> list[Any]:
            return show(Session(kind, listener, material), answers)

        def following(session: Session | None, picked: str | None, *ratings: float) -> list[Any]:
            if session is None or session.trial is None:
                return show(session, answers)
            if session.trial.test == "ABX" and picked is None:
                gr.Warning("Choose A or B first.")
                return [session, *[gr.skip() for _ in outputs[1:]]]
            accept(session, answers, picked, list(ratings))
            return show(session, answers)

        begin.click(first, [test, name], outputs, api_visibility="private")
        after.click(following, [state, choice, *sliders], outputs, api_visibility="private")
    return app


def accept(session: Session, answers: Answers, picked: str | None, ratings: list[float]) -> None:
    """Keep the answer to a session's trial and go on to the next."""
    trial = session.trial
    assert trial is not None
    if trial.test == "ABX":
        scores = [float((picked == "X is A") == trial.x_is_reference)]
    else:
        scores = ratings[: len(trial.stimuli)]
    answers.add(session.id, session.listener, trial, scores)
    session.place += 1


def show(session: Session | None, answers: Answers) -> list[Any]:
    """Return what every part of the page becomes, in the order of its outputs."""
    import gradio as gr

    trial = None if session is None else session.trial
    over = session is not None and trial is None
    hidden = gr.update(visible=False, value=None)
    players, sliders = [hidden] * MOST_STIMULI, [gr.update(visible=False)] * MOST_STIMULI
    status, reference, choice = "", hidden, hidden
    if trial is not None and session is not None:
        status = f"**{session.place + 1} of {len(session.steps)}**"
        abx = trial.test == "ABX"
        reference = gr.update(visible=True, value=str(trial.reference), label="A: reference" if abx else "Reference")
        heard = [path for _, path in trial.stimuli]
        labels = [f"Sound {number + 1}" for number in range(len(heard))]
        if abx:
            # X has a file of its own name, or its name would give it away.
            heard, labels = [heard[0], _x(trial)], ["B", "X"]
            choice = gr.update(visible=True, value=None)
        for number, (path, label) in enumerate(zip(heard, labels, strict=True)):
            players[number] = gr.update(visible=True, value=str(path), label=label)
            if not abx:
                sliders[number] = gr.update(visible=True, value=50, label=label, info=_SCALE)
    text = answers.summary() if over else ""
    return [
        session,
        gr.update(visible=session is None or over),
        "Thank you." if over else status,
        reference,
        *players,
        *sliders,
        choice,
        gr.update(visible=trial is not None),
        text,
    ]


def _x(trial: Trial) -> Path:
    source = trial.reference if trial.x_is_reference else trial.stimuli[0][1]
    target = source.with_name(f"{secrets.token_hex(6)}.flac")
    shutil.copyfile(source, target)
    return target
