#!/usr/bin/env bash
# The table of docs/faults.md with what became of each test, from the output of the tests:
#
#   fault-table.sh LOG
#
# Ends with 1 where a test failed or was not run.
set -euo pipefail
log=$1
table="$(dirname "${BASH_SOURCE[0]}")/../docs/faults.md"
bad=0
while IFS='|' read -r _ fault what test result _; do
  name=$(sed 's/^[^`]*`\([^`]*\)`.*/\1/' <<< "$test")
  became=$(sed -n "s/^test .*\b$name \.\.\. *\([a-zA-Z]*\).*/\1/p" "$log" | sort -u | tr '\n' ' ')
  [ "${became// /}" = ok ] || bad=1
  printf '%s  %-8s %s: %s\n' "${fault// /}" "${became:-not run}" "$(sed 's/^ *//;s/ *$//' <<< "$what")" \
    "$(sed 's/^ *//;s/ *$//' <<< "$result")"
done < <(grep '^| F' "$table")
exit "$bad"
