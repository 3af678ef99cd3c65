"""Trials by client: what the stage `dga` finds of one who asks for names of a family that its model
never saw, mixed into what a real client asked for; and whom it finds in real logs as they are.

    python training/dga/clients.py BINARY --models target/training/dga --out target/training/dga

Each fold's model judges the families of that fold. A trial takes the queries of one real client of
../shared/data/zeek as they stand, adds 50 names of a family within an hour, and gives all of it an
address of its own; NXDOMAIN answers the given share of the names. Trials of a fold are one replay,
in which no name becomes usual by being shared (popular=1000), so that trials do not see each other.
"""

import argparse
import csv
import gzip
import json
import math
import random
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

NAMES = 50
WINDOW = 3600
SHARES = (0.0, 0.5, 0.9, 0.98)


def logs(data):
    """Real dns logs in TSV, one record each once: the same logs in JSON are left out."""
    with open(data / "zeek" / "MANIFEST.csv", newline="") as manifest:
        for row in csv.DictReader(manifest):
            if row["log"] == "dns" and not row["file"].startswith("zeek_btest"):
                if "zeek-json" not in row["file"]:
                    yield data / "zeek" / row["file"]


def records(path):
    """(time, client, name, is missing) of each query of a log, TSV or JSON."""
    opener = gzip.open if path.suffix == ".gz" else open
    fields = []
    with opener(path, "rt", errors="replace") as text:
        for line in text:
            line = line.rstrip("\n")
            if line.startswith("{"):
                record = json.loads(line)
            elif line.startswith("#fields"):
                fields = line.split("\t")[1:]
                continue
            elif line.startswith("#") or not line:
                continue
            else:
                record = dict(zip(fields, line.split("\t")))
            try:
                yield (
                    float(record["ts"]),
                    record["id.orig_h"],
                    record.get("query") or "-",
                    str(record.get("rcode_name")) == "NXDOMAIN",
                )
            except (KeyError, ValueError):
                continue


def is_internal(address):
    parts = address.split(".")
    return len(parts) == 4 and (
        parts[0] == "10"
        or (parts[0] == "172" and 16 <= int(parts[1]) < 32)
        or parts[:2] == ["192", "168"]
    )


