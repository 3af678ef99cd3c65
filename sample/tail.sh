#!/usr/bin/env bash
# Tails logs and shows who is risky: of ZEEK_LOGS if it is given, else of Zeek's usual places, else of
# the bundled sample, which this script writes and rotates as Zeek would, into OUT/live.
#
#   BINARY=target/release/zeek-ueba OUT=out sample/tail.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=${BINARY:?} out=${OUT:?} logs=${ZEEK_LOGS:-}
mkdir -p "$out"
out=$(cd "$out" && pwd)
# Empties only what a run before this one made: a directory with anything else in it is left alone.
mark="$out/.made-by-make-run"
if [ ! -e "$mark" ] && [ -n "$(ls -A "$out")" ]; then
  echo "$out is not empty and was not made by make run: choose another with OUT=DIR" >&2
  exit 2
fi
touch "$mark"
(cd "$out" && rm -rf {events,alerts,risk}{,.[0-9]*}.ndjson state live)
usual=""
for place in /opt/zeek/logs /usr/local/zeek/logs /var/log/zeek; do
  [ -d "$place" ] && usual=$place
done

settings=(--set "state.dir=\"$out/state\"" --set "sink.ndjson.dir=\"$out\"" --set "http.listen=\"127.0.0.1:0\"")
fed=""
if [ -n "$logs" ]; then
  logs=$(cd "$logs" && pwd)
  settings+=(--set "source.roots=[\"$logs\"]" --set source.backfill=true)
  echo "tailing $logs"
elif [ -n "$usual" ]; then
  echo "tailing Zeek's usual places, $usual among them"
else
  fed="$out/live"
  mkdir -p "$fed/archive"
  settings+=(--set "source.roots=[\"$fed\"]")
  echo "tailing $fed, into which the sample (sample/apt29-day1, see NOTICE) is written and rotated"
fi

"$binary" run "${settings[@]}" &
daemon=$!
trap 'kill -TERM $daemon 2>/dev/null || true; wait $daemon 2>/dev/null || true' EXIT
trap 'exit 130' INT
for _ in $(seq 100); do [ -s "$out/state/http.addr" ] && break; sleep 0.05; done
kill -0 $daemon 2>/dev/null || { trap - EXIT; wait $daemon; }
[ -s "$out/state/http.addr" ] && echo "metrics: http://$(cat "$out/state/http.addr")/metrics"
echo "  risk  level     entity  why"

if [ -z "$fed" ]; then
  wait $daemon
  exit
fi

# Each round appends a slice of every log; every third round rotates them and archives what was rotated.
rounds=12
for round in $(seq 0 $((rounds - 1))); do
  for source in "$here"/apt29-day1/*.log*; do
    name=$(basename "${source%.gz}" .log)
    live="$fed/$name.log"
    gzip -cdf "$source" | awk -v round="$round" -v rounds="$rounds" '{row[NR] = $0}
      END {for (n = int(NR * round / rounds) + 1; n <= int(NR * (round + 1) / rounds); n++) print row[n]}' >> "$live"
    if [ $((round % 3)) = 2 ]; then
      rotated="$fed/$name.2020-05-02-00-00-$(printf %02d "$round").log"
      mv "$live" "$rotated"
      gzip -c "$rotated" > "$fed/archive/.tmp.$name"
      mv "$fed/archive/.tmp.$name" "$fed/archive/$name.00:00:0$((round / 3)).log.gz"
      rm "$rotated"
    fi
  done
  sleep 0.5
done
# Minutes close when every log has passed them, or is silent for ten seconds.
sleep 12
kill -TERM $daemon
trap - EXIT
wait $daemon
written=$(cat "$here"/apt29-day1/*.log.gz | gzip -cd | cat - "$here"/apt29-day1/*.log | wc -l)
events=$(wc -l < "$out/events.ndjson")
echo
echo "the sample is at its end: $written records, $events events, $(wc -l < "$out/alerts.ndjson") alerts"
[ "$written" = "$events" ]
