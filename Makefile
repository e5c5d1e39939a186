# make book   build the book and say where to open it
# make test   run every test, and every notebook against its stored outputs
# The rest is listed by `make help`.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
HTML := _build/html/index.html
# What the package's own tests must cover, to the share that pyproject.toml names.
PACKAGE := softmax_ref tests/softmax_ref

.DEFAULT_GOAL := help
.PHONY: help book test site-test notebooks lint serve clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

$(READY): requirements.txt pyproject.toml tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py

book: $(READY) ## run the quick experiments, build the HTML, print where to open it
	@$(BIN)/python -m experiments sweep quick --workers 2
	@$(BIN)/jupyter-book build . --warningiserror --keep-going --quiet \
		|| { rm -rf _build/.doctrees; exit 1; } # or the next build would forget the warnings
	@echo "The book: file://$(CURDIR)/$(HTML)"

# Two workers: with the threads of BLAS and torch on top, they would wait for each other.
test: export OMP_NUM_THREADS := 1
test: $(READY) ## pytest (unit, property, doctest, claim, hygiene, coverage) and nbval on every notebook
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PACKAGE) --cov
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PACKAGE:%=--deselect=%) --nbval --nbval-current-env

site-test: $(READY) ## open the built book in Chromium: offline, both widths, both themes
	$(BIN)/python -m pytest -n 2 tests/site

notebooks: $(READY) ## re-execute every notebook and rewrite it in normal form
	$(BIN)/python tools/notebooks.py

lint: $(READY) ## ruff on code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

serve: ## serve the built book at http://localhost:8000
	$(BIN)/python -m http.server 8000 --directory _build/html

clean: ## remove what was built, run and installed
	rm -rf _build runs .venv .pytest_cache .ruff_cache .hypothesis softmax_checked.egg-info
