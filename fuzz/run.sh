#!/bin/bash
# Runs one fuzz target for so many seconds; the last lines of libFuzzer are shown. With a third
# argument the seconds are those of a processor, whatever else the machine does, and a line of a table
# is added to that file: what was run, for how long, and what came of it.
#
#   fuzz/run.sh target/fuzz/x86_64-unknown-linux-gnu/release/gz 60 [docs/fuzzing.md]
set -euo pipefail

binary=$1 seconds=$2 table=${3:-}
target=$(basename "$binary")
here=$(cd "$(dirname "$0")" && pwd)
corpus=$here/corpus/$target artifacts=$here/artifacts/$target
mkdir -p "$corpus" "$artifacts"
log=$artifacts/$$.log
findings() { find "$artifacts" -name 'crash-*' -o -name 'timeout-*' -o -name 'oom-*' | wc -l; }
# Seconds of a processor that what has been run here took.
spent() { awk -v tick="$(getconf CLK_TCK)" '{ print int(($16 + $17) / tick) }' "/proc/$$/stat"; }

before=$(findings)
rc=0 runs=0
while [ "$rc" = 0 ]; do
  left=$(( seconds - $(spent) ))
  [ "$left" -gt 0 ] || break
  "$binary" -max_total_time="$left" -timeout=10 -rss_limit_mb=1024 -max_len=16384 \
    -print_final_stats=1 -artifact_prefix="$artifacts/" "$corpus" "$here/seeds/$target" \
    > "$log" 2>&1 || rc=$?
  # What was found speaks for itself, also when it is a megabyte long.
  tail -12 "$log" | cut -c -400
  runs=$(( runs + $(sed -nE 's/^stat::number_of_executed_units: ([0-9]+)$/\1/p' "$log" | tail -1) ))
  [ -n "$table" ] || break
done

if [ -n "$table" ]; then
  last=$(grep -aE '^#[0-9]+.* cov: ' "$log" | tail -1)
  of() { sed -nE "s/.* $1: ([0-9]+).*/\1/p" <<< "$last"; }
  printf '| %s | `%s` | %s | %s | %s | %s | %s | %s |\n' "$(date -u +%F)" "$target" \
    "$(spent) p" "$runs" "$(of cov)" "$(of ft)" "$(of corp)" \
    "$(( $(findings) - before ))" >> "$table"
fi
mv "$log" "$artifacts/last.log"
exit "$rc"
