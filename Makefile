# Everything one can do here; CI runs these and nothing else. All of it stays inside this folder: .venv, build, .cache.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY     := $(BIN)/python
STAMPS := build/stamps

export TMPDIR           := $(CURDIR)/build/tmp
export XDG_CACHE_HOME   := $(CURDIR)/.cache
export PIP_CACHE_DIR    := $(XDG_CACHE_HOME)/pip
export MPLCONFIGDIR     := $(XDG_CACHE_HOME)/matplotlib
export SCIKIT_LEARN_DATA := $(XDG_CACHE_HOME)/scikit_learn_data
export HYPOTHESIS_STORAGE_DIRECTORY := $(XDG_CACHE_HOME)/hypothesis
export CIBW_CACHE_PATH  := $(XDG_CACHE_HOME)/cibuildwheel
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

SOURCES   := $(wildcard csrc/*.* csrc/kern/*.* csrc/simd/*.* src/cbp/*.pyx src/cbp/*.pxd src/cbp/*.pxi)
C_FORMAT   = $(wildcard csrc/*.[ch] csrc/kern/*.[ch] csrc/simd/*.h tests/c/*.[ch] tools/*.c bench/*.c)
SANITIZE  := -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
RACES     := -O1 -g1 -fsanitize=thread -fno-omit-frame-pointer
PIP        = $(PY) -m pip install -q
_         := $(shell mkdir -p build/tmp $(STAMPS))

.PHONY: $(shell awk -F: '/^[a-z][a-z0-9-]*:/ && $$1 != "dist" { print $$1 }' Makefile)
.DELETE_ON_ERROR:

help:           ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "make PYTHON=python3.12 ... chooses the interpreter that .venv is made from"

demo: $(STAMPS)/build           ## train on handwritten digits and show what came out
	$(BIN)/cbp demo

# A process for every processor, the tests of a file in one of them, since they share what is costly to make
PYTEST := $(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder
# C programs are linked with the library's objects as the extension has them, unless a compiler or flags are asked for
ASKED_FOR = $(foreach name,CC CPPFLAGS CFLAGS LDFLAGS CBP_STRICT,$(filter-out default undefined,$(origin $(name))))
READY     = $(if $(strip $(ASKED_FOR)),,CBP_C_OBJECTS=build/objects)
test: $(STAMPS)/group-test      ## every test: C, Python, the examples in docstrings (TESTS="tests/test_io.py -x": those)
	$(READY) $(PYTEST) $(TESTS)

test-c: $(STAMPS)/group-test    ## the C unit tests alone
	$(READY) $(PYTEST) tests/c

test-py: $(STAMPS)/group-test   ## the Python tests alone
	$(PYTEST) --ignore=tests/c

test-core: $(STAMPS)/group-test-core ## the tests that want no other package than NumPy, as wheels and free-threaded Pythons are tested
	$(PYTEST)

test-peers: $(STAMPS)/group-test-peers ## against PyTorch and others, which it installs: optimisers, curvature, modules, ONNX files
	KERAS_BACKEND=torch $(PYTEST) tests/test_*_peers.py tests/test_docs.py -k "peers or pytorch"

# Python without a global lock, its environment, and the tests that are about threads and processes
FREE     := .cache/free-threaded/venv/bin/python
THREADED := $(patsubst %,tests/test_%.py,free_threads snapshot serving threads pool forks flat_memory threads_among_others)
test-free-threaded: $(STAMPS)/free-threaded ## the tests about threads in a Python without a global lock, found here or built
	$(FREE) -m pytest -q -p no:xdist $(THREADED)

test-bits: $(STAMPS)/group-zig  ## one training run in every way that can be built here: the same bits? (BITS=--all: skip none)
	$(PY) tools/same_bits.py $(BITS)

test-machines: $(STAMPS)/group-zig ## the C unit tests with musl, on 64-bit Arm, big-endian s390x and RISC-V in qemu, on Windows in wine (MACHINES=--all, MACHINES=s390x)
	$(PY) tools/test_machines.py $(MACHINES)

test-ulp: clib                  ## the accuracy of exp, log, tanh ... over every float (ULP=16: a sixteenth of them)
	$(CC) -std=c11 -O2 -Icsrc tools/ulp.c build/clib/libcbp.a -lm -lpthread -o build/clib/ulp
	build/clib/ulp $(ULP)

bench: $(STAMPS)/group-bench    ## how fast is cbp here, and the libraries that are installed? (BENCH="full -t 1", BENCH=--help)
	$(PY) bench/run.py $(BENCH)

bench-second-order: $(STAMPS)/group-bench ## how soon do the full-batch methods reach a loss, and those of others? (BENCH="-t diabetes", BENCH=--help)
	$(PY) bench/second_order.py $(BENCH)

bench-estimators: $(STAMPS)/group-bench $(STAMPS)/group-test ## how long do the estimators take, and scikit-learn's own? (BENCH="-r 3", BENCH=--help)
	$(PY) bench/estimators.py $(BENCH)

bench-reference: $(STAMPS)/group-bench ## the same for the page How fast: report, pictures, tables; a quiet quarter of an hour
	$(PY) bench/run.py full -o bench/results $(BENCH)
	$(PY) bench/plot.py
	$(PY) bench/publish.py

bench-peers: $(STAMPS)/group-bench-peers ## install the other libraries for make bench; some are large

fuzz: $(STAMPS)/group-fuzz      ## random files, guided by coverage, through the loaders of models (FUZZ_SECONDS=600)
	$(PY) tools/fuzz_loaders.py $(or $(FUZZ_SECONDS),600)

sanitize: $(STAMPS)/group-test  ## the C unit tests under the address and undefined-behaviour sanitizers
	CBP_QUICK=1 CFLAGS="$(SANITIZE)" $(PYTEST) tests/c

# The thread sanitizer wants memory where older ones expect it: without random addresses, where that may be switched off.
# Left out: what takes long and never starts a thread.
UNRANDOM = $(shell setarch -R true 2>/dev/null && echo setarch -R)
RACED := tests/c $(patsubst %,--ignore=tests/c/test_%.c,online math fma product)
races: $(STAMPS)/group-test     ## the C unit tests under the thread sanitizer
	CBP_QUICK=1 CFLAGS="$(RACES)" CBP_C_WRAPPER="$(UNRANDOM)" \
	  $(PYTEST) $(RACED)

# The interpreter is not instrumented, nor need it be: the sanitizer sees its global lock, a mutex. Left out: tests that
# predict with parameters that another thread is writing, which is allowed, and is what the sanitizer is there to find.
RACES_BUILD := build/races
races-python: $(STAMPS)/races   ## the extension module under the thread sanitizer: eight threads predict, one trains and swaps
	PYTHONPATH=$(RACES_BUILD)/lib OPENBLAS_NUM_THREADS=1 TSAN_OPTIONS=exitcode=66 $(UNRANDOM) \
	  env LD_PRELOAD=$$(gcc -print-file-name=libtsan.so) \
	  $(PY) -m pytest -q -s -p no:xdist tests/test_serving.py tests/test_threads.py -k "not in_training"

lint: $(STAMPS)/group-lint      ## ruff, cython-lint, clang-format, mypy; nothing is changed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src/cbp docs/examples tests
	$(BIN)/clang-format --dry-run -Werror $(C_FORMAT)
	$(BIN)/mypy
	$(BIN)/validate-pyproject pyproject.toml

include packaging/clib.mk

lint-workflows: $(STAMPS)/group-workflows ## actionlint, shellcheck and zizmor on what GitHub runs; nothing is asked of the network
	PATH="$(CURDIR)/$(BIN):$$PATH" actionlint
	$(BIN)/zizmor --offline --persona pedantic --no-progress --quiet .

format: $(STAMPS)/group-lint    ## lay out Python and C as lint wants them
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FORMAT)

docs: $(STAMPS)/group-docs      ## the documentation, into build/docs; warnings are errors
	$(PY) -m sphinx -W --keep-going -q -d build/doctrees docs build/docs

wheels: $(STAMPS)/group-wheel   ## three for Linux and the source distribution, into dist (WHEELS=manylinux-x86_64: that one)
	$(PY) tools/build_wheels.py $(WHEELS)

dist:
	$(MAKE) wheels

check-wheels: dist $(STAMPS)/group-wheel ## is what lies in dist small, complete, as its name says, and free of what does not belong?
	$(PY) tools/check_sdist.py dist/*.tar.gz
	$(PY) tools/check_wheel.py dist/*.whl
	$(BIN)/abi3audit --strict dist/*.whl

test-wheels: dist $(STAMPS)/group-wheel ## the wheel in dist, installed into every Python found: all Python tests (TRY="--python 3.12", TRY=--quick)
	$(PY) tools/test_wheels.py dist $(TRY)

test-wheel-aarch64: dist $(STAMPS)/venv ## the wheel in dist for 64-bit Arm, in Debian's Python for it, run by qemu
	$(PY) tools/test_arm_wheel.py dist

test-wheel-musl: dist $(STAMPS)/group-wheel ## the same for musl, in Pythons that are built with it first
	$(PY) tools/test_wheels.py dist --musl $(TRY)

musl-pythons: $(STAMPS)/venv    ## those Pythons: 3.11, 3.12, 3.13, into .cache/musl
	$(PY) tools/musl_python.py 3.11 3.12 3.13

test-reproducible: dist $(STAMPS)/group-wheel ## does what lies in dist come out the same elsewhere, to the byte? (WHEELS=manylinux-x86_64)
	$(PY) tools/rebuild.py dist $(WHEELS)

try-frozen: $(STAMPS)/group-frozen ## cbp as a program of its own, made by PyInstaller from an installed copy
	$(PY) tools/try_frozen.py

identifiers: $(STAMPS)/group-cibuildwheel ## the wheels that cibuildwheel would build: those that are promised?
	$(PY) tools/identifiers.py

dev: $(STAMPS)/group-dev        ## everything for working on cbp, into .venv

clean:                          ## forget everything that was made here, .venv included
	rm -rf build dist .venv .cache .hypothesis cbp-demo src/*.egg-info src/cbp/_core*.so src/cbp/_core*.pyd docs/reference/generated
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv: pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "cbp needs Python 3.11 or newer; $(PYTHON) is older, or missing. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || \
	  { echo "$(PYTHON) cannot make a virtual environment: install its venv module (on Debian: apt install python3-venv)." >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"
	$(PIP) --group build
	touch $@

$(STAMPS)/build: $(STAMPS)/venv setup.py tools/sbom.py $(SOURCES)
	$(PIP) --no-build-isolation -e ".[demo]"
	touch $@

$(STAMPS)/races: $(STAMPS)/group-test setup.py $(SOURCES)
	CC=gcc CFLAGS="$(RACES)" LDFLAGS=-fsanitize=thread \
	  $(PY) setup.py -q build --build-base $(RACES_BUILD) --build-lib $(RACES_BUILD)/lib
	touch $@

$(STAMPS)/free-threaded: $(STAMPS)/venv setup.py tools/free_threaded.py $(SOURCES)
	$(PY) tools/free_threaded.py .cache/free-threaded/venv
	$(FREE) -m pip install -q --upgrade pip
	$(FREE) -m pip install -q --only-binary :all: --group test-core joblib threadpoolctl
	$(FREE) -m pip install -q --no-build-isolation --no-deps .
	touch $@

# Groups of tools that want no cbp built here
$(addprefix $(STAMPS)/group-,wheel cibuildwheel workflows): $(STAMPS)/group-%: $(STAMPS)/venv
	$(PIP) --group $*
	touch $@

$(STAMPS)/group-%: $(STAMPS)/build
	$(PIP) --group $*
	touch $@
