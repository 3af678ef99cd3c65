#!/usr/bin/env bash
# Real servers for development and tests, on loopback, from Maven Central alone.
#
#   services.sh up            starts a Kafka broker and an Elasticsearch node that stay, and prints
#                             KAFKA_BOOTSTRAP=... and SEARCH_URL=...
#   services.sh down          stops them and removes their data
#   services.sh with COMMAND  starts both on free ports, and an Elasticsearch node with TLS, users and
#                             API keys; runs COMMAND with KAFKA_BOOTSTRAP, SEARCH_URL and
#                             SEARCH_SECURE_URL, _CA (a PEM file), _USER, _PASSWORD set; stops them
#
# Environment:
#   ENGINE=elasticsearch      or opensearch, without the secured node
#   BUILD=target              where jars and data go
#   KAFKA_PORT=19092, SEARCH_PORT=19200   the ports of `up`; each takes the next one too
#   SEARCH_HEAP=512m          of a search node; SEARCH_JAVA='...' replaces all its JVM flags
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-$here/../../target}
mkdir -p "$build/services"
build=$(cd "$build/services" && pwd)
engine=${ENGINE:-elasticsearch}

say() { echo "services: $*" >&2; }
die() { say "$*"; exit 1; }

. "$here/kafka/kafka.sh"
. "$here/search/search.sh"

need() {
  local major
  command -v java > /dev/null || die "Java is missing: apt-get install openjdk-17-jdk-headless maven"
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
  [ "${major:-0}" -ge 17 ] || die "Java ${major:-?} is too old: apt-get install openjdk-17-jdk-headless"
  command -v javac > /dev/null && command -v jar > /dev/null ||
    die "this Java is without its compiler: apt-get install openjdk-17-jdk-headless"
  command -v mvn > /dev/null || die "Maven is missing, which fetches the servers: apt-get install maven"
  command -v curl > /dev/null || die "curl is missing, which asks a server whether it is ready: apt-get install curl"
  case $engine in elasticsearch | opensearch) ;; *) die "ENGINE=$engine: elasticsearch or opensearch" ;; esac
}

# fetched NAME FILE...: the directory that fetch_NAME fills from these files, once for each version
# of them and of itself; several may ask at once.
fetched() {
  local name=$1 into
  shift
  into="$build/$name-$({ declare -f "fetch_$name"; cat "$@"; } | cksum | cut -d' ' -f1)"
  exec 8> "$build/lock"
  flock 8
  if [ ! -e "$into/complete" ]; then
    rm -rf "$into"
    mkdir -p "$into"
    "fetch_$name" "$into"
    touch "$into/complete"
  fi
  echo "$into"
}

# maven POM GOAL OPTION...: a goal of the plugin that copies or unpacks what a POM depends on.
maven() {
  local pom=$1 goal=$2
  shift 2
  mvn -B -ntp -q -Dmaven.repo.local="$build/maven" -f "$pom" \
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$goal" "$@" > "$build/maven.log" 2>&1 ||
    { grep -m3 ERROR "$build/maven.log" >&2 || true; die "Maven could not fetch it: see $build/maven.log"; }
}

# compile CLASSPATH DIR SOURCE
compile() {
  javac -proc:none --release 17 -cp "$1" -d "$2" "$3" > "$build/javac.log" 2>&1 ||
    { cat "$build/javac.log" >&2; die "$(basename "$3") does not compile"; }
}

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# Six ports in a row that nobody has, below those that the system hands out.
free_ports() {
  local base port
  for _ in $(seq 50); do
    base=$((20000 + RANDOM % 2000 * 6))
    for port in $(seq "$base" $((base + 5))); do answers "$port" && continue 2; done
    echo "$base"
    return
  done
  die "no free ports"
}

# prepare DIR PORT: an empty directory for a server that is to have this port and the next.
prepare() {
  stop "$1"
  if answers "$2" || answers $(($2 + 1)); then die "port $2 or $(($2 + 1)) is taken"; fi
  mkdir -p "$1"
}

# spawn DIR COMMAND...: a server of its own session, so that a Ctrl-C reaches it through `stop` only.
spawn() {
  local dir=$1
  shift
  setsid "$@" >> "$dir/out" 2>&1 < /dev/null 9>&- &
  echo "$!" > "$dir/pid"
}

