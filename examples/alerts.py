#!/usr/bin/env python3
"""Prints the alerts of zeek-ueba as they come to Kafka, one line each: time, entity, detector,
score, the first reason and what was observed, uid of the first evidence.

    pip install --require-hashes -r requirements.txt
    python3 alerts.py BROKERS [TOPIC] [--until-end] [-X NAME=VALUE]...

Does and prints the same as alerts.rs, which says what consumers should do and why.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import signal
import sys
from collections import OrderedDict
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

# Where the columns stand in an alert; the first four are in every one.
COLUMNS = (
    ("@timestamp",),
    ("ueba", "entity"),
    ("ueba", "detector"),
    ("ueba", "score"),
    ("ueba", "reasons", 0, "feature"),
    ("ueba", "reasons", 0, "observed"),
    ("ueba", "evidence", 0, "uid"),
)

# Ids that are remembered: more than there are alerts in the window of one zeek-ueba (32 MiB).
REMEMBERED = 100_000

# What moves a terminal's cursor or turns around what is read, and the backslash.
UNSAFE = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(what: str) -> None:
    print("alerts:", shown(what), file=sys.stderr, flush=True)


def column(alert: Any, path: tuple[str | int, ...]) -> str | None:
    try:
        for name in path:
            alert = alert[name]
        if isinstance(alert, str):
            return shown(alert)
        if type(alert) in (int, float) and math.isfinite(alert):
            return f"{alert:.6f}"
    except (LookupError, OverflowError, TypeError):
        pass
    return None


def read(message: Message) -> tuple[bytes, bytes]:
    """The id and the line of an alert; a ValueError says why it is none."""
    value: bytes | None = message.value()
    headers: Any = message.headers() or []
    if value is None:
        raise ValueError("no value")
    event_id = next((text for name, text in headers if name == "event_id"), None)
    if event_id is None or len(event_id) != 32:
        raise ValueError("no event_id of 32 digits")
    try:
        alert = json.loads(value.decode())
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    columns = [column(alert, path) for path in COLUMNS]
    if None in columns[:4]:
        raise ValueError("not an alert")
    return event_id, "\t".join(text or "" for text in columns).encode() + b"\n"


def tell(error: KafkaError, told: set[int]) -> None:
    # librdkafka goes on trying, many times a second.
    if error.code() not in told:
        told.add(error.code())
        say(error.str())


def follow(consumer: Consumer, until_end: bool, stop: list[int], told: set[int]) -> None:
    seen: OrderedDict[bytes, None] = OrderedDict()
    at_end: set[int | None] = set()
    while not stop:
        message = consumer.poll(0.2)
        if message is None:
            continue
        error, partition = message.error(), message.partition()
        if error is None:
            at_end.discard(partition)
            told.clear()
            try:
                event_id, line = read(message)
            except ValueError as why:
                say(f"{message.topic()} [{partition}] offset {message.offset()} skipped: {why}")
            else:
                if event_id not in seen:
                    sys.stdout.buffer.write(line)
                    sys.stdout.buffer.flush()
                    seen[event_id] = None
                    if len(seen) > REMEMBERED:
                        seen.popitem(last=False)
            consumer.store_offsets(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            at_end.add(partition)
            if until_end and all(mine.partition in at_end for mine in consumer.assignment()):
                return
        elif error.fatal():
            raise KafkaException(error)
        else:
            tell(error, told)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prints the alerts of zeek-ueba.")
    parser.add_argument("brokers", metavar="BROKERS")
    parser.add_argument("topic", metavar="TOPIC", nargs="?", default="zeek-ueba.alerts")
    parser.add_argument("--until-end", action="store_true", help="stop where partitions end")
    parser.add_argument("-X", metavar="NAME=VALUE", action="append", default=[])
    args = parser.parse_intermixed_args()
    config = {"group.id": "zeek-ueba-alerts", "auto.offset.reset": "earliest", "log_level": "0"}
    for option in args.X:
        name, is_option, config[name] = option.partition("=")
        if not is_option:
            parser.error(f"-X {option}: not NAME=VALUE")
    # Every few seconds librdkafka commits the offsets that were stored, and no others.
    config |= {"enable.auto.commit": "true", "enable.auto.offset.store": "false"}
    config |= {"bootstrap.servers": args.brokers, "enable.partition.eof": "true"}
    stop: list[int] = []
    told: set[int] = set()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: stop.append(received))
    consumer = Consumer({**config, "error_cb": lambda error: tell(error, told)})
    try:
        consumer.subscribe([args.topic])
        follow(consumer, args.until_end, stop, told)
    finally:
        consumer.close()  # Commits what is stored.


if __name__ == "__main__":
    try:
        main()
    except (KafkaException, OSError) as error:
        sys.exit(f"alerts: {error}")
