# Two commands: `make run` hears the codec at work, `make test` runs every check.
PYTHON ?= python3
VENV ?= .venv
BITRATE ?= 3
FILE ?= gritcodec/clips/austen.flac
BIN := $(VENV)/bin

.PHONY: run test lint evaluate clean

run: $(VENV)/.installed-run
	@mkdir -p runs
	$(BIN)/gritcodec roundtrip "$(FILE)" runs/roundtrip.wav --bitrate $(BITRATE) --force

test: lint
	@# loadgroup: the browser tests share one server and one browser, so they stay together.
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy gritcodec recipes/debian-speech benchmarks
	$(BIN)/mypy recipes/vq-comparison
	$(BIN)/mypy recipes/librispeech

# The figures of README and of the model card; SET is a folder of clips.
evaluate: $(VENV)/.installed-dev
	$(BIN)/python -m gritcodec.evaluate.protocol "$(SET)" --bitrate 0.5 --bitrate 1.5 --bitrate 3 --bitrate 6

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: pyproject.toml | $(VENV)/bin/python
	@# PESQ is compiled on installation: without a C compiler the codec still works, unmeasured.
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[evaluate]" || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.installed-run

clean:
	rm -rf $(VENV) build *.egg-info
