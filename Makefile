PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := $(VENV)/.peers
TORCH ?= torch==2.13.0

.PHONY: cold-processes faults fleet fuzz growth test test-arm64 test-memory test-peers lint types bench bench-peers bench-all aa clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

$(PEERS): $(STAMP)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,peers]' $(TORCH)
	touch $@

# Threads sleep while they wait: those that spin hold up the other processes that test.
test test-peers: export OMP_WAIT_POLICY = passive

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadgroup

# What other libraries compute, where they are installed.
test-peers: $(PEERS)
	$(BIN)/python -m pytest tests/test_contenders.py tests/test_blocks_suite.py tests/test_torch_semantics.py tests/test_layers.py tests/test_gradients.py tests/test_examples.py

# Every problem of the guard-page matrix, not the sample that `make test` takes; minutes to an hour.
test-memory: $(STAMP)
	CONVMARK_TEST_MEMORY=full $(BIN)/python -m pytest -n auto --dist loadgroup -rA tests/test_memory_safety.py

# NETWORK="vgg19 unet" for others than basics and resnet50; ARGS for more, as in `convmark run --help`.
bench: $(STAMP)
	$(BIN)/convmark run $(foreach name,$(NETWORK),--network $(name)) $(ARGS)

bench-peers: $(PEERS)
	$(BIN)/convmark run $(foreach name,$(NETWORK),--network $(name)) --contender all $(ARGS)

bench-all: $(STAMP)
	$(BIN)/convmark run --all $(ARGS)

# What the regression gate is worth on this machine.
aa: $(STAMP)
	$(BIN)/convmark aa $(ARGS)

# Processes that are killed and interrupted, full disks and clocks that jump, for MINUTES=2 if nothing is said.
faults: $(STAMP)
	$(BIN)/python tests/faults.py $(if $(findstring command,$(origin MINUTES)),--minutes $(MINUTES))

# Eight cold processes that fill one folder of compiled code, on the disk and where every write is delayed.
cold-processes: $(STAMP)
	$(BIN)/python tests/cold_processes.py

# Memory after convolutions of 10,000 shapes; a minute or two.
growth: $(STAMP)
	$(BIN)/python tests/growth.py 10000

# Tests of kernels on aarch64, under qemu-user, in a root of Debian's packages that is made once in .arm64; an hour.
test-arm64: $(STAMP)
	PYTHON=$(BIN)/python tests/arm64.sh

# Drawn problems on every algorithm that takes them; counts are added to results/reliability.md. More threads than most
# machines have, which sleep while they wait: those that spin take a hundred times as long beside other work.
MINUTES ?= 30
fuzz: $(STAMP)
	NUMBA_NUM_THREADS=5 OMP_WAIT_POLICY=passive $(BIN)/python tests/fuzz.py --minutes $(MINUTES)

# A scheduler and three workers as processes: a minute or two.
fleet: $(STAMP)
	CONVMARK_FLEET_TESTS=1 $(BIN)/python -m pytest -p no:xdist tests/test_fleet.py

lint: $(STAMP)
	$(BIN)/ruff check kernels suite tests examples results
	$(BIN)/ruff format --check kernels suite tests examples results
	$(BIN)/codespell kernels suite tests examples README.md CONTRIBUTING.md CHANGELOG.md .github Makefile $(wildcard docs)

types: $(STAMP)
	$(BIN)/mypy kernels suite examples

clean:
	rm -rf $(VENV)
