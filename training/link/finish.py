"""From trained members to what is shipped: calibration, threshold, figures, ONNX, models.toml."""

import json

import numpy as np

from common import graph, manifest, platt

from . import card, data, evaluate, export, real, tasks

VERSION = "2026.11.2"
# The version of the features (`src/feature/link.rs`).
FEATURES = 2
# Of a hundred sites that nobody here asked for before, one is taken to be bad: what a probability
# means, and nothing that a threshold set on real requests depends on.
PRIOR = 0.01
# What tables in 16 bits and another order of sums may change of a probability.
DIFFERENCE_MAX = 0.01
# Of the requests of browsers, whose site was not trained on, so many may be above the threshold; and
# of the distinct URLs of real logs without attacks, which are few.
BROWSED_OVER, REAL_OVER = 1e-3, 2e-3
PARTS = ("trees", "network", "linear")


def logits(said, task, address):
    """The weighed sum of what the members say; `said` is `[members, rows]`, `address` where the host is
    one."""
    linear = np.maximum(said[2], task.floor)
    said = task.sum[0] * said[0] + task.sum[1] * said[1] + task.sum[2] * linear
    return said + task.address * address


def members(kept):
    return {name[2:]: kept[name] for name in kept.files if name.startswith("p_")}, str(kept["text"])


def calibrate(urls, task, kept):
    """Platt's line on rows that were left out, the sources of each class alike, at `PRIOR`."""
    rows = np.concatenate([kept[run]["rows"] for run in task.pairings])
    said = np.concatenate([whole(urls, task, kept, run) for run in task.pairings])
    label = urls.label[rows]
    return platt.fit(said, label, platt.weighed(label, urls.source[rows], PRIOR))


def whole(urls, task, kept, run):
    """The logits of the rows that a run left out."""
    return logits(kept[run]["whole"], task, urls.is_address()[kept[run]["rows"]])


def probability(urls, task, kept, run, line):
    """Their probabilities."""
    return 1 / (1 + np.exp(-(line[0] * whole(urls, task, kept, run) + line[1])))


def write_model(path, task, kept, line, names):
    p, text = members(kept)
    path.write_bytes(export.build(task, p, text, line, names).SerializeToString())
    return graph.session(path)


def tables(urls, task, kept):
    """The protocol's figures: of what is reported together, of each pairing, of each member."""
    apart = ~urls.has_path() if task.detector == "phishing" else ~urls.is_address()
    scores = {run: whole(urls, task, kept, run) for run in task.pairings}

    def together(scores, runs, keep=None):
        parts, domain = [], []
        for run in runs:
            rows = kept[run]["rows"]
            chosen = np.ones(len(rows), bool) if keep is None else keep[rows]
            label = urls.label[rows][chosen]
            if 0 < label.sum() < len(label):
                parts.append((evaluate.ranks(scores[run][chosen], label), label))
                domain.append(urls.domain[rows][chosen])
        score, label = (np.concatenate(column) for column in zip(*parts))
        return evaluate.row(score, label, np.concatenate(domain))

    every = list(task.pairings)
    out = {"pooled": together(scores, every), task.apart: together(scores, every, apart)}
    if task.detector == "phishing":
        out["with a path"] = together(scores, every, ~apart)
        cut = {run: logits(kept[run]["host"], task, 0) for run in every}
        out["every path cut off"] = together(cut, every)
    each = {run: together(scores, [run]) for run in every}
    away = {run: together(scores, [run], apart) for run in every if usable(urls, kept, run, apart)}
    if task.hardest:
        for name, runs in (("mean of the pairings", every), ("the two hardest", task.hardest)):
            out[name] = mean([away[run] for run in runs])
    parts = {}
    for at, name in enumerate(PARTS):
        alone = {run: kept[run]["whole"][at] for run in every}
        parts[name] = [together(alone, every), together(alone, every, apart)]
    return {"together": out, "pairings": each, "apart": away, "members": parts}


def usable(urls, kept, run, keep):
    label = urls.label[kept[run]["rows"]][keep[kept[run]["rows"]]]
    return 0 < label.sum() < len(label)


def mean(rows):
    """The mean of figures of pairings; intervals are not those of a mean, so there are none."""
    return {
        "found": sum(row["found"] for row in rows),
        "benign": sum(row["benign"] for row in rows),
        "figures": np.mean([row["figures"] for row in rows], axis=0).tolist(),
        "low": None,
        "high": None,
    }


def by_time(urls, task, kept):
    rows, said = kept[data.TIME]["rows"], whole(urls, task, kept, data.TIME)
    label = urls.label[rows]
    if not 0 < label.sum() < len(label):
        return None
    return evaluate.row(said, label, urls.domain[rows])


