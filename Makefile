# The two commands of a newcomer are `make run` and `make test`.
#
#   make run                   build, tail the bundled logs as they are written and rotated, show
#                              who is risky and why
#   make run ZEEK_LOGS=DIR     the same for your own logs
#   make replay ZEEK_LOGS=DIR  finished logs in one go, into out-replay/
#   make test                  all tests, real servers included
#   make test-all              the same, and the search sink once more on OpenSearch
#   make chaos SEED=1 MINUTES=10  everything that may go wrong at once, for so long (docs/faults.md)
#   make services              a Kafka broker and an Elasticsearch node on loopback; services-down
#                              stops them
#   make bench                 the tables of docs/benchmarks.md
#   make evaluate              what is found in logs of which the truth is known, and, where
#                              DATA=../shared/data is, in days made of real sessions
#   make train DETECTOR=dga    train a model anew, from DATA=../shared/data, into onnx/
#                              (training/README.md)
#   make compare DETECTOR=dga  the table of other kinds of models in training/README.md
#   make compare-groups        peer groups against scikit-learn's k-means (docs/unsupervised.md)
#   make compare-forest        the isolation forest beside others (docs/unsupervised.md);
#                              COMPARED=--kinds beside other ways to grow one
#   make fuzz SECONDS=60       every fuzz target for a share of that time
#   make fuzz-long MINUTES=60  every fuzz target for that time, and a line each in docs/fuzzing.md;
#                              JOBS=2 runs two at once, FUZZ_TARGETS="gz state" only these

SHELL := /bin/bash
ZEEK_LOGS ?=
OUT ?= out
SECONDS ?= 60
SEED ?= 1
MINUTES ?= 10
JOBS ?= 1
DETECTOR ?= dga
DATA ?= ../shared/data
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET)/release/zeek-ueba
VENV := $(TARGET)/tools/python
TRAINING := $(TARGET)/tools/training
RESULTS := events.ndjson alerts.ndjson risk.ndjson dead-letter.ndjson

.PHONY: all build onnxruntime run replay test test-all chaos python services services-down check fmt clippy doc deny advisories cargo-deny fuzz fuzz-build fuzz-long bench bench-small evaluate train compare compare-groups compare-forest trainable clean need

all: build

need:
	@command -v $(CARGO) >/dev/null || { \
	  echo "Rust is missing: install rustup (package rustup, or https://rustup.rs) and then run: rustup toolchain install 1.95"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install gcc"; exit 1; }
	@command -v c++ >/dev/null || { echo "a C++ compiler is missing: apt-get install g++"; exit 1; }

build: need onnxruntime
	$(CARGO) build --release --locked

# The library and the models beside the program, of both profiles, where it looks for them.
onnxruntime:
	@deploy/onnxruntime/fetch.sh "$(TARGET)/tools/onnxruntime" "$(TARGET)/release" "$(TARGET)/debug"
	@for profile in release debug; do ln -sfnT "$(abspath onnx)" "$(TARGET)/$$profile/onnx"; done

run: build
	@BINARY="$(BINARY)" OUT="$(OUT)" ZEEK_LOGS="$(ZEEK_LOGS)" sample/tail.sh
	@echo
	@echo "what to try next"
	@echo "  make run ZEEK_LOGS=/opt/zeek/logs          your own logs, until Ctrl-C"
	@echo "  make replay ZEEK_LOGS=/opt/zeek/logs       finished logs in one go"
	@echo "  head -1 $(OUT)/alerts.ndjson                   an alert with its reasons and evidence"
	@echo "  $(BINARY) stages              what is looked at"

# Empties only what a run before it wrote: a directory with anything else in it is left alone.
replay: build
	@if [ -d "$(OUT)-replay" ]; then (cd "$(OUT)-replay" && rm -f $(RESULTS)); fi
	$(BINARY) replay --output "$(OUT)-replay" "$(or $(ZEEK_LOGS),sample/apt29-day1)"

# The tests run against real servers, started for them, and with Prometheus' own checks.
SERVED = PROMTOOL="$$(deploy/prometheus/promtool.sh "$(TARGET)/tools")" && \
  env PROMTOOL="$$PROMTOOL" BUILD="$(TARGET)"

test: need onnxruntime python
	$(CARGO) build --locked --release --example alerts
	@mkdir -p $(TARGET)
	set -o pipefail; $(SERVED) PYTHON_EXAMPLES="$(abspath $(VENV))/bin/python" \
	  deploy/dev/services.sh with $(CARGO) test --locked --release --lib --bins --test all 2>&1 | \
	  tee $(TARGET)/test.log
	$(CARGO) test --locked --release --doc
	@echo; echo "the faults of docs/faults.md"; tests/fault-table.sh $(TARGET)/test.log

# A python that examples/alerts.py runs with.
python: $(VENV)/complete

# A directory with its own python, with what the first prerequisite lists.
define VENV_OF
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "python3 with venv is missing: apt-get install python3-venv"; exit 1; }
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
	  --only-binary :all: --require-hashes -r $<
	touch $@
endef

$(VENV)/complete: examples/requirements.txt
	$(VENV_OF)

# The search sink has to work with both engines.
test-all: test
	$(SERVED) ENGINE=opensearch deploy/dev/services.sh with \
	  $(CARGO) test --locked --release --test all -- search:: engines:: records::

# What is done is a function of SEED and MINUTES; a run that fails keeps what there was.
chaos: need onnxruntime
	$(CARGO) test --locked --release --test all --no-run
	BUILD="$(TARGET)" CHAOS_SEED="$(SEED)" CHAOS_SECONDS="$$(( $(MINUTES) * 60 ))" \
	  deploy/dev/services.sh with \
	  $(CARGO) test --locked --release --test all -- chaos_ends --nocapture

