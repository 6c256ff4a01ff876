#!/bin/sh
# Starts and stops one real Apache Kafka node for the integration tests.
#
#   run.sh start VERSION DIR PORT   fetch the jars once (Maven), format DIR if it is new, start, wait
#   run.sh fetch VERSION JARS       fetch the jars into the folder JARS, if they are not there
#   run.sh stop DIR                 SIGTERM to the process that start wrote down, and wait
#   run.sh kill DIR                 SIGKILL to it: the next start with the same DIR recovers
#
# VERSION is like 3.9.2 or 4.3.1. The broker listens on 127.0.0.1:PORT, its controller on PORT+1, with
# at most 512 MiB of heap. Jars are kept in $KAFKA_IT_JARS (default: DIR/../kafka-jars-VERSION).
# Needs Java 17 or later, and mvn when the jars are not there yet.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

fail() { echo "kafka-it: $*" >&2; exit 1; }

alive() { [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

fetch() { # VERSION JARS
	[ -f "$2/complete" ] && return
	command -v mvn >/dev/null || fail "mvn is needed to fetch Kafka $1"
	case $1 in
	3.*) profile=kafka3 ;;
	*) profile=kafka4 ;;
	esac
	mkdir -p "$2"
	mvn -q -B -ntp -U -f "$here/pom.xml" -P "$profile" -Dkafka.version="$1" dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$2" >"$2/mvn.log" 2>&1 || { cat "$2/mvn.log" >&2; fail "cannot fetch Kafka $1"; }
	touch "$2/complete"
}

start() { # VERSION DIR PORT
	mkdir -p "$2"
	dir=$(cd "$2" && pwd)
	alive "$dir" && fail "already running in $dir, pid $(cat "$dir/pid")"
	jars=${KAFKA_IT_JARS:-$(dirname "$dir")/kafka-jars-$1}
	fetch "$1" "$jars"
	sed -e "s|@PORT@|$3|g" -e "s|@CONTROLLER@|$(($3 + 1))|g" -e "s|@DIR@|$dir|g" "$here/server.properties" >"$dir/server.properties"
	# The logging set-ups of both generations; each ignores the other's.
	set -- -cp "$jars/*" -Dlog4j.configuration="file:$here/log4j.properties" -Dlog4j2.configurationFile="$here/log4j2.properties"
	if [ ! -f "$dir/log/meta.properties" ]; then
		id=$(java "$@" kafka.tools.StorageTool random-uuid 2>>"$dir/kafka.out" | tail -1)
		java "$@" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >>"$dir/kafka.out" 2>&1 || { tail -20 "$dir/kafka.out" >&2; fail "cannot format $dir"; }
	fi
	: >"$dir/kafka.out"
	nohup java -Xms128m -Xmx512m -XX:MaxDirectMemorySize=128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "$@" \
		kafka.Kafka "$dir/server.properties" >>"$dir/kafka.out" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	tries=0
	until grep -q "Kafka Server started" "$dir/kafka.out"; do
		alive "$dir" || { tail -30 "$dir/kafka.out" >&2; fail "Kafka did not start"; }
		tries=$((tries + 1))
		[ $tries -lt 900 ] || fail "Kafka is not ready after 3 minutes, see $dir/kafka.out"
		sleep 0.2
	done
}

stop() { # SIGNAL DIR
	alive "$2" || { rm -f "$2/pid"; return 0; }
	pid=$(cat "$2/pid")
	kill "-$1" "$pid"
	tries=0
	while kill -0 "$pid" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || fail "pid $pid does not end"
		sleep 0.1
	done
	rm -f "$2/pid"
}

case ${1:-} in
fetch) [ $# -eq 3 ] || fail "usage: run.sh fetch VERSION JARS"; fetch "$2" "$3" ;;
start) [ $# -eq 4 ] || fail "usage: run.sh start VERSION DIR PORT"; start "$2" "$3" "$4" ;;
stop) [ $# -eq 2 ] || fail "usage: run.sh stop DIR"; stop TERM "$2" ;;
kill) [ $# -eq 2 ] || fail "usage: run.sh kill DIR"; stop KILL "$2" ;;
*) fail "usage: run.sh start VERSION DIR PORT | fetch VERSION JARS | stop DIR | kill DIR" ;;
esac
