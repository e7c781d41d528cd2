# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every target installs what it misses (tools/setup), and every test is a selection of one pytest tree.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help tune test test-unit test-integration test-molecule test-matrix test-vm chaos bench lint sanity docs-lint \
	pages build lab-up lab-down lab-shell vm-up vm-down requirements clean

EXAMPLE ?= l7_proxy
LAB ?=

BIN := .venv/bin
PYTEST := $(BIN)/pytest
# Twice as many at a time as there are cores: most tests wait for a soak, a guard or a host.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell echo $$((2 * $$(nproc))))

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 18

ifdef INVENTORY
tune: ## Roll examples/EXAMPLE.yml (default l7_proxy) out over the lab, or over your hosts with INVENTORY=path
	@tools/setup tune
	@ANSIBLE_STDOUT_CALLBACK=nettune.kernel.rollout $(BIN)/ansible-playbook playbooks/tune.yml \
		-i "$(INVENTORY)" -e "@examples/$(EXAMPLE).yml" $(ARGS)
else
tune:
	@tools/setup tune lab
	@$(BIN)/python lab/tune.py --example "$(EXAMPLE)" -- $(ARGS)
endif

test: ## Run everything below that tests, side by side; with VM=1 test-vm too
	@tools/setup test lab
	@$(PYTEST) $(ARGS)
	@$(if $(VM),$(MAKE) --no-print-directory test-vm)

test-unit: ## Unit tests, the host half's also on the oldest and newest Python found
	@tools/setup test
	@$(PYTEST) tests/unit tests/checks/test_host_half.py $(ARGS)

test-integration: ## Modules against the real kernel, in network namespaces
	@tools/setup test lab
	@$(PYTEST) tests/integration $(ARGS)

test-molecule: ## Molecule scenarios on lab hosts; one of them with SCENARIO=name
	@tools/setup test lab
	@$(PYTEST) tests/checks/test_molecule.py $(if $(SCENARIO),-k "scenario and $(SCENARIO)") $(ARGS)

test-matrix: ## Scenario default with the oldest ansible-core and Python, and with the newest
	@tools/setup test lab
	@$(PYTEST) -m matrix -n0 tests/checks/test_matrix.py $(ARGS)

test-vm: ## Kernels of their own in virtual machines: reboots, IPVS, the catalogue; also KERNEL_IMAGE=path [MODULES=folder]
	@tools/setup test vm
	@KERNEL_IMAGE="$(KERNEL_IMAGE)" MODULES="$(MODULES)" $(PYTEST) -m vm -n2 tests/vm $(ARGS)

chaos: ## N random failures in trials (default 1000), drawn by SEED; each host must come out old or new
	@tools/setup test lab
	@$(BIN)/python tests/chaos/chaos.py --runs $(or $(N),1000) $(if $(SEED),--seed $(SEED))

bench: ## Measure, with NAME one of the files of bench/ [ARGS]
	@tools/setup test lab
	@$(BIN)/python bench/$(or $(NAME),$(error Name one: make bench NAME=gate, or $(basename $(notdir $(wildcard bench/*.py))))).py $(ARGS)

lint: ## ruff, mypy, yamllint, ansible-lint, changelog
	@tools/setup test
	@$(PYTEST) tests/checks/test_lint.py $(ARGS)

sanity: ## ansible-test sanity
	@tools/setup test
	@$(PYTEST) tests/checks/test_sanity.py $(ARGS)

docs-lint: ## Documentation of every module, plugin and role
	@tools/setup test
	@$(PYTEST) tests/checks/test_docs.py $(ARGS)

pages: ## Write docs/rules and docs/parameters anew, from the rules and the catalogue
	@tools/setup test
	@for kind in rules parameters; do PYTHONPATH=playbooks/collections $(BIN)/python docs/$$kind/generate.py; done

build: ## Build the collection into dist/, and try it installed in an empty directory
	@tools/setup test
	@$(BIN)/ansible-galaxy collection build --force --output-path dist
	@$(PYTEST) tests/checks/test_package.py $(ARGS)

lab-up: ## Bring test hosts up: LAB=nat_front, lvs_dr or plain [HOSTS=number]
	@tools/setup tune lab
	@$(BIN)/python lab/lab.py up $(or $(LAB),$(error Name a lab: make lab-up LAB=nat_front)) $(if $(HOSTS),--hosts $(HOSTS))

lab-down: ## Take them down again [LAB=name]
	@tools/setup tune lab
	@$(BIN)/python lab/lab.py down $(LAB)

lab-shell: ## Open a shell on a test host: HOST=name [LAB=name]
	@tools/setup tune lab
	@$(BIN)/python lab/lab.py shell --host $(or $(HOST),$(error Name a host: make lab-shell HOST=server1)) $(LAB)

vm-up: ## Start a virtual machine: KERNEL=6.1, 5.10 or 6.12, or KERNEL_IMAGE=path [MODULES=folder] [MEMORY=MiB]
	@tools/setup tune vm
	@$(BIN)/python lab/vm up "$(or $(KERNEL_IMAGE),$(KERNEL),$(error Name a kernel: make vm-up KERNEL=6.1))" \
		$(if $(MODULES),--modules "$(MODULES)") $(if $(MEMORY),--memory "$(MEMORY)")

vm-down: ## End it [KERNEL=6.1], or all of this checkout
	@tools/setup tune vm
	@$(BIN)/python lab/vm down $(or $(KERNEL_IMAGE),$(KERNEL))

requirements: ## Resolve requirements/*.in to exact versions again
	@tools/requirements

clean: ## Remove what the other targets made here; a lab goes with lab-down
	@rm -rf .venv .venv-* .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible dist reports tests/output
