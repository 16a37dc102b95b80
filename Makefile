# SPDX-License-Identifier: GPL-2.0-or-later
# A thin layer over meson: what a person wants, by name.
BUILD ?= build
prefix ?= /usr/local
DESTDIR ?=
CRIU_LINK ?= 0

# What a fresh Debian 12 lacks: to build, and then to test.
DEPS = gcc libc6-dev meson ninja-build pkg-config libprotobuf-c-dev protobuf-c-compiler libarchive-dev \
	libcmocka-dev python3
TEST_DEPS = criu perl gzip sqlite3 bash util-linux

.PHONY: all deps test-deps demo test bench install sanitize clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	meson setup --prefix=$(prefix) $(BUILD)

# $(call missing,PACKAGES): those of them that are not installed
missing = for package in $(1); do \
	dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || \
	echo $$package; done

# $(call apt,PACKAGES): installs what is missing, quick when nothing is
apt = @missing=$$($(call missing,$(1))); test -z "$$missing" || { \
	test $$(id -u) = 0 || { echo "run 'sudo make $@' to install:" $$missing >&2; exit 1; }; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	apt-get install -qy --no-install-recommends $$missing; }

deps:
	$(call apt,$(DEPS))

test-deps: deps
	$(call apt,$(TEST_DEPS))

demo: deps
	@$(MAKE) --no-print-directory all
	@python3 tests/demo/demo.py $(BUILD)/stasis

test: test-deps
	@$(MAKE) --no-print-directory all
	@tests/run --build $(BUILD) $(ARGS)

bench: deps
	@$(MAKE) --no-print-directory all
	@tests/bench/bench --build $(BUILD) $(ARGS)

# The tests on a stasis with address and undefined behaviour sanitizers; the applications it works
# on are ordinary ones.  What the arena holds is not freed: the command ends.
sanitize: test-deps
	@$(MAKE) --no-print-directory all
	@test -e build-asan/build.ninja || \
		meson setup -Db_sanitize=address,undefined -Db_lundef=false build-asan
	@ninja -C build-asan --quiet
	@ASAN_OPTIONS=detect_leaks=0 tests/run --build $(BUILD) --unit-build build-asan --stasis build-asan/stasis $(ARGS)

install: all
	meson configure $(BUILD) --prefix=$(prefix)
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --quiet
	@test $(CRIU_LINK) != 1 || ln -sfv stasis $(DESTDIR)$(prefix)/sbin/criu

clean:
	rm -rf $(BUILD) build-asan
