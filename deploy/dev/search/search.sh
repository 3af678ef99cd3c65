# The search nodes, Elasticsearch or OpenSearch; sourced by services.sh.

# Of the secured node, which lives on loopback for as long as the tests: nothing is kept secret here.
secured_user=dev
secured_password=throw-away
secured_hash='$2a$04$z1jEfWDNwFwpmGMBFDysve5VO6jpU7YV/zNzhPE/zn8FkVcJ7HuQ.' # bcrypt of it

fetch_elasticsearch() {
  local into=$1 from="$here/search/elasticsearch" home plugin
  say "fetching Elasticsearch from Maven Central (110 MB, once)"
  maven "$from/pom.xml" unpack-dependencies -DoutputDirectory="$into" -DmarkersDirectory="$into/markers"
  mv "$into"/elasticsearch-* "$into/home"
  home="$into/home"
  # The server is on the class path, so its parts cannot find it as a Java module.
  sed -i '/^modulename=/d' "$home"/modules/*/plugin-descriptor.properties
  compile "$home/lib/*" "$into/classes" "$from/SearchNode.java"
  plugin="$home/plugins/missing-parts"
  mkdir -p "$plugin"
  compile "$home/lib/*" "$into/plugin" "$from/MissingParts.java"
  jar --create --file "$plugin/plugin.jar" -C "$into/plugin" .
  {
    printf '%s\n' name=missing-parts description=- version=1 classname=MissingParts
    grep -E '^(elasticsearch|java)\.version=' "$home/modules/x-pack-core/plugin-descriptor.properties"
  } > "$plugin/plugin-descriptor.properties"
}

fetch_opensearch() {
  local into=$1 from="$here/search/opensearch"
  say "fetching OpenSearch from Maven Central (50 MB, once)"
  maven "$from/pom.xml" copy-dependencies -DincludeScope=runtime -DoutputDirectory="$into/home/lib"
  compile "$into/home/lib/*" "$into/classes" "$from/SearchNode.java"
}

# configure DIR PORT: the settings that both engines have; the transport has the next port.
configure() {
  local dir=$1 port=$2
  prepare "$dir" "$port"
  mkdir "$dir/config" "$dir/tmp"
  # The disk threshold would make every index read-only on a disk that is nearly full; the breaker
  # that measures the heap answers 429 to everything when the heap is this small.
  cat > "$dir/config/$engine.yml" << CONFIG
cluster.name: dev
network.host: 127.0.0.1
http.port: $port
transport.port: $((port + 1))
discovery.type: single-node
path.data: $dir/data
path.logs: $dir/logs
cluster.routing.allocation.disk.threshold_enabled: false
indices.breaker.total.use_real_memory: false
action.destructive_requires_name: false
CONFIG
}

# start_search DIR PORT
start_search() {
  configure "$1" "$2"
  [ "$engine" = opensearch ] || echo "xpack.security.enabled: false" >> "$1/config/$engine.yml"
  run_node "$1"
}

# start_secured DIR PORT: with TLS, one user in a file, who may do everything, and API keys.
start_secured() {
  local dir=$1 config="$1/config"
  command -v openssl > /dev/null || die "OpenSSL is missing, which makes the certificate: apt-get install openssl"
  configure "$dir" "$2"
  cat >> "$config/$engine.yml" << CONFIG
xpack.security.enabled: true
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: http.key
xpack.security.http.ssl.certificate: http.crt
CONFIG
  echo "$secured_user:$secured_hash" > "$config/users"
  echo "superuser:$secured_user" > "$config/users_roles"
  certify "$config" > "$dir/openssl.log" 2>&1 ||
    { cat "$dir/openssl.log" >&2; die "the certificate of the secured node could not be made"; }
  run_node "$dir"
}

# certify DIR: an authority and a certificate that it signed; many clients refuse one that signs itself.
certify() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${key[@]}" -days 30 -subj "/CN=dev authority" -keyout "$1/ca.key" -out "$1/ca.crt" &&
    openssl req "${key[@]}" -subj /CN=localhost -keyout "$1/http.key" -out "$1/http.csr" &&
    echo "subjectAltName=IP:127.0.0.1,DNS:localhost" > "$1/http.ext" &&
    openssl x509 -req -in "$1/http.csr" -days 30 -extfile "$1/http.ext" \
      -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -out "$1/http.crt"
}

# run_node DIR
run_node() {
  local dir=$1 at arch flags
  at=$(fetched "$engine" "$here/search/$engine"/*)
  arch=$(uname -m)
  flags=${SEARCH_JAVA:--Xms256m -Xmx${SEARCH_HEAP:-512m} -XX:+UseSerialGC -XX:TieredStopAtLevel=1}
  # shellcheck disable=SC2086  # several flags
  spawn "$dir" java $flags "-Djava.io.tmpdir=$dir/tmp" "-Dlog4j2.configurationFile=$here/log4j2.properties" \
    "-Des.nativelibs.path=$at/home/lib/platform/linux-${arch/x86_64/x64}" \
    -cp "$at/classes:$at/home/lib/*" SearchNode "$at/home" "$dir/config"
}

# healthy URL CURL-OPTION...
healthy() {
  local url=$1
  shift
  curl -sf --noproxy '*' -m 10 -o /dev/null "$@" "$url/_cluster/health?wait_for_status=yellow&timeout=5s"
}
