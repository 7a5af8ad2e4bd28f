# Everything below works on a fresh machine: the environment is made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench fidelity test-gpu clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install -qq -e '.[test,czi]'
	touch $@

demo: $(STAMP)
	$(BIN)/fastseg segment tests/data/stacks/nuclei.tif -w docs/workflows/nuclei_dna.yaml \
		--spacing 0.29,0.26,0.26 -o demo-output --preview --overwrite
	$(BIN)/fastseg segment tests/data/stacks/yeast_mito_t00.ome.tif -w docs/workflows/mitochondria_yeast.yaml \
		-o demo-output --preview --overwrite
	@echo
	@echo "Masks and previews are in demo-output/. Look at:"
	@ls demo-output/*.png

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# On a CUDA machine, with the Python that has the GPU packages; nothing is installed: `make test-gpu PYTHON=python3`.
# Results are saved case by case in bench/results/<device>/; BENCH='--minutes 20' ends in time, BENCH=--resume goes on.
test-gpu:
	$(PYTHON) -m tests.gpu
	$(PYTHON) -m pytest -m gpu tests/gpu; tests=$$?; \
		$(PYTHON) -m bench --device cuda --no-peers $(BENCH) && exit $$tests

# Options after BENCH, as in: make bench BENCH='--groups operators --only Gaussian'
bench: $(STAMP)
	$(BIN)/python -m pip install -qq -e '.[bench]'
	$(BIN)/python -m bench $(BENCH)

fidelity: $(STAMP)
	$(BIN)/python -m bench.fidelity

clean:
	rm -rf .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist demo-output *.egg-info
