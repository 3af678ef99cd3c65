"""From trained networks to what is shipped: calibration, threshold, figures, ONNX, models.toml."""

import json

import numpy as np

from common import graph, manifest, platt

from . import card, data, evaluate, export, model, real

VERSION = "2026.11.1"
# Of a hundred registered domains on a network that are not popular, one is taken to be generated:
# what a probability means, and nothing that a threshold set on real logs depends on.
PRIOR = 0.01
# What tables in 16 bits and another order of sums may change of a probability.
DIFFERENCE_MAX = 0.005
# Distinct names of real logs above the threshold: one in so many at most.
REAL_NAMES_PER_ALARM = 2000


def calibrate(logits, table, rows):
    """Platt's line on rows that were left out, families alike, at `PRIOR`."""
    label, family = table["label"][rows], table["family"][rows]
    families = np.where(label == 1, family, "")
    return platt.fit(logits, label, platt.weighed(label, families, PRIOR))


def logits_of(kept):
    """The mean of what networks and trees say."""
    return (kept[0]["logits"] + kept[1]["logits"]) / 2


def networks(kept):
    tables = {name: kept[f"t_{name}"] for name in model.KNOWN}
    members = sorted({int(key.split("_")[0]) for key in kept.files if key[0].isdigit()})
    return [
        {key.split("_", 1)[1]: kept[key] for key in kept.files if key.startswith(f"{at}_")}
        for at in members
    ], tables


def write_model(path, kept, slope, offset):
    members, tables = networks(kept[0])
    text = str(kept[1]["text"])
    path.write_bytes(export.build(members, tables, text, slope, offset).SerializeToString())
    return graph.session(path)


def real_names(served, args):
    """Names of real logs with their probabilities, highest first, and how many cannot be scored."""
    asked = real.read(args.data / "zeek")
    *columns, usable = data.features(args.binary, list(asked), args.work)
    scores = export.score(served, columns)
    rows = [(float(scores[at]), name) for at, name in enumerate(asked) if usable[at]]
    return sorted(rows, reverse=True), len(asked)


def threshold_on(names, total, limit):
    """The lowest threshold in thousandths that keeps the promise on real names, and is above `limit`.

    Real names are few, and the shipped model was trained on many of them as popular ones.
    """
    allowed = total // REAL_NAMES_PER_ALARM
    return (int(max(names[allowed][0], limit) * 1000) + 1) / 1000


def sources(scores, table, rows, threshold):
    """Of each benign source, the share at or above the threshold."""
    out = {}
    for source in np.unique(table["source"][table["label"] == 0]):
        chosen = (table["source"][rows] == source) & (table["label"][rows] == 0)
        over = scores[chosen] >= threshold
        out[str(source)] = {"rows": int(chosen.sum()), "over": float(over.mean())}
    chosen = table["label"][rows] == 0
    out["all"] = {"rows": int(chosen.sum()), "over": float((scores[chosen] >= threshold).mean())}
    return out


def toml(sha256, threshold, result, args):
    """The table of models.toml."""
    rows = result["rows"]
    lines = [
        "[dga]",
        'file = "dga.onnx"',
        f'sha256 = "{sha256}"',
        f'version = "{VERSION}"',
        f"opset = {graph.OPSET}",
        "features = 1",
        manifest.inputs(export.WIDTHS),
        f"threshold = {threshold:.3f}",
        f"prior = {PRIOR}",
        "",
        "[dga.data]",
        f'sha256 = "{manifest.sha256(args.data / "dga.csv.gz")}"',
        f"generated = {rows['generated']}",
        f"families = {rows['families']}",
        f"benign = {rows['benign']}",
        'licence = "facts from public lists; algorithms re-implemented under MIT and GPL-2; see dga.md"',
        "",
        "[dga.metrics]",
        'protocol = "leave-family-out, five folds"',
    ]
    for part, row in result["table"].items():
        name = part.replace(" ", "_")
        auc, pooled2, macro2, pooled3, macro3 = row["figures"]
        lines.append(
            f"{name} = {{ auc = {auc:.4f}, tpr_1e-2 = {pooled2:.3f}, tpr_1e-2_macro = {macro2:.3f}, "
            f"tpr_1e-3 = {pooled3:.3f}, tpr_1e-3_macro = {macro3:.3f} }}"
        )
    lines.append(f"false_alarms = {result['sources']['all']['over']:.6f}")
    lines.append(f"real_names = {result['real']['names']}")
    lines.append(f"real_names_over = {len(result['real']['over'])}")
    return "\n".join(lines) + "\n"


