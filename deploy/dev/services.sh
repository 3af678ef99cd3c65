#!/usr/bin/env bash
# Real servers for development and tests, on loopback, from package registries alone.
#
#   services.sh up            starts a Kafka broker that stays, and prints KAFKA_BOOTSTRAP=...
#   services.sh down          stops it and removes its data
#   services.sh with COMMAND  starts one on free ports, runs COMMAND with KAFKA_BOOTSTRAP set, stops it
#
# BUILD=target says where jars and data go; KAFKA_PORT=19092 is the port of `up`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-$here/../../target}
mkdir -p "$build/services"
build=$(cd "$build/services" && pwd)

say() { echo "services: $*" >&2; }
die() { say "$*"; exit 1; }

need() {
  local major
  command -v java >/dev/null || die "Java is missing: apt-get install openjdk-17-jre-headless maven"
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
  [ "${major:-0}" -ge 17 ] || die "Java ${major:-?} is too old for Kafka: apt-get install openjdk-17-jre-headless"
  command -v mvn >/dev/null || die "Maven is missing, which fetches Kafka: apt-get install maven"
}

# The jars, once for each version of what asks for them; several may ask at once.
jars() {
  local sum into
  sum=$(cksum < "$here/kafka/pom.xml" | cut -d' ' -f1)
  into="$build/kafka-$sum"
  exec 8> "$build/lock"
  flock 8
  if [ ! -e "$into/complete" ]; then
    say "fetching Kafka from Maven Central (60 MB, once)"
    rm -rf "$into"
    mvn -B -ntp -q -Dmaven.repo.local="$build/maven" -f "$here/kafka/pom.xml" \
      org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$into" > "$build/maven.log" 2>&1 ||
      { grep -m3 ERROR "$build/maven.log" >&2; die "Maven could not fetch Kafka: see $build/maven.log"; }
    touch "$into/complete"
  fi
  exec 8>&-
  echo "$into"
}

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# A port that nobody has, and whose neighbour nobody has, below those that the system hands out.
free_port() {
  local port
  for _ in $(seq 50); do
    port=$((20000 + RANDOM % 5000 * 2))
    answers "$port" || answers $((port + 1)) || { echo "$port"; return; }
  done
  die "no free port"
}

# start DIR PORT: a broker with its data in DIR, ready when this returns.
start() {
  local dir=$1 port=$2 lib pid
  need
  lib=$(jars)
  answers "$port" && die "port $port is taken"
  rm -rf "$dir"
  mkdir -p "$dir"
  cat > "$dir/server.properties" << CONFIG
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
num.partitions=3
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=4194304
group.initial.rebalance.delay.ms=0
CONFIG
  local java=(java -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    "-Dlog4j2.configurationFile=$here/kafka/log4j2.properties" -cp "$lib/*")
  "${java[@]}" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$dir/server.properties" \
    > "$dir/out" 2>&1 || { tail -5 "$dir/out" >&2; die "Kafka's storage could not be made"; }
  setsid "${java[@]}" kafka.Kafka "$dir/server.properties" >> "$dir/out" 2>&1 < /dev/null &
  pid=$!
  echo "$pid" > "$dir/pid"
  for _ in $(seq 600); do
    answers "$port" && return
    kill -0 "$pid" 2> /dev/null || { tail -15 "$dir/out" >&2; die "Kafka stopped while it started: $dir/out"; }
    sleep 0.1
  done
  die "Kafka did not start within a minute: $dir/out"
}

# is_ours DIR PID: whether PID is the broker of DIR; a number may belong to somebody else by now.
is_ours() { [[ $(tr '\0' ' ' 2> /dev/null < "/proc/$2/cmdline") == *"$1/server.properties"* ]]; } 2> /dev/null

# stop DIR: ends the broker that was started there, and nothing else.
stop() {
  local dir=$1 pid
  pid=$(cat "$dir/pid" 2> /dev/null) || return 0
  if is_ours "$dir" "$pid"; then
    kill "$pid"
    for _ in $(seq 100); do is_ours "$dir" "$pid" || break; sleep 0.1; done
    if is_ours "$dir" "$pid"; then
      say "Kafka did not stop within 10 s, so it is killed"
      kill -9 "$pid"
    fi
  fi
  rm -rf "$dir"
}

case ${1:-} in
  up)
    port=${KAFKA_PORT:-19092}
    if [ -e "$build/up/pid" ] && answers "$port"; then say "already up"; else start "$build/up" "$port"; fi
    echo "KAFKA_BOOTSTRAP=127.0.0.1:$port"
    ;;
  down) stop "$build/up" ;;
  with)
    shift
    dir="$build/run-$$"
    trap 'stop "$dir"' EXIT
    trap 'exit 130' INT TERM
    port=$(free_port)
    start "$dir" "$port"
    KAFKA_BOOTSTRAP="127.0.0.1:$port" "$@"
    ;;
  *) die "services.sh up | down | with COMMAND" ;;
esac
