#!/usr/bin/env bash
# Prints the path of promtool: the one in PATH, or the one of Debian's package prometheus, which is
# taken apart in DIR and not installed.
#
#   promtool.sh DIR
set -euo pipefail
mkdir -p "$1"
dir=$(cd "$1" && pwd)
if command -v promtool; then exit; fi
if [ ! -x "$dir/promtool" ]; then
  missing() { echo "promtool is missing: apt-get install prometheus" >&2; exit 69; }
  command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null || missing
  work=$(mktemp -d "$dir/prometheus.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "fetching promtool with Debian's package prometheus (20 MB, once)" >&2
  cd "$work"
  # Only root may, and only where there is no list of packages yet it has to.
  apt-get download prometheus > out 2>&1 ||
    { apt-get update && apt-get download prometheus; } > out 2>&1 || { tail -3 out >&2; missing; }
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
  mv usr/bin/promtool "$dir/promtool"
fi
echo "$dir/promtool"
