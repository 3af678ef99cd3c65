#!/usr/bin/env bash
# Puts the library of ONNX Runtime with its licences into each DIR; it is fetched once, from PyPI,
# and held to the hashes beside this script.
#
#   fetch.sh CACHE DIR...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$1
shift
files="libonnxruntime.so LICENSE.onnxruntime ThirdPartyNotices.onnxruntime.txt"
fail() { echo "onnxruntime: $1" >&2; exit 69; }

machine=$(uname -m)
case $machine in
  x86_64 | aarch64) ;;
  *) fail "no library for $machine is published; build one and name it in [model] library" ;;
esac
stamp="$cache/$(sha256sum < "$here/requirements.txt" | cut -c1-16)-$machine"
is_there() { for file in $files; do [ -s "$cache/$file" ] || return 1; done; }
if [ ! -e "$stamp" ] || ! is_there; then
  command -v python3 > /dev/null || fail "python3 is missing: apt-get install python3 python3-venv"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  python=python3
  if ! python3 -m pip --version > /dev/null 2>&1; then
    python3 -m venv "$work/venv" > /dev/null || fail "python3 with venv is missing: apt-get install python3-venv"
    python="$work/venv/bin/python"
  fi
  echo "fetching ONNX Runtime for $machine (18 MB, once)" >&2
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --implementation cp --python-version 311 \
    --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" \
    --require-hashes -r "$here/requirements.txt" --dest "$work" >&2 ||
    fail "the package could not be fetched; put onnxruntime-1.24.4's wheel for $machine where pip looks"
  "$python" - "$work" << 'END'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
names = {"LICENSE": "LICENSE.onnxruntime", "ThirdPartyNotices.txt": "ThirdPartyNotices.onnxruntime.txt"}
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    for entry in wheel.namelist():
        name = pathlib.PurePosixPath(entry).name
        if entry.startswith("onnxruntime/capi/libonnxruntime.so."):
            (work / "libonnxruntime.so").write_bytes(wheel.read(entry))
        elif entry in ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"):
            (work / names[name]).write_bytes(wheel.read(entry))
END
  for file in $files; do mv "$work/$file" "$cache/$file"; done
  touch "$stamp"
fi
for dir in "$@"; do
  mkdir -p "$dir"
  for file in $files; do
    # Beside itself, so that a program that has it open keeps what it has.
    cmp -s "$cache/$file" "$dir/$file" || { cp "$cache/$file" "$dir/.$file" && mv "$dir/.$file" "$dir/$file"; }
  done
done