def sources(urls, task, kept, line, threshold):
    """Of each source that was left out, the share at or above the threshold."""
    out = {}
    for run in task.pairings:
        rows, scores = kept[run]["rows"], probability(urls, task, kept, run, line)
        for source in np.unique(urls.source[rows]):
            for label in (1, 0):
                chosen = (urls.source[rows] == source) & (urls.label[rows] == label)
                if chosen.any():
                    out[f"{source}, {'bad' if label else 'benign'}"] = {
                        "rows": int(chosen.sum()),
                        "over": float((scores[chosen] >= threshold).mean()),
                        "trained": source not in tasks.NOT_COMMERCIAL,
                    }
    return out


def asked(served, args, task, names):
    """What real logs asked for without attacks in them, each with its probability, highest first; the
    client-days of the logs, and who asked for what when."""
    found = real.requests(args.data / "zeek")
    if task.detector == "phishing":
        found = found + real.names(args.data / "zeek")
    clean = [row for row in found if not row[3]]
    texts = sorted({row[0] for row in clean})
    columns, usable = data.features(args.binary, texts, args.work)
    ends = [names.index(f"extension_{kind}") for kind in task.ends]
    if ends:
        usable &= columns["measures"][:, ends].any(axis=1)
    scores = export.score(served, columns)
    rows = sorted(((float(s), text) for s, text, ok in zip(scores, texts, usable) if ok), reverse=True)
    return rows, len({(client, day) for _, client, day, _ in clean}), clean


def least(scores, share):
    """The lowest threshold in thousandths that at most `share` of the scores reach."""
    limit = np.sort(scores)[::-1][int(share * len(scores))]
    return (int(limit * 1000) + 1) / 1000


def toml(args, task, urls, result):
    """The tables of models.toml."""
    name = task.detector
    lines = [
        f"[{name}]",
        f'file = "{name}.onnx"',
        f'sha256 = "{manifest.sha256(args.out / f"{name}.onnx")}"',
        f'version = "{VERSION}"',
        f"opset = {graph.OPSET}",
        f"features = {FEATURES}",
        manifest.inputs(data.WIDTHS),
        f"threshold = {result['threshold']:.3f}",
        f"prior = {PRIOR}",
        "",
        f"[{name}.data]",
        f'sha256 = "{data.fingerprint(args.data, task)}"',
        f"bad = {result['rows']['bad']}",
        f"benign = {result['rows']['benign']}",
        f'licence = "facts from public lists, none of them for use without commerce only; see {name}.md"',
        "",
        f"[{name}.metrics]",
        f'protocol = "leave-source-out, {len(task.pairings)} pairings"',
    ]
    for part, row in result["tables"]["together"].items():
        auc, found2, found3 = row["figures"]
        key = part.replace(" ", "_")
        lines.append(f"{key} = {{ auc = {auc:.4f}, tpr_1e-2 = {found2:.3f}, tpr_1e-3 = {found3:.3f} }}")
    lines.append(f"browsed_over = {result['browsed']['over']:.6f}")
    lines.append(f"real_urls = {result['real']['urls']}")
    lines.append(f"real_urls_over = {len(result['real']['over'])}")
    return "\n".join(lines) + "\n"


def write(args, task, urls, kept):
    """All that the training of one detector makes."""
    args.out.mkdir(exist_ok=True)
    line = calibrate(urls, task, kept)
    for run in task.pairings:
        rows = kept[run]["rows"]
        served = write_model(args.work / "left-out.onnx", task, kept[run], line, urls.names)
        said = export.score(served, {name: column[rows] for name, column in urls.columns.items()})
        apart = np.abs(said - probability(urls, task, kept, run, line)).max()
        assert apart < DIFFERENCE_MAX, f"{run}: ONNX and its members are {apart} apart"
    served = write_model(args.out / f"{task.detector}.onnx", task, kept[data.ALL], line, urls.names)
    found, days, clean = asked(served, args, task, urls.names)
    browsed = probability(urls, task, kept, data.BROWSER, line)
    threshold = max(
        least(browsed, BROWSED_OVER), least(np.array([score for score, _ in found]), REAL_OVER)
    )
    over = {text for score, text in found if score >= threshold}
    result = {
        "line": line,
        "threshold": threshold,
        "tables": tables(urls, task, kept),
        "time": by_time(urls, task, kept),
        "sources": sources(urls, task, kept, line, threshold),
        "browsed": {"urls": len(browsed), "over": float((browsed >= threshold).mean())},
        "real": {
            "urls": len(found),
            "days": days,
            "over": sorted(over),
            "client_days": len({(url, client, day) for url, client, day, _ in clean if url in over}),
            "highest": found[:15],
        },
        "rows": {
            "bad": int((urls.label[data.split(urls, task, data.ALL)[0]] == 1).sum()),
            "benign": int((urls.label[data.split(urls, task, data.ALL)[0]] == 0).sum()),
        },
    }
    (args.work / "result.json").write_text(json.dumps(result, indent=1))
    manifest.write(args.out / "models.toml", task.detector, toml(args, task, urls, result))
    card.write(args.out, task, urls, kept, result)
    for part, row in result["tables"]["together"].items():
        print(part, *(f"{figure:.3f}" for figure in row["figures"]), flush=True)
