# One word for each thing one does with the tree, over CMakePresets.json. PRESET=asan+ubsan (tsan, cuda) picks another
# build: make test PRESET=tsan. CTEST_ARGS="-R Gate" narrows the tests, two of which run at a time.
PRESET ?= release
CTEST_ARGS ?=
dir := build/$(PRESET)
sources = git ls-files -co --exclude-standard '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r ls 2> /dev/null

.PHONY: gpu-bundle demo build test soak bare test-llm test-report bench bench-rivals bench-paired format check-format ci bootstrap clean
# First, so that it is what `make` alone does.
demo: bootstrap $(dir)/build.ninja
	@cmake --build --preset $(PRESET) --target tracer
	@python3 host/demo/demo.py $(dir)/tracer build/demo

build: bootstrap $(dir)/build.ninja
	@cmake --build --preset $(PRESET)

test: build
	@ctest --test-dir $(dir) --output-on-failure -LE soak -j2 $(CTEST_ARGS)

# What depends on the instant of a kill or a fault, 20 times over, and the benches: by hand, for hours.
soak: build
	@ctest --test-dir $(dir) --output-on-failure -L soak $(CTEST_ARGS)
	@$(MAKE) bench

# The README's first two commands in a Debian 12 with nothing else in it.
bare:
	@CTEST_ARGS='$(CTEST_ARGS)' cmake/bare.sh

# `tracer run` against a real LLM, which is built first (10 minutes); needs the data of clinc_domains_llm.
test-llm: build
	@tests/dispatch/llm_server.sh
	@.deps/python/bin/python tests/dispatch/real_llm.py $(dir) $(or $(TRACER_TEST_DATA),../shared/data)

# The page of `tracer report --html` in a real browser, which is installed first (Debian's chromium: 122 MB, 414 MB on disk).
test-report: build
	@tests/report/install.sh
	@ctest --test-dir $(dir) --output-on-failure -R '^report\.' $(CTEST_ARGS)

bench: build
	@set -e; for bench in $(dir)/bench_*; do echo "== $$bench"; $$bench; done

# Beside FAISS, scikit-learn, NumPy: each program prints agreement first, then medians and ratios of interleaved runs.
bench-rivals: build
	@set -e; for rival in bench/*_rival.py; do echo "== $$rival"; bench/python.sh $$rival $(dir); done

# Beside an earlier commit, which is built too: REF=COMMIT, ALLOW=policy where policies may differ, PAIRED_ARGS="--rounds 11".
bench-paired: bootstrap $(dir)/build.ninja
	@cmake --build --preset $(PRESET) --target tracer mock_llm
	@bench/python.sh bench/paired.py $(dir) --ref "$(REF)" $(addprefix --allow ,$(ALLOW)) $(PAIRED_ARGS)

$(dir)/build.ninja: CMakePresets.json | bootstrap
	@cmake --preset $(PRESET)
	@touch $@

bootstrap:
	@cmake/bootstrap.sh

format:
	@cmake/bootstrap.sh ci
	@$(sources) | xargs -r clang-format-14 -i

check-format:
	@cmake/bootstrap.sh ci
	@$(sources) | xargs -r clang-format-14 --dry-run --Werror

ci:
	@.ci/run

gpu-bundle: bootstrap $(dir)/build.ninja
	@cmake --build --preset $(PRESET) --target kernels_tests bench_gpu tracer torch_tests rival_encoder tracer_transformer
	@cmake/gpu_bundle.sh $(CURDIR) $(dir)

clean:
	@rm -rf build
