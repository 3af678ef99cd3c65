"""The model's card, with its plots, from what was measured: the words of `card.md` around figures."""

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from common import platt

from . import data, finish

COLOURS = ("#1f6f8b", "#c8553d", "#6a994e", "#7d5ba6", "#b08900")


def _parts(urls, task, kept, line):
    for run, colour in zip(task.pairings, COLOURS):
        rows = kept[run]["rows"]
        score = finish.probability(urls, task, kept, run, line)
        yield run, colour, score, urls.label[rows], rows


def _figure(title, size=(5, 3.4)):
    figure, axes = plt.subplots(figsize=size, dpi=100)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure, axes, path, where):
    axes.legend(loc=where, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def roc(path, urls, task, kept, line):
    """Share found by share of false alarms of each pairing, on a logarithmic axis."""
    figure, axes = _figure("Sources never seen in training")
    for run, colour, score, label, _ in _parts(urls, task, kept, line):
        negative, found = np.sort(score[label == 0])[::-1], np.sort(score[label == 1])
        at = np.unique(np.geomspace(1, len(negative), 300).astype(int)) - 1
        share = 1 - np.searchsorted(found, negative[at], "right") / len(found)
        axes.plot((at + 1) / len(negative), share, color=colour, label=run)
    axes.set(xscale="log", xlim=(1e-4, 1), ylim=(0, 1))
    axes.set(xlabel="benign URLs above the threshold", ylabel="bad URLs found")
    _save(figure, axes, path, "lower right")


def calibration(path, urls, task, kept, line):
    """What was said and how often it was so, at the prior, of each pairing: how far sources part."""
    figure, axes = _figure(f"One bad URL in {round(1 / finish.PRIOR)}", (4.2, 3.4))
    axes.plot([1e-4, 1], [1e-4, 1], color="#aaaaaa", linewidth=1)
    edges = 1 / (1 + np.exp(-np.arange(-8.5, 6.0, 1.0)))
    for run, colour, score, label, rows in _parts(urls, task, kept, line):
        weights = platt.weighed(label, urls.source[rows], finish.PRIOR)
        place, said, so = np.digitize(score, edges), [], []
        for at in range(len(edges) + 1):
            chosen = place == at
            if chosen.sum() >= 50:
                said.append(np.average(score[chosen], weights=weights[chosen]))
                so.append(np.average(label[chosen], weights=weights[chosen]))
        axes.plot(said, so, "o-", color=colour, markersize=3, linewidth=1, label=run)
    axes.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1))
    axes.set(xlabel="probability said", ylabel="share that was bad")
    _save(figure, axes, path, "upper left")


def _cell(row, at):
    if row["low"] is None:
        return f"{row['figures'][at]:.3f}"
    return f"{row['figures'][at]:.3f} [{row['low'][at]:.3f}, {row['high'][at]:.3f}]"


def table(rows):
    """Rows of figures with intervals."""
    lines = ["| rows | bad, benign | AUC | found at 1e-2 | at 1e-3 |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        cells = " | ".join(_cell(row, at) for at in range(3))
        lines.append(f"| {name} | {row['found']:,}, {row['benign']:,} | {cells} |")
    return "\n".join(lines)


def members(task, found):
    lines = [f"| | all rows | {task.apart} |", "|---|---|---|"]
    for name, rows in found.items():
        cells = [", ".join(f"{figure:.3f}" for figure in row["figures"]) for row in rows]
        lines.append(f"| {name} alone | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def sources(found):
    lines = ["| source | URLs | over the threshold | trained on |", "|---|---|---|---|"]
    for name, row in found.items():
        trained = "yes" if row["trained"] else "never"
        lines.append(f"| {name} | {row['rows']:,} | {row['over']:.4f} | {trained} |")
    return "\n".join(lines)


def shown(text):
    """A URL as a cell of a table: nothing to click on, nothing that breaks it."""
    text = re.sub(r"[^\x21-\x7e]|[`|]", "?", text)
    return f"`{text[:77]}…`" if len(text) > 78 else f"`{text}`"


def highest(rows):
    lines = ["| asked for | probability |", "|---|---|"]
    return "\n".join(lines + [f"| {shown(text)} | {score:.3f} |" for score, text in rows])


def write(out, task, urls, kept, result):
    """`<detector>.md` and its plots."""
    name, line, tables = task.detector, result["line"], result["tables"]
    roc(out / f"{name}-roc.png", urls, task, kept, line)
    calibration(out / f"{name}-calibration.png", urls, task, kept, line)
    here = Path(__file__).parent
    words = (here / "card.md").read_text(encoding="utf-8")
    own = (here / f"{name}.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", own, flags=re.M)[1:]:
        title, text = part.split("\n", 1)
        words = words.replace("{{" + title.strip() + "}}", text.strip())
    trained = data.split(urls, task, data.ALL)[0]
    used = sorted({(str(urls.source[row]), int(urls.label[row])) for row in trained})
    counts = [
        f"{source} ({int(((urls.source[trained] == source) & (urls.label[trained] == label)).sum()):,} "
        f"{'bad' if label else 'benign'})"
        for source, label in used
    ]
    real = result["real"]
    values = {
        "detector": name,
        "version": finish.VERSION,
        "threshold": f"{result['threshold']:.3f}",
        "prior": f"{finish.PRIOR:g}",
        "prior_words": f"{round(1 / finish.PRIOR):,}",
        "pairings": str(len(task.pairings)),
        "measures": str(len(data.seen(urls.names, task))),
        "together": table(tables["together"]),
        "each": table(tables["pairings"]),
        "apart": table(tables["apart"]),
        "apart_name": task.apart,
        "time": table({"later than training": result["time"]}) if result["time"] else
        "The data have no later rows of both classes.",
        "members": members(task, tables["members"]),
        "shares": ", ".join(f"{share:g} {part}" for share, part in zip(task.sum, finish.PARTS)),
        "floor": f"{task.floor:g}",
        "address": f", and {task.address:g} are added for an address" if task.address else "",
        "sources": sources(result["sources"]),
        "browsed": f"{result['browsed']['urls']:,}",
        "browsed_over": f"{result['browsed']['over']:.5f}",
        "real_urls": f"{real['urls']:,}",
        "real_days": str(real["days"]),
        "real_over": str(len(real["over"])),
        "client_days": str(real["client_days"]),
        "highest": highest(real["highest"]),
        "used": "; ".join(counts),
        "synthetic": f"{round(100 * task.programs)}",
        "machines": f", and {task.machines} bare names of machines that providers make up"
        if task.machines else "",
    }
    for key, value in values.items():
        words = words.replace("{{" + key + "}}", value)
    left = re.findall(r"\{\{.*?\}\}", words)
    assert not left, f"the card has no words for {left}"
    (out / f"{name}.md").write_text(words, encoding="utf-8")
