# The commands of README.md. They need Python 3.11 or later, git and make; everything else goes into .venv/.
PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := .venv/bin/uv pip compile pyproject.toml --quiet --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock'

# Where this is set (images for containers do), every process would compile all of our code again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check bench soak lock schema format clean

run: .venv/.installed  ## the whole product on http://127.0.0.1:$PORT (8000), until Ctrl-C
	@$(PY) -m gamer.dev --end-with-parent

test: .venv/.installed-dev  ## the whole suite on a Postgres of its own
	$(PY) -m pytest -q -n 4 --dist worksteal

check: .venv/.installed-dev  ## style, types, import arrows, migrations, settings, the committed API schema
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	$(PY) manage.py check --fail-level WARNING
	$(PY) manage.py makemigrations --check --dry-run
	@mkdir -p .gamer
	$(PY) manage.py spectacular --validate --fail-on-warn --file .gamer/openapi.yaml
	@diff -u docs/openapi.yaml .gamer/openapi.yaml || { echo "docs/openapi.yaml is not current: make schema"; exit 1; }

bench: .venv/.installed-dev  ## the benchmarks, each beside its reference
	$(PY) -m bench

soak: .venv/.installed-dev  ## the long ones
	$(PY) -m bench --soak

schema: .venv/.installed-dev  ## writes docs/openapi.yaml
	$(PY) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

format: .venv/.installed-dev  ## rewrites the code in the house's style
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: .venv/.installed-dev  ## resolves pyproject.toml into requirements*.txt
	$(LOCK) -o requirements.txt
	$(LOCK) --extra dev -c requirements.txt -o requirements-dev.txt

clean:  ## forgets what was installed and cached; the database and the keys in .gamer/ stay
	rm -rf .venv static .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.txt | .venv/bin/python
	$(PIP) -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(PIP) -r requirements-dev.txt
	@touch $@

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Python 3.11 or later is needed, and there is no '$(PYTHON)'."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed; '$(PYTHON)' is $$($(PYTHON) --version)."; \
		echo "If there is a newer one, name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python has no venv module. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
