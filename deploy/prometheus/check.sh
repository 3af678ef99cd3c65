#!/usr/bin/env bash
# Checks what is in this directory, and with a URL what a daemon says:
#
#   check.sh
#   check.sh http://127.0.0.1:8080/metrics
#
# PROMTOOL=path/to/promtool where it is not in PATH.
set -euo pipefail
promtool=${PROMTOOL:-promtool}
command -v "$promtool" > /dev/null || { echo "promtool is missing: apt-get install prometheus" >&2; exit 69; }
# A relative path would not survive the cd.
promtool=$(realpath "$(command -v "$promtool")")
cd "$(dirname "${BASH_SOURCE[0]}")"

"$promtool" check config scrape.yml
"$promtool" check rules rules.yml
"$promtool" test rules rules_test.yml
if [ $# -gt 0 ]; then
  # First to a variable: an empty answer would pass.
  metrics=$(curl -fsS --max-time 10 "$1")
  "$promtool" check metrics <<< "$metrics"
fi
