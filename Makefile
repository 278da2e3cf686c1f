# `make demo` shows statements scored, `make serve` starts the service, `make test` runs the tests.
# All need Python 3.11+, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLONES ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo serve test check train golden wheel clean

demo: $(VENV)/demo.stamp ## Score the examples, read an article
	$(BIN)/detente score data/examples/statements.csv
	$(BIN)/detente read data/examples/article.txt

serve: $(VENV)/serve.stamp ## Start the REST service on this machine, port 8000
	$(BIN)/python -m serve

test: $(VENV)/dev.stamp ## Run the tests
	$(BIN)/python -m pytest -q

check: $(VENV)/dev.stamp ## Lint, types, import rules, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q

train: $(VENV)/dev.stamp ## Build the data, train, export, measure (CLONES=folder of the sources' clones)
	$(BIN)/python -m data.build --out build/data $(if $(CLONES),--clones $(CLONES))
	$(BIN)/python -m train.finetune --config configs/reference.yaml
	$(BIN)/python -m train.finetune --config configs/reference.yaml --set name=second --set output=runs/second --set seed=3 \
	  --set optimiser.learning_rate=1.6e-4 --set data.weights.authored=1.5 --set data.weights.articles=1.5 --set data.neutral_share.dse=0.7
	$(BIN)/python -m train.average runs/reference/model runs/second/model runs/mean
	$(BIN)/python -m train.finetune --config configs/tuned.yaml
	$(BIN)/python -m train.finetune --config configs/tuned.yaml --set name=drop --set output=runs/drop --set start=runs/tuned/model --set seed=5 \
	  --set optimiser.consistency_weight=1 --set optimiser.epochs=0.5 --set optimiser.learning_rate=6.0e-5 --set data.weights.authored=2
	$(BIN)/python -m train.finetune --config configs/tuned.yaml --set name=settled --set output=runs/settled --set start=runs/drop/model --set seed=6 \
	  --set optimiser.consistency_weight=1 --set optimiser.epochs=0.45 --set data.weights.authored=2
	$(BIN)/python -m train.finetune --config configs/tuned.yaml --set name=wide --set output=runs/wide --set start=runs/settled/model --set seed=7 \
	  --set optimiser.epochs=0.5 --set optimiser.learning_rate=5.0e-5
	$(BIN)/python -m train.average runs/drop/model runs/settled/model runs/wide/model runs/steps
	$(BIN)/python -m train.finetune --config configs/reference.yaml --set name=fresh --set output=runs/fresh --set data.weights.authored=1.5
	$(BIN)/python -m train.average runs/fresh/model runs/steps runs/halves
	$(BIN)/python -m train.finetune --config configs/tuned.yaml --set name=whole --set output=runs/whole --set start=runs/halves --set seed=8 \
	  --set optimiser.epochs=1 --set optimiser.learning_rate=1.0e-4
	$(BIN)/python -m train.finetune --config configs/tuned.yaml --set name=firm --set output=runs/firm --set start=runs/whole/model --set seed=9 \
	  --set optimiser.consistency_weight=1 --set optimiser.epochs=0.4 --set optimiser.learning_rate=6.0e-5 --set data.weights.authored=2
	$(BIN)/python -m train.average runs/whole/model runs/firm/model runs/pair
	$(BIN)/python -m train.attribution --config configs/attribution.yaml
	$(BIN)/python -m train.export runs/pair detente/weights
	$(BIN)/python -m train.export --attribution runs/attribution/model detente/weights
	$(BIN)/python -m train.evidence --gold data/articles/evidence.jsonl --model detente/weights
	$(BIN)/python -m train.calibrate --config configs/tuned.yaml --model detente/weights
	$(BIN)/python -m train.evaluate --rows build/data/validation.parquet --out docs/reports/validation.json \
	  --baseline majority --baseline vader
	$(BIN)/python -m train.audit --rows build/data/validation.parquet --out docs/reports/audit.json --page docs/audit.md
	$(BIN)/python -m train.articles --gold data/articles/validation.jsonl data/articles/held_out.jsonl data/articles/held_out_2.jsonl \
	  --attributions build/data/articles.validation.parquet --out docs/reports/articles.json
	$(BIN)/python -m train.card --report docs/reports/validation.json --articles docs/reports/articles.json --out MODEL_CARD.md

golden: $(VENV)/dev.stamp ## Rewrite the golden files and show what changed
	-DETENTE_WRITE_GOLDEN=1 $(BIN)/python -m pytest -q -k golden
	git --no-pager diff --stat -- tests/golden

wheel: $(VENV)/dev.stamp ## Build the wheel
	$(BIN)/python -m build --wheel

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist runs *.egg-info

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[articles]'
	touch $@

$(VENV)/serve.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[serve]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/demo.stamp $(VENV)/serve.stamp
