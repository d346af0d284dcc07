# Two commands: `make run` hears the codec at work, `make test` runs the checks; `make slow` has those that train for longer.
PYTHON ?= python3
VENV ?= .venv
BITRATE ?= 3
FILE ?= gritcodec/clips/austen.flac
BIN := $(VENV)/bin

.PHONY: run test slow lint evaluate results speed clean

run: $(VENV)/.installed-run
	@mkdir -p runs
	$(BIN)/gritcodec roundtrip "$(FILE)" runs/roundtrip.wav --bitrate $(BITRATE) --force

test: lint
	@# loadgroup: the browser tests share one server and one browser, so they stay together.
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy gritcodec recipes/debian-speech benchmarks
	$(BIN)/mypy recipes/vq-comparison
	$(BIN)/mypy recipes/librispeech
	$(BIN)/mypy recipes/evaluation-sounds
	$(BIN)/mypy recipes/evaluation-words

# The figures of README and of the model card; SET is a folder of clips.
evaluate: $(VENV)/.installed-dev
	$(BIN)/python -m gritcodec.evaluate.protocol "$(SET)" --bitrate 0.5 --bitrate 1.5 --bitrate 3 --bitrate 6

# docs/results.md and its plot: the shipped model and every peer codec on SET; scores already known are not taken again.
SIZE ?= nightly
SOUNDS := data/evaluation-sounds
results: $(VENV)/.installed-dev
	@test -d $(SOUNDS) || $(BIN)/python recipes/evaluation-sounds/prepare.py --out $(SOUNDS)
	@# 3: done, but a measure has no answer for some clip, which the report lists.
	$(BIN)/gritcodec evaluate "$(SET)" --size $(SIZE) --sounds $(SOUNDS) --publish docs \
	  $(if $(wildcard $(SET)/librivox-austen-00.flac),--transcripts benchmarks/eval.trans.txt) \
	  $(if $(wildcard runs/speed.json),--speed runs/speed.json) || test $$? = 3

# Times real time beside other networks, and peak memory; to be run on a machine that does nothing else.
speed: $(VENV)/.installed-dev
	@mkdir -p runs
	$(BIN)/python benchmarks/speed.py --json runs/speed.json

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: pyproject.toml | $(VENV)/bin/python
	@# PESQ is compiled on installation: without a C compiler the codec still works, unmeasured.
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[evaluate]" || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps "resemblyzer==0.1.4" webrtcvad-wheels
	@touch $@ $(VENV)/.installed-run

clean:
	rm -rf $(VENV) build *.egg-info
