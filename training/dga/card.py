"""The model's card, with its plots, from what was measured: nothing in it is written by hand twice."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from . import synth

INK = {"all": "#222222", "not dictionary": "#1f6f8b", "dictionary": "#c8553d"}


def roc(path, scores, table, rows):
    """Share found by share of false alarms, on a logarithmic axis."""
    label, dictionary = table["label"][rows], table["dictionary"][rows]
    negative = np.sort(scores[label == 0])[::-1]
    at = np.unique(np.geomspace(1, len(negative), 400).astype(int)) - 1
    figure, axes = plt.subplots(figsize=(5, 3.4), dpi=100)
    parts = {
        "all": label == 1,
        "not dictionary": (label == 1) & ~dictionary,
        "dictionary": (label == 1) & dictionary,
    }
    for part, chosen in parts.items():
        found = np.sort(scores[chosen])
        share = 1 - np.searchsorted(found, negative[at], "right") / len(found)
        axes.plot((at + 1) / len(negative), share, color=INK[part], label=part)
    axes.set(xscale="log", xlim=(1e-5, 1), ylim=(0, 1))
    axes.set(xlabel="benign names above the threshold", ylabel="generated names found")
    axes.set_title("Families never seen in training", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def calibration(path, scores, table, rows, prior):
    """What was said, and how often it was so, with families alike and at the prior."""
    label, family = table["label"][rows], table["family"][rows]
    weights = np.zeros(len(rows))
    weights[label == 0] = (1 - prior) / np.sum(label == 0)
    names, sizes = np.unique(family[label == 1], return_counts=True)
    for name, size in zip(names, sizes):
        weights[family == name] = prior / len(names) / size
    edges = 1 / (1 + np.exp(-np.arange(-8.5, 5.0, 0.75)))
    place = np.digitize(scores, edges)
    said, so = [], []
    for at in np.unique(place):
        chosen = place == at
        if chosen.sum() >= 50:
            said.append(np.average(scores[chosen], weights=weights[chosen]))
            so.append(np.average(label[chosen], weights=weights[chosen]))
    figure, axes = plt.subplots(figsize=(4, 3.4), dpi=100)
    axes.plot([1e-4, 1], [1e-4, 1], color="#aaaaaa", linewidth=1)
    axes.plot(said, so, "o-", color=INK["not dictionary"], markersize=4)
    axes.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1))
    axes.set(xlabel="probability said", ylabel="share that was generated")
    axes.set_title(f"One generated name in {round(1 / prior)}", fontsize=10)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _interval(row, at):
    return f"{row['figures'][at]:.3f} [{row['low'][at]:.3f}, {row['high'][at]:.3f}]"


def protocol(result):
    """The table of the protocol."""
    lines = [
        "| names | AUC | found at 1e-2 | mean over families | found at 1e-3 | mean over families |",
        "|---|---|---|---|---|---|",
    ]
    for part, row in result["table"].items():
        cells = " | ".join(_interval(row, at) for at in range(5))
        lines.append(f"| {part} ({row['rows']:,}) | {cells} |")
    return "\n".join(lines)


def families(result):
    """A row for each family, hardest first."""
    lines = [
        "| family | kind | names | AUC | found at 1e-2 | found at 1e-3 | found at the threshold |",
        "|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(result["families"].items(), key=lambda item: item[1]["found"][0])
    for name, row in ordered:
        kind = row["kind"].replace("_", " ")
        lines.append(
            f"| {name} | {kind} | {row['rows']:,} | {row['auc']:.3f} | {row['found'][0]:.3f} "
            f"| {row['found'][1]:.3f} | {row['over']:.3f} |"
        )
    return "\n".join(lines)


def sources(result):
    """A row for each benign source."""
    lines = ["| source | names | over the threshold | of all |", "|---|---|---|---|"]
    whole = result["sources"]["all"]["over"]
    for name, row in result["sources"].items():
        times = f"{row['over'] / whole:.1f}×" if whole else "–"
        lines.append(f"| {name} | {row['rows']:,} | {row['over']:.5f} | {times} |")
    return "\n".join(lines)


def real_names(result):
    """The names of real logs that score highest."""
    lines = ["| name | probability |", "|---|---|"]
    lines += [f"| `{name}` | {score:.3f} |" for score, name in result["real"]["highest"][:15]]
    return "\n".join(lines)


def write(out, result, scores, table, rows, prior, version):
    """`dga.md` and its plots: the words of `card.md` around what was measured."""
    roc(out / "dga-roc.png", scores, table, rows)
    calibration(out / "dga-calibration.png", scores, table, rows, prior)
    words = (out.parent / "training" / "card.md").read_text(encoding="utf-8")
    values = {
        "version": version,
        "threshold": f"{result['threshold']:.3f}",
        "prior": f"{prior:g}",
        "prior_words": f"{round(1 / prior):,}",
        "protocol": protocol(result),
        "families": families(result),
        "sources": sources(result),
        "real": real_names(result),
        "real_names": f"{result['real']['names']:,}",
        "real_usable": f"{result['real']['usable']:,}",
        "real_over": str(len(result["real"]["over"])),
        "real_verb": "is" if len(result["real"]["over"]) == 1 else "are",
        "generated": f"{result['rows']['generated']:,}",
        "family_count": str(result["rows"]["families"]),
        "benign": f"{result['rows']['benign']:,}",
        "left_out": str(result["rows"]["left_out"]),
        "per_alarm": f"{result['real']['per_alarm']:,}",
        "kinds": str(len(synth.FREE) + len(synth.MADE_OF_NAMES)),
        "members": str(result["members"]),
    }
    for name, value in values.items():
        words = words.replace("{{" + name + "}}", value)
    (out / "dga.md").write_text(words, encoding="utf-8")