# ready NAME DIR TEST...: waits until TEST says so.
ready() {
  local name=$1 dir=$2 end=$((SECONDS + 120)) log
  log="$build/failed-$(basename "$dir").log"
  shift 2
  until "$@"; do
    if ! kill -0 "$(cat "$dir/pid")" 2> /dev/null; then
      grep -v $'^\tat ' "$dir/out" | tail -15 >&2
      cp "$dir/out" "$log"
      die "$name stopped while it started: $log"
    elif [ "$SECONDS" -ge "$end" ]; then
      cp "$dir/out" "$log"
      die "$name did not start within two minutes: $log"
    fi
    sleep 0.1
  done
}

# pid_of DIR: the server of DIR, if it lives; its number may belong to somebody else by now.
pid_of() {
  local pid
  pid=$(cat "$1/pid") && [[ $(tr '\0' ' ' < "/proc/$pid/cmdline") == *"$1/"* ]] && echo "$pid"
} 2> /dev/null

# stop DIR...: ends the servers that were started there, and nothing else; their data go.
stop() {
  local dir pid
  for dir; do
    if pid=$(pid_of "$dir"); then kill "$pid"; fi
  done
  for dir; do
    for _ in $(seq 150); do pid_of "$dir" > /dev/null || break; sleep 0.1; done
    if pid=$(pid_of "$dir"); then
      say "$(basename "$dir") did not stop within 15 s, so it is killed"
      kill -9 "$pid"
    fi
    rm -rf "$dir"
  done
}

# up NAME DIR PORT: start_NAME, unless it runs.
up() {
  if pid_of "$2" > /dev/null && answers "$3"; then
    say "$1 is already up"
  else
    "start_$1" "$2" "$3"
  fi
}

# The end of `with`, which may come inside any function: `run` and `command` are no local's name.
command=
finish() {
  if [ -n "$command" ]; then kill "$command" 2> /dev/null || true; fi
  stop "$run"/*
  rm -rf "$run"
}

case ${1:-} in
  up)
    need
    exec 9> "$build/up.lock"
    flock 9
    kafka_port=${KAFKA_PORT:-19092}
    search_port=${SEARCH_PORT:-19200}
    kafka="$build/up-kafka-$kafka_port"
    search="$build/up-$engine-$search_port"
    up search "$search" "$search_port"
    up kafka "$kafka" "$kafka_port"
    ready "$engine" "$search" healthy "http://127.0.0.1:$search_port"
    ready Kafka "$kafka" answers "$kafka_port"
    echo "KAFKA_BOOTSTRAP=127.0.0.1:$kafka_port"
    echo "SEARCH_URL=http://127.0.0.1:$search_port"
    ;;
  down)
    exec 9> "$build/up.lock"
    flock 9
    stop "$build"/up-*-*
    for run in "$build"/run-*; do # of a `with` that was killed
      [ -e "/proc/${run##*-}" ] || { stop "$run"/*; rm -rf "$run"; }
    done
    ;;
  with)
    shift
    [ $# -gt 0 ] || die "with which command?"
    need
    run="$build/run-$$"
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    unset "${!SEARCH_SECURE_@}"
    port=$(free_ports)
    start_search "$run/search" $((port + 2))
    [ "$engine" = opensearch ] || start_secured "$run/secured" $((port + 4))
    start_kafka "$run/kafka" "$port"
    ready Kafka "$run/kafka" answers "$port"
    export KAFKA_BOOTSTRAP="127.0.0.1:$port"
    export SEARCH_URL="http://127.0.0.1:$((port + 2))"
    ready "$engine" "$run/search" healthy "$SEARCH_URL"
    if [ "$engine" = elasticsearch ]; then
      export SEARCH_SECURE_URL="https://127.0.0.1:$((port + 4))"
      export SEARCH_SECURE_CA="$run/secured/config/ca.crt"
      export SEARCH_SECURE_USER="$secured_user" SEARCH_SECURE_PASSWORD="$secured_password"
      ready "the secured $engine" "$run/secured" healthy "$SEARCH_SECURE_URL" \
        --cacert "$SEARCH_SECURE_CA" -u "$secured_user:$secured_password"
    fi
    # In the background, so that a signal is heard at once; `env` gives the command back its Ctrl-C.
    env --default-signal=INT,QUIT "$@" <&0 &
    command=$!
    code=0
    wait "$command" || code=$?
    command=
    exit "$code"
    ;;
  *) die "services.sh up | down | with COMMAND" ;;
esac
