# The Kafka broker; sourced by services.sh.

fetch_kafka() {
  say "fetching Kafka from Maven Central (60 MB, once)"
  maven "$here/kafka/pom.xml" copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1"
}

# start_kafka DIR PORT: with its data in DIR; the controller has the next port.
start_kafka() {
  local dir=$1 port=$2 lib
  lib=$(fetched kafka "$here/kafka/pom.xml")
  prepare "$dir" "$port"
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
    "-Dlog4j2.configurationFile=$here/log4j2.properties" -cp "$lib/*")
  "${java[@]}" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$dir/server.properties" \
    > "$dir/out" 2>&1 || { tail -5 "$dir/out" >&2; die "Kafka's storage could not be made"; }
  spawn "$dir" "${java[@]}" kafka.Kafka "$dir/server.properties"
}
