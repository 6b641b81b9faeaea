#!/usr/bin/env python3
"""Measures Garboard beside buildah and docker.io, where they are installed, and prints a table of medians and ratios.

    bench/run.py                     everything, 5 builds of each (about 20 minutes beside one peer)
    bench/run.py --smoke             small sizes and one build of each: does it all work?
    bench/run.py --only noop --only copy-1 --runs 9
    bench/run.py --check             ends with status 1 when a wanted figure is missed

Every build but those of `run-step` is pushed to a registry on loopback, started here; its time is in the figure.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile

from peers import Buildah, Docker, Failed, Garboard, Podman, Umoci
from registry import Missing, Registry
from scenarios import ALL, Skipped

HERE = os.path.dirname(os.path.abspath(__file__))


def note(text):
    print(text, file=sys.stderr, flush=True)


def arguments():
    ap = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    ap.add_argument("--garboard", default=os.path.join(HERE, "../target/release/garboard"), help="the program to measure")
    ap.add_argument("--peers", default="garboard,buildah,docker,podman,umoci", help="which programs, comma-separated")
    ap.add_argument("--debian", help="gzip tar of a Debian for `pull` (default: debootstrap makes one)")
    ap.add_argument("--only", action="append", default=[], help="only the scenario of this name; repeatable")
    ap.add_argument("--runs", type=int, help="measured builds a scenario and builder")
    ap.add_argument("--smoke", action="store_true", help="small sizes, one build")
    ap.add_argument("--check", action="store_true", help="status 1 when a wanted figure is missed")
    ap.add_argument("--json", help="write every single figure to this file")
    ap.add_argument("--work", help="folder for everything (default: a new one under $TMPDIR, removed at the end)")
    opts = ap.parse_args()
    unknown = set(opts.only) - {s.name for s in ALL}
    if unknown:
        ap.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in ALL)}")
    return opts


def start_peers(opts, work):
    """The builders that work here; what is missing is said and left out."""
    def probe(peer):
        folder = os.path.join(work, "probe")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "Dockerfile"), "w", encoding="utf-8") as out:
            out.write(f"FROM {base}\n" + "RUN true\n" * 3)
        return peer.build(folder, f"{registry.host}/probe:latest", push=False)

    makers = {
        "garboard": lambda: Garboard(os.path.join(work, "garboard"), os.path.realpath(opts.garboard)),
        "buildah": lambda: Buildah(os.path.join(work, "buildah"), probe),
        "docker": lambda: Docker(os.path.join(work, "docker")),
        "podman": lambda: Podman(os.path.join(work, "podman")),
        "umoci": lambda: Umoci(os.path.join(work, "umoci")),
    }
    peers, registry = [], Registry(os.path.join(work, "probe-registry"))
    try:
        base = registry.push_base()
        for name in opts.peers.split(","):
            try:
                peers.append(makers[name]())
                note(f"{name}: {peers[-1].about()}")
            except Missing as why:
                note(f"skipped: {name}: {why}")
            except KeyError:
                sys.exit(f"no such builder: {name}; there are {', '.join(makers)}")
    finally:
        registry.close()
    return peers


def run_scenario(kind, peers, opts, work):
    """Figures of one scenario: builder name -> list. Builders take turns, so that a noisy minute hits all of them."""
    registry = Registry(os.path.join(work, "registry"))
    figures = {}
    try:
        scenario = kind(os.path.join(work, "context"), registry, opts)
        peers = [peer for peer in peers if scenario.suits(peer)]
        runs = opts.runs or (1 if opts.smoke else scenario.runs)
        for turn in range(runs + 1):
            scenario.change(turn)
            for peer in list(peers):
                os.sync()  # what earlier builds wrote is not this one's to wait for
                try:
                    figure = scenario.measure(peer, f"{registry.host}/{peer.name}/{scenario.name}:latest")
                except Failed as why:
                    note(f"failed: {peer.name}: {scenario.name}: {why}")
                    peers = [p for p in peers if p is not peer]
                    figures.pop(peer.name, None)
                else:
                    if turn > 0:
                        figures.setdefault(peer.name, []).append(figure)
    finally:
        registry.close()
        shutil.rmtree(os.path.join(work, "context"), ignore_errors=True)
    return figures


def judge(wanted, medians, unit):
    """Whether Garboard's median is as wanted; None where a builder to compare with is missing."""
    mine = medians.get("garboard")
    ratio = re.fullmatch(r"([\d.]+)x (\w+)", wanted)
    if ratio:
        peer = medians.get(ratio[2])
        return None if mine is None or peer is None else peer / mine >= float(ratio[1])
    return None if mine is None else mine <= float(wanted.split()[0])


def show(value, unit):
    if value is None:
        return "-"
    return f"{value:.2f}x" if unit == "x" else f"{value:.3f} s" if unit == "s" and value < 1 else f"{value:.2f} s" if unit == "s" else f"{value:.1f} {unit}"


def table(rows, names):
    """The results as a Markdown table; returns its lines and whether all that was wanted is there."""
    others = [n for n in names if n != "garboard"]
    head = ["scenario", "garboard"] + [c for n in others for c in (n, f"{n} / garboard")] + ["wanted"]
    lines, good = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"], True
    for kind, figures in rows:
        medians = {n: statistics.median(v) for n, v in figures.items() if v}
        cells = [f"{kind.name}: {kind.about}", show(medians.get("garboard"), kind.unit)]
        for n in others:
            both = n in medians and medians.get("garboard")
            cells += [show(medians.get(n), kind.unit), f"{medians[n] / medians['garboard']:.1f}x" if both else "-"]
        verdicts = [(w, judge(w, medians, kind.unit)) for w in kind.wanted]
        good &= all(v is not False for _, v in verdicts)
        cells.append(", ".join(w + {True: " yes", False: " **no**", None: " ?"}[v] for w, v in verdicts))
        lines.append("| " + " | ".join(cells) + " |")
    return lines, good


def main():
    opts = arguments()
    work = opts.work or tempfile.mkdtemp(prefix="garboard-bench-")
    os.makedirs(work, exist_ok=True)
    peers, rows = [], []
    try:
        peers = start_peers(opts, work)
        for kind in [k for k in ALL if not opts.only or k.name in opts.only]:
            note(f"{kind.name}: {kind.about}")
            try:
                rows.append((kind, run_scenario(kind, peers, opts, work)))
            except Skipped as why:
                note(f"skipped: {kind.name}: {why}")
                continue
            note("  " + json.dumps({n: [round(f, 3) for f in v] for n, v in rows[-1][1].items()}))
    except Missing as why:
        sys.exit(f"bench: {why}")
    finally:
        names = [p.name for p in peers]
        for peer in peers:
            peer.close()
        if not opts.work:
            shutil.rmtree(work, ignore_errors=True)
    lines, good = table(rows, names)
    print("\n".join(lines))
    if opts.json:
        with open(opts.json, "w", encoding="utf-8") as out:
            json.dump({k.name: v for k, v in rows}, out, indent=1)
    return 0 if good or not opts.check else 1


if __name__ == "__main__":
    sys.exit(main())