def client_days(data):
    """The queries of each internal client and day, as (time, name, is missing)."""
    found = defaultdict(list)
    for path in logs(data):
        for time, client, name, missing in records(path):
            if is_internal(client):
                found[(str(path.parent), client, int(time // 86400))].append((time, name, missing))
    return found


def poisson(count, level=0.95):
    """The exact interval of a Poisson rate (Garwood 1936), by bisection of its sums."""

    def below(mean, most):
        return sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(most + 1))

    def solve(target, most):
        low, high = 1e-9, 10.0 * (count + 10)
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if below(middle, most) > target else (low, middle)
        return low

    tail = (1 - level) / 2
    return (0.0 if count == 0 else solve(1 - tail, count - 1), solve(tail, count))


def line(number, time, client, name, missing):
    return json.dumps(
        {
            "ts": round(time, 6),
            "uid": f"C{number}",
            "id.orig_h": client,
            "id.orig_p": 53535,
            "id.resp_h": "10.255.255.53",
            "id.resp_p": 53,
            "proto": "udp",
            "query": name,
            "qtype_name": "A",
            "rcode": 3 if missing else 0,
            "rcode_name": "NXDOMAIN" if missing else "NOERROR",
        }
    )


def alerts(binary, path, models, *settings):
    """Clients with an alert of `dga`, with the strongest of each day."""
    with tempfile.TemporaryDirectory() as out:
        command = [binary, "replay", "-o", f"{out}/out", str(path)]
        for setting in (f'model.dir="{models}"', 'event.emit="none"', *settings):
            command += ["--set", setting]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode or "stages are off" in done.stderr:
            raise SystemExit(done.stderr)
        documents = [json.loads(it) for it in open(f"{out}/out/alerts.ndjson")]
    found = {}
    for it in documents:
        if it["ueba"]["detector"] == "dga":
            key = (it["host"]["ip"][0], it["@timestamp"][:10])
            found[key] = max(found.get(key, it), it, key=lambda it: it["ueba"]["score"])
    return found


def write(path, rows):
    rows.sort()
    with open(path, "w") as out:
        out.writelines(line(number, *row) + "\n" for number, row in enumerate(rows))


DAY = 1_700_006_400


def shifted(queries, client):
    """The queries of a day, all days at one, so that none is late."""
    base = DAY - int(queries[0][0] // 86400) * 86400
    return [(time + base, client, name, missing) for time, name, missing in queries]


ALONE = ("stage.dga.popular=1000", "stage.dga.max_clients=1000000", "stage.dga.max_names=10000000")


def trials(binary, place, models, families, days, options):
    """Of each family and share of missing names: trials, and how many were found. A day that
    alerts without the names is none to try on."""
    rng = random.Random(options.seed)
    address = lambda number: f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    path = place / "dns.log"
    write(path, [row for number, day in enumerate(days) for row in shifted(day, address(number))])
    loud = {client for client, _ in alerts(binary, path, models, *ALONE)}
    quiet = [day for number, day in enumerate(days) if address(number) not in loud]
    rows, of = [], {}
    for family, names in sorted(families.items()):
        for share in SHARES:
            for _ in range(options.trials):
                client = address(len(of))
                of[client] = (family, share)
                real = shifted(rng.choice(quiet), client)
                rows += real
                # Within an hour of the clock: what a window that is cut by midnight can see.
                start = min(rng.choice(real)[0] // WINDOW * WINDOW, DAY + 86400 - WINDOW)
                for name in rng.sample(names, min(NAMES, len(names))):
                    rows.append((start + rng.random() * WINDOW, client, name, rng.random() < share))
    write(path, rows)
    found = {client for client, _ in alerts(binary, path, models, *ALONE)}
    result = defaultdict(lambda: [0, 0])
    for client, key in of.items():
        result[key][0] += 1
        result[key][1] += client in found
    return result, len(loud)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("target/training/dga"))
    parser.add_argument("--shipped", type=Path, default=Path("onnx"))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    days = client_days(options.data)
    # Who asks for a handful of names a day is no client to hide in.
    real = sorted(queries for queries in days.values() if len(queries) >= 20)
    print(f"{len(days)} client-days, {len(real)} of them with 20 queries or more")

    families = defaultdict(lambda: defaultdict(list))
    kinds = {}
    with gzip.open(options.data / "dga.csv.gz", "rt", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["label"] == "1":
                families[int(row["lfo_fold"])][row["family"]].append(row["domain"])
                kinds[row["family"]] = row["type"]
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        table = {}
        for fold, of in sorted(families.items()):
            models = options.models / f"fold-{fold}"
            found, loud = trials(options.binary, place, models, of, real, options)
            table.update(found)
            if loud:
                print(f"fold {fold}: {loud} of these days alert by themselves")
        head = " | ".join(f"NXDOMAIN {share:.0%}" for share in SHARES)
        print(f"\n| family | kind | {head} |\n|---|---|{'---|' * len(SHARES)}")
        for family in sorted(kinds, key=lambda it: (kinds[it], it)):
            cells = [table[(family, share)] for share in SHARES]
            shown = " | ".join(f"{100 * hit / all:.0f} %" for all, hit in cells)
            print(f"| {family} | {kinds[family]} | {shown} |")

        print("\nreal logs as they are, with the model that ships")
        total = 0
        # One replay of each network: what one client asks for is usual for another.
        roots = defaultdict(list)
        for key, queries in days.items():
            roots[key[0]].append((key[1], queries))
        for root, clients in sorted(roots.items()):
            path = place / "dns.log"
            write(path, [(t, client, name, missing) for client, rows in clients for t, name, missing in rows])
            for (client, day), it in sorted(alerts(options.binary, path, options.shipped).items()):
                total += 1
                reasons = "; ".join(f"{r['feature']} {r['observed']}" for r in it["ueba"]["reasons"])
                name = Path(root).relative_to(options.data / "zeek")
                print(f"- {name} {day} {client} {it['ueba']['score']:.3f}: {reasons}")
    low, high = poisson(total)
    per = 1000 / max(len(days), 1)
    print(f"{total} alerts in {len(days)} client-days: {total * per:.1f} in 1,000 ({low * per:.1f} to {high * per:.1f})")


if __name__ == "__main__":
    main()
