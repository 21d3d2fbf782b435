PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: test test-memory lint types bench bench-all clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadgroup

# Every problem of the guard-page matrix, not the sample that `make test` takes; minutes to an hour.
test-memory: $(STAMP)
	CONVMARK_TEST_MEMORY=full $(BIN)/python -m pytest -n auto --dist loadgroup -rA tests/test_memory_safety.py

# NETWORK="vgg19 unet" for others than basics and resnet50; ARGS for more, as in `convmark run --help`.
bench: $(STAMP)
	$(BIN)/convmark run $(foreach name,$(NETWORK),--network $(name)) $(ARGS)

bench-all: $(STAMP)
	$(BIN)/convmark run --all $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check kernels suite tests
	$(BIN)/ruff format --check kernels suite tests

types: $(STAMP)
	$(BIN)/mypy kernels suite

clean:
	rm -rf $(VENV)