services:
	@BUILD="$(TARGET)" deploy/dev/services.sh up

services-down:
	@BUILD="$(TARGET)" deploy/dev/services.sh down

check: fmt clippy doc

fmt:
	$(CARGO) fmt --check

clippy: need
	RUSTFLAGS="-D warnings" $(CARGO) clippy --locked --release --all-targets

doc: need
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --release --no-deps --document-private-items

# The advisory database is not reachable from every build machine: `make advisories` where it is.
deny: cargo-deny
	PATH="$(abspath $(TARGET))/tools/bin:$$PATH" cargo-deny --all-features check bans licenses sources

advisories: cargo-deny
	PATH="$(abspath $(TARGET))/tools/bin:$$PATH" cargo-deny --all-features check advisories

cargo-deny: need
	@command -v cargo-deny >/dev/null || [ -x $(TARGET)/tools/bin/cargo-deny ] || \
	  $(CARGO) install cargo-deny --version 0.20.2 --locked --root $(TARGET)/tools

# Coverage-guided, with the stable compiler and no tool to install: what cargo-fuzz passes, without
# its sanitizer. Findings end in fuzz/artifacts, the corpus grows in fuzz/corpus.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares
FUZZ_TARGETS ?= tsv json gz config allow state api spool name url
FUZZ_SHARE := $(shell share=$$(( $(SECONDS) / $(words $(FUZZ_TARGETS)) )); \
  echo $$(( share > 3 ? share : 3 )))
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
FUZZ_BINARIES := $(TARGET)/fuzz/$(HOST)/release

fuzz-build: need
	@command -v c++ >/dev/null || { echo "a C++ compiler is missing: apt-get install g++"; exit 1; }
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --release --locked --manifest-path fuzz/Cargo.toml \
	  --target $(HOST) --target-dir $(TARGET)/fuzz

fuzz: fuzz-build
	@set -e; for target in $(FUZZ_TARGETS); do fuzz/run.sh $(FUZZ_BINARIES)/$$target $(FUZZ_SHARE); done

# What is measured is written into docs/fuzzing.md.
fuzz-long: fuzz-build
	@printf '%s\n' $(FUZZ_TARGETS) | xargs -P $(JOBS) -I TARGET \
	  fuzz/run.sh $(FUZZ_BINARIES)/TARGET $$(( $(MINUTES) * 60 )) docs/fuzzing.md

bench: need onnxruntime
	$(CARGO) bench --locked --bench speed

bench-small: need onnxruntime
	$(CARGO) bench --locked --bench speed -- --small

# Ends with an error where anything is missed, or found that is not there.
evaluate: need onnxruntime
	$(CARGO) bench --quiet --locked --bench evaluate
	@if [ -d "$(DATA)/zeek" ]; then \
	  $(CARGO) bench --quiet --locked --bench evaluate -- days --data "$(abspath $(DATA))" --write; \
	else \
	  echo "$(DATA)/zeek is not there, so no days are made: make evaluate DATA=DIR"; \
	fi

# Finished folds are kept below target/training and are not trained again.
TRAIN = cd training && PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
  "$(abspath $(TRAINING))/bin/python" -m

# Which program trains a detector, and from which file.
TRAINER.dga := dga
TRAINER.phishing := link phishing
TRAINER.malicious-url := link malicious-url
TRAINER.malicious-download := link malicious-download
LABELLED.dga := dga.csv.gz
LABELLED.phishing := url.csv.gz
LABELLED.malicious-url := url.csv.gz
LABELLED.malicious-download := downloads.csv.gz

train: build $(TRAINING)/complete trainable
	$(TRAIN) $(TRAINER.$(DETECTOR)) $(TRAIN_FROM) --out "$(abspath onnx)"

compare: build $(TRAINING)/complete trainable
	$(TRAIN) $(firstword $(TRAINER.$(DETECTOR))).compare $(TRAIN_FROM)

TRAIN_FROM = --data "$(abspath $(DATA))" --binary "$(abspath $(BINARY))" \
  --work "$(abspath $(TARGET))/training/$(DETECTOR)"

# Ends with an error where inertia is beyond a hundredth of scikit-learn's.
compare-groups: need $(TRAINING)/complete
	export OMP_NUM_THREADS=1 && $(TRAIN) groups.compare --bench "$(CARGO) bench --quiet --locked --bench unsupervised --"
# Others' forests need what nothing else here needs: a directory of their own.
compare-forest: need $(TARGET)/tools/forest/complete
	PYTHONPATH=training PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
	  "$(TARGET)/tools/forest/bin/python" -m forest.compare --cargo "$(CARGO)" \
	  --work "$(TARGET)/training/forest" $(COMPARED)

$(TARGET)/tools/forest/complete: training/forest/requirements.txt
	$(VENV_OF)

trainable:
	@[ -n "$(TRAINER.$(DETECTOR))" ] || { \
	  echo "no detector $(DETECTOR) is trained here; there are: dga phishing malicious-url malicious-download"; \
	  exit 2; }
	@[ -f "$(DATA)/$(LABELLED.$(DETECTOR))" ] || { \
	  echo "$(DATA)/$(LABELLED.$(DETECTOR)) is not there: say where the data is with DATA=DIR"; exit 2; }

$(TRAINING)/complete: training/requirements.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "python3 is older than 3.11"; exit 1; }
	$(VENV_OF)

clean:
	$(CARGO) clean