def left_out(args, names, kept, line):
    """Each fold's model in a directory of its own, and what it says of the rows that it left out."""
    scores = []
    for run in range(data.FOLDS):
        directory = args.work / f"fold-{run}"
        directory.mkdir(exist_ok=True)
        served = write_model(directory / "dga.onnx", kept[run], *line)
        rows = kept[run][0]["rows"]
        said = export.score(served, [column[rows] for column in names.columns[:3]])
        trained = 1 / (1 + np.exp(-(line[0] * logits_of(kept[run]) + line[1])))
        apart = np.abs(said - trained).max()
        assert apart < DIFFERENCE_MAX, f"fold {run}: ONNX and the network are {apart} apart"
        scores.append(said)
    return np.concatenate(scores)


def describe_folds(args, text):
    """A models.toml beside each fold's model, for trials with families that it never saw."""
    for run in range(data.FOLDS):
        directory = args.work / f"fold-{run}"
        lines = [f"# Trained without fold {run}; the figures are those of all folds.", *text.splitlines()]
        sha256 = manifest.sha256(directory / "dga.onnx")
        at = next(at for at, line in enumerate(lines) if line.startswith("sha256 = "))
        lines[at] = f'sha256 = "{sha256}"'
        at = next(at for at, line in enumerate(lines) if line.startswith("version = "))
        lines[at] = f'version = "{VERSION}-without-fold-{run}"'
        (directory / "models.toml").write_text("\n".join(lines) + "\n")


def write(args, names, kept):
    """All that `training/` makes."""
    args.out.mkdir(exist_ok=True)
    table = names.table
    rows = np.concatenate([kept[run][0]["rows"] for run in range(data.FOLDS)])
    logits = np.concatenate([logits_of(kept[run]) for run in range(data.FOLDS)])
    line = calibrate(logits, table, rows)
    scores = left_out(args, names, kept, line)
    families, limits = evaluate.by_family(scores, table, rows)
    served = write_model(args.out / "dga.onnx", kept[data.ALL], *line)
    found, asked = real_names(served, args)
    threshold = threshold_on(found, asked, limits[-1])
    for family, row in families.items():
        row["over"] = float((scores[table["family"][rows] == family] >= threshold).mean())
    result = {
        "table": evaluate.table(families),
        "families": families,
        "limits": [float(limit) for limit in limits],
        "threshold": threshold,
        "line": line,
        "sources": sources(scores, table, rows, threshold),
        "real": {
            "names": asked,
            "per_alarm": REAL_NAMES_PER_ALARM,
            "usable": len(found),
            "over": [row for row in found if row[0] >= threshold],
            "highest": found[:25],
        },
        "rows": {
            "generated": int((table["label"] == 1).sum()),
            "families": len(families),
            "benign": int((table["label"] == 0).sum()),
            "left_out": int(len(table["label"]) - len(rows)),
        },
        "members": len(networks(kept[data.ALL][0])[0]),
    }
    text = toml(manifest.sha256(args.out / "dga.onnx"), threshold, result, args)
    manifest.write(args.out / "models.toml", "dga", text)
    describe_folds(args, text)
    (args.work / "result.json").write_text(json.dumps(result, indent=1))
    np.savez_compressed(args.work / "left-out.npz", rows=rows, scores=scores)
    card.write(args.out, result, scores, table, rows, PRIOR, VERSION)
    for part, row in result["table"].items():
        auc, *found = row["figures"]
        print(part, f"{auc:.4f}", *(f"{share:.3f}" for share in found), flush=True)
