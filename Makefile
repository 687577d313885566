PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DATA   ?= ../shared/data
SECONDS ?= 600
EXTRAS := viz transformers onnx openvino train docs dev

.PHONY: setup demo docs quick test check fuzz benchmarks benchmarks-association benchmarks-images benchmarks-video lock clean

setup: $(READY)  ## make .venv with the package, its extras and the tools of the tests

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Expected Python 3.11 or newer, got {v.major}.{v.minor}. Name one: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $(READY)

demo: $(READY)  ## track a real video with the model in the package; write tracks, an overlay video, the association graph, a page to look at it and a table
	$(BIN)/python experiments/run_vis.py --source docs/clips/dog_person.mp4 --output out/demo --save-graph
	$(BIN)/tltm-graph view out/demo
	$(BIN)/tltm-graph convert out/demo/tracks.json out/demo/tracks.csv --to csv

check: $(READY)  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## build the pages in out/docs, and run every example in them
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs out/docs
	@echo 'open out/docs/index.html'

quick: $(READY)  ## the fast tests, in under two minutes on two cores
	$(BIN)/python -m pytest -n auto -q -m "not slow"

test: check  ## everything CI runs
	$(BIN)/python -m pytest -n auto

fuzz: $(READY)  ## run every command on mutated files for SECONDS
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

benchmarks: $(READY)  ## print the tables of docs/benchmarks.md and of the pages it names
	$(BIN)/python benchmarks/transition_gnn.py
	$(BIN)/python benchmarks/tracking_overhead.py
	$(BIN)/python benchmarks/saved_graph.py
	$(BIN)/python benchmarks/viewer.py
	$(BIN)/python benchmarks/stream_memory.py
	$(BIN)/python benchmarks/identities.py
	$(BIN)/python benchmarks/parity.py
	$(BIN)/python benchmarks/online_step.py
	$(BIN)/python benchmarks/real_video.py
	$(BIN)/python benchmarks/precision.py
	$(BIN)/python benchmarks/moving_shapes.py
	$(BIN)/python benchmarks/tltm_tiny.py
	$(BIN)/python benchmarks/res_fuser.py
	$(BIN)/python benchmarks/training_data.py
	$(BIN)/python benchmarks/still_image_training.py
	$(BIN)/python benchmarks/training_throughput.py
	$(BIN)/python benchmarks/metric_speed.py
	$(BIN)/python benchmarks/davis.py
	$(BIN)/python benchmarks/annotation_memory.py
	$(BIN)/python benchmarks/round_trips.py

benchmarks-association: $(READY)  ## compare the association with other trackers on the detections in DATA
	$(BIN)/python -m pip install --quiet --no-deps trackers==2.6.1 norfair==2.1.1 filterpy==1.4.5
	$(BIN)/python benchmarks/association.py --data $(DATA)

benchmarks-images: $(READY)  ## score the model in the package on the images in DATA
	$(BIN)/python benchmarks/still_images.py --images $(DATA)/coco_subset

benchmarks-video: $(READY)  ## measure fusion, re-identification and tracks of the model in the package on the videos in DATA
	$(BIN)/python -m benchmarks.fusion --data $(DATA)
	$(BIN)/python -m benchmarks.reidentification --data $(DATA)
	$(BIN)/python -m benchmarks.real_tracking --data $(DATA)

lock:  ## update requirements.lock: exact versions of all packages, with the hashes of their files
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11.5 --generate-hashes --no-header --no-annotate $(EXTRAS:%=--extra %) --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) out docs/gallery .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
