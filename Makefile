# Everything a machine needs beyond Go, gcc, make and Node comes through Go itself.

# Wipes what cryptography leaves on stacks and heap; ledger/seal says why it matters.
export GOEXPERIMENT := runtimesecret
export GOFLAGS := -buildvcs=false

tool := go tool -modfile=$(CURDIR)/scripts/tools/go.mod
binary := bin/healthledger

# Packages that read what others made.
readers := ./authz ./proto/unit/... ./ledger/importer/...

# Deriving a keyring's key touches much memory, which the race detector makes slow to no use.
race := -race -gcflags=golang.org/x/crypto/argon2=-race=false

.PHONY: build demo test tests check bench drill fuzz proto clean

build:
	CGO_ENABLED=0 go build -trimpath -o $(binary) ./cmd/healthledger

# The main job on a made-up export, from nothing to an answer.
demo: build
	$(binary) demo

# What .ci/run runs: the rules of the house, then every test with the race detector.
test:
	@$(MAKE) --no-print-directory -j2 check tests

# A program with the race detector sleeps for a second before it exits.
tests: export GORACE := atexit_sleep_ms=10
tests:
	@# What takes long comes first, so that no core waits for it in the end. The check vets all.
	go test $(race) -vet=off -timeout 20m ./cmd/healthledger ./projector ./...
	cd scripts/sqlcipher && CGO_ENABLED=0 go test .
	@# The race detector keeps memory from being erased, needs much of it, and makes large inputs
	@# slow: what is about memory runs without it.
	go test -run 'Forgets|LeaveNothing' ./ledger/seal
	go test -run 'NeedNoMoreThanTwice|NeedsLittleMemory|ZipBomb|MemoryDoesNotGrow|ThatWaitForTheirName' ./ledger/importer/apple ./ledger/importer/healthautoexport
	go run ./scripts/fuzz -time 2s $(readers)

# Collecting garbage is a fifth of what these take.
check: export GOGC := 400
check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):" $$unformatted; exit 1; fi
	go mod verify >/dev/null
	go mod tidy -diff
	go vet ./...
	$(tool) staticcheck ./...
	@# The peer of the benchmark is a module of its own; without cgo there is nothing to compile.
	cd scripts/sqlcipher && go mod tidy -diff && CGO_ENABLED=0 go vet . && CGO_ENABLED=0 $(tool) staticcheck .
	cd proto && $(tool) buf lint
	@fresh=$$(mktemp -d) && (cd proto && $(tool) buf generate -o $$fresh) && \
		for f in $$(cd $$fresh && find . -name '*.go'); do cmp proto/$$f $$fresh/$$f || { echo "generated code is stale: make proto"; exit 1; }; done && rm -r $$fresh

bench: build
	$(binary) bench

# Longer runs of what the tests do briefly.
drill: build fuzz
	@# Verbose, for the counts of what was tried.
	HEALTHLEDGER_DRILL=1 go test $(race) -v -timeout 150m -count=1 ./cmd/healthledger
	HEALTHLEDGER_DRILL=1 go test $(race) -timeout 150m -count=1 ./projector/... ./ledger/... ./proto/health/...
	@# Without the race detector, which would drown what is measured.
	$(binary) bench timing

fuzz:
	go run ./scripts/fuzz -time 1m ./...

proto:
	cd proto && $(tool) buf generate

clean:
	rm -rf bin
