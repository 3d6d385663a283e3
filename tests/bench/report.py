"""Medians of the samples, and the Markdown tables."""

import statistics


def medians(samples):
    """{section: {label: {binary: {figure: median}}}}"""
    found = {}
    for (section, label), binaries in samples.items():
        for name, rounds in binaries.items():
            figures = {figure: statistics.median(one[figure] for one in rounds) for figure in rounds[0]}
            found.setdefault(section, {}).setdefault(label, {})[name] = figures
    return found


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def ratio(value, base):
    return f"{value / base:.2f}×" if base else "–"


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def plain(labels, names):
    """One figure per binary, then the ratios to the last."""
    base, others = names[-1], names[:-1]
    rows = []
    for label, found in sorted(labels.items(), key=lambda entry: ("after load" in entry[0], entry[0].split(",")[0] != "start to healthy")):
        row = [label] + [number(found[name]["value"]) for name in names]
        rows.append(row + [ratio(found[name]["value"], found[base]["value"]) for name in others])
    return table(["figure", *names, *(f"{name} / {base}" for name in others)], rows)


def work(labels, names):
    """A line per work and binary, with its ratios to the last binary."""
    base = names[-1]
    rows = []
    for label, found in labels.items():
        for name in names:
            mine, theirs = found[name], found[base]
            row = [label, name] + [number(mine[figure]) for figure in ("rate", "p50", "p99", "cpu")]
            row += ["", "", "", ""] if name == base else [ratio(mine[figure], theirs[figure]) for figure in ("rate", "p50", "p99", "cpu")]
            notes = f"{mine['failed']:.0f} failed" if mine["failed"] else ""
            if mine.get("delivered", 1) < 0.999:
                notes += f" {mine['delivered']:.0%} delivered"
            rows.append(row + [notes.strip()])
    return table(["work", "binary", "req/s", "p50 ms", "p99 ms", "CPU µs/req", "rate", "p50", "p99", "CPU", ""], rows)


def swap(labels, names):
    rows = []
    for label, found in labels.items():
        for name in names:
            mine = found[name]
            rows.append([label, name, f"{mine['requests']:,.0f}", f"{mine['failed']:,.0f}", f"{mine['edits']:.0f}",
                         f"{number(mine['still'])} → {number(mine['edited'])}", ratio(mine["edited"], mine["still"]),
                         "kept" if mine["kept"] else "lost"])
    return table(["store", "binary", "requests", "failed", "edits", "p99 ms, still → edited", "p99", "data"], rows)


def invocation(labels, names):
    """What two sidecars add to a call that the caller could have made directly."""
    base = names[-1]
    rows = []
    for label, found in labels.items():
        for name in (name for name in names if name in found):
            mine, theirs = found[name], found.get(base)
            row = [label, name] + [number(mine[figure]) for figure in ("rate", "p50", "p99", "added", "cpu", "memory")]
            other = theirs if theirs and name != base else None
            row += [ratio(mine[figure], other[figure]) if other else "" for figure in ("added", "cpu", "memory")]
            rows.append(row + [f"{mine['failed']:.0f} failed" if mine["failed"] else ""])
    return table(["call", "binary", "req/s", "p50 ms", "p99 ms", "added ms", "CPU µs/req", "MiB", "added", "CPU", "memory", ""], rows)


def messages(labels, names):
    """From publication to delivery."""
    base = names[-1]
    rows = []
    for label, found in labels.items():
        for name in (name for name in names if name in found):
            mine, theirs = found[name], found.get(base)
            row = [label, name] + [number(mine[figure]) for figure in ("rate", "p50", "p99", "cpu", "memory")]
            other = theirs if theirs and name != base else None
            row += [ratio(mine[figure], other[figure]) if other else "" for figure in ("rate", "p50", "p99", "cpu", "memory")]
            rows.append(row + [f"{mine['failed']:.0f} lost" if mine["failed"] else ""])
    return table(["messages", "binary", "msg/s", "p50 ms", "p99 ms", "CPU µs/msg", "MiB", "rate", "p50", "p99", "CPU", "memory", ""], rows)


def streams(labels, names):
    base = names[-1]
    rows = []
    for label, found in labels.items():
        for name in (name for name in names if name in found):
            mine, theirs = found[name], found.get(base)
            row = [label, name] + [number(mine[figure]) for figure in ("rate", "cpu", "peak")]
            other = theirs if theirs and name != base else None
            row += [ratio(mine[figure], other[figure]) if other else "" for figure in ("rate", "cpu", "peak")]
            rows.append(row + ["" if mine["whole"] == 1 else "not whole"])
    return table(["stream", "binary", "MiB/s", "CPU ms/MiB", "peak MiB more", "rate", "CPU", "peak", ""], rows)


def neighbours(labels, names):
    rows = []
    for label, found in labels.items():
        for name in (name for name in names if name in found):
            mine = found[name]
            rows.append([label, name, f"{mine['calls']:,.0f}", f"{mine['failed']:,.0f}", f"{number(mine['still'])} → {number(mine['beside'])}",
                         ratio(mine["beside"], mine["still"]), f"{mine['attacks']:,.0f}"])
    return table(["the other one", "binary", "calm calls", "failed", "p99 ms, alone → beside", "p99", "misdeeds"], rows)


SECTIONS = [
    ("start", "Start and memory", plain),
    ("work", "Work: 1 KiB values, wrk with one thread; the ratios are to the last binary", work),
    ("messages", "Messages of 1 KiB, published and delivered over HTTP; times are from publication to delivery", messages),
    ("invocation", "Invocation through two sidecars; `added` is the p50 above a direct call's, CPU and memory are both sidecars'", invocation),
    ("stream", "Streams of 256 MiB through two sidecars", streams),
    ("neighbours", "A calm component beside one that misbehaves all the time", neighbours),
    ("swap", "The component's YAML rewritten every 0.5 s under 16 closed-loop readers", swap),
]


def markdown(found, names):
    parts = [f"### {title}\n\n{render(found[section], names)}" for section, title, render in SECTIONS if section in found]
    return "\n".join(parts)
