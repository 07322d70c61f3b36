# Two commands are enough: `make demo` shows what Karbor does, `make test` proves it.
# Both install what they need (Debian packages, two Python environments) and start a real
# OpenStack on a loopback address; `make cloud-down` stops it.

PYTHON ?= python3
DEVCLOUD := $(PYTHON) -m dev.devcloud
DEMO_SERVICES := keystone,glance,swift,cinder,placement,neutron,nova
TEST_SERVICES := $(DEMO_SERVICES),barbican,manila

.DEFAULT_GOAL := help
.PHONY: help cloud-up cloud-down cloud-status venv test test-fast lint demo endurance bench-credentials
.PHONY: bench-api bench-requests bench-vault config-sample bare postgresql service-up service-down service-status

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- the development cloud
cloud-up:  ## start it, or change it: SERVICES= TOKEN_EXPIRATION= ALLOW_EXPIRED_WINDOW= TOKEN_CACHE_TIME=
	@$(DEVCLOUD) up \
	  $(if $(SERVICES),--services $(SERVICES)) \
	  $(if $(TOKEN_EXPIRATION),--token-expiration $(TOKEN_EXPIRATION)) \
	  $(if $(ALLOW_EXPIRED_WINDOW),--allow-expired-window $(ALLOW_EXPIRED_WINDOW)) \
	  $(if $(TOKEN_CACHE_TIME),--token-cache-time $(TOKEN_CACHE_TIME)) \
	  $(if $(POSIX_BACKUP),--posix-backup)

cloud-down:  ## stop it; WIPE=1 removes its state too
	@$(DEVCLOUD) down $(if $(WIPE),--wipe)

cloud-status:  ## what runs, and how much memory it takes
	@$(DEVCLOUD) status

# ---------------------------------------------------------------- Karbor as a service of it
service-up: venv  ## Karbor as a service of the development cloud, registered in its Keystone
	@$(DEVCLOUD) up --services $(DEMO_SERVICES)
	@.venv/bin/python -m dev.service up

service-down:  ## stop it; what is under way goes on with the next start
	@.venv/bin/python -m dev.service down

service-status:  ## whether it runs, and where
	@.venv/bin/python -m dev.service status

# ---------------------------------------------------------------- Karbor's own environment
venv: .venv/complete  ## Karbor and its development tools in .venv

# uv is several times quicker; pip knows ways to the packages that uv may not
.venv/complete: pyproject.toml $(wildcard constraints.txt)
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/pip install -q --disable-pip-version-check uv
	@.venv/bin/uv pip install -q --python .venv/bin/python -e '.[dev]' -e testing $(addprefix -c ,$(wildcard constraints.txt)) || \
	  .venv/bin/pip install -q --disable-pip-version-check -e '.[dev]' -e testing $(addprefix -c ,$(wildcard constraints.txt))
	@touch $@

# ---------------------------------------------------------------- what to do with it
test: venv postgresql  ## all tests, those on the cloud included
	@$(DEVCLOUD) up --services $(TEST_SERVICES) --token-expiration 3600 --allow-expired-window 172800 --token-cache-time 300
	@.venv/bin/pytest -n 4 --dist loadscope --no-loadscope-reorder

test-fast: venv postgresql  ## the tests that need no cloud
	@.venv/bin/pytest --ignore=tests/cloud --ignore=tests/compat

postgresql:  ## the PostgreSQL that tests start, installed from Debian; no daemon of it is started
	@$(DEVCLOUD) postgresql

bare:  ## `make demo` and `make test` of HEAD on a machine with nothing but Debian 12
	@$(PYTHON) -m dev.bare $(if $(KEEP),--keep)

config-sample: venv  ## etc/karbor/karbor.conf.sample anew, from karbor/config
	@.venv/bin/oslo-config-generator --config-file etc/karbor/config-generator.conf

lint: venv  ## ruff, mypy, import floors
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

demo: venv  ## protect, destroy and restore an application, with tokens that live 15 seconds
	@$(DEVCLOUD) up --services $(DEMO_SERVICES) --token-expiration $(or $(TOKEN_EXPIRATION),15)
	@.venv/bin/python -m dev.demo

# The lifetimes are those that the run begins and ends with; in between they are its own.
endurance: venv  ## 20 protects and 20 restores of five minutes at once, with tokens that live 30 seconds
	@$(DEVCLOUD) up --services $(DEMO_SERVICES) --token-expiration 3600 --allow-expired-window 172800 --token-cache-time 300
	@.venv/bin/python -m dev.endurance

bench-api: venv  ## what requests to the REST API cost, beside a bare application
	@.venv/bin/python -m dev.benchmarks.api

bench-requests: venv  ## what a protect of 50 servers with two volumes each sends to the cloud
	@.venv/bin/python -m dev.benchmarks.requests

bench-vault: venv  ## what storing a disk costs, beside borg and restic; MIB= REPEATS=
	@command -v borg restic >/dev/null || apt-get install -y -qq --no-install-recommends borgbackup restic >/dev/null
	@.venv/bin/python -m dev.benchmarks.vault $(if $(MIB),--mib $(MIB)) $(if $(REPEATS),--repeats $(REPEATS))

bench-credentials: venv  ## what speaking for a user costs; LIVES= of service tokens (2: five minutes)
	@$(DEVCLOUD) up --services keystone --token-expiration 300
	@.venv/bin/python -m dev.benchmarks.credentials $(if $(LIVES),--lives $(LIVES))
