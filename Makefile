# SPDX-License-Identifier: LGPL-2.1-or-later
# Two commands for everybody: "make try" and "make check". Building and installing is meson's (README.md).

# Where it is installed from a checkout, as a distribution would: the tests install it into a throw-away system only.
setup = meson setup --prefix=/usr --sysconfdir=/etc --localstatedir=/var --libexecdir=libexec -Dwerror=true
TIER ?= core

help:
	@echo 'make try      build jobmill and watch it work in a throw-away system (as root; nothing of this machine is changed)'
	@echo 'make check    build it and run the tests (as root); TIER=bench measures, TIER=vm boots virtual machines'
	@echo 'make build    build it into build/'
	@echo 'make cockpit  make the page for Cockpit (npm), which is then installed and packaged with the rest'
	@echo 'make shell    a root shell in a throw-away system with it'

build: build/build.ninja
	@ninja -C build

build-asan: build-asan/build.ninja
	@ninja -C build-asan

build-fuzz: build-fuzz/build.ninja
	@ninja -C build-fuzz fuzzers

build-crash: build-crash/build.ninja
	@ninja -C build-crash

build/build.ninja:
	@$(setup) build

build-crash/build.ninja:
	@$(setup) -Dcrash-points=true build-crash

build-asan/build.ninja:
	@$(setup) -Db_sanitize=address,undefined -Db_lundef=false build-asan

build-fuzz/build.ninja:
	@CC=clang $(setup) -Dfuzz=true -Dwerror=false -Dman=disabled -Db_sanitize=address,undefined -Db_lundef=false build-fuzz

# dist/tree: of which committed sources it is, so that no tarball takes an older one.
cockpit:
	@cd cockpit && npm ci --no-progress --loglevel=error && npm run --silent build
	@[ -n "$$(git status --porcelain cockpit)" ] || git rev-parse HEAD:cockpit >cockpit/dist/tree
	@touch cockpit/meson.build

# PATH: meson and the tests want Debian's python3, with Debian's modules.
check try shell: export PATH := /usr/sbin:/usr/bin:/sbin:/bin:$(PATH)

check:
	@packaging/install-deps clients
	@tests/check $(TIER)

try:
	@packaging/install-deps
	@echo 'Building ...'
	@$(MAKE) --no-print-directory build >build.log 2>&1 || { cat build.log; rm -f build.log; exit 1; }
	@rm -f build.log
	@tests/system/boot --build build -- tests/system/try

shell:
	@packaging/install-deps
	@$(MAKE) --no-print-directory build
	@tests/system/boot --build build --shell

.PHONY: help build cockpit build-asan build-crash build-fuzz check try shell
