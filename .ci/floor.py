#!/usr/bin/env python3
"""Compares a conformance run with the floors: floor.py FLOORS RESULTS.json

FLOORS has a line for each group: its name and the least share of its cases that must pass, in percent. A group without a
line has no floor. RESULTS.json maps `group/case` to whether it passed.
"""
import json
import sys


def main(floors, results):
    with open(results, encoding="utf-8") as f:
        outcome = json.load(f)
    groups = {}
    for case, passed in outcome.items():
        groups.setdefault(case.split("/")[0], []).append(passed)
    below = []
    with open(floors, encoding="utf-8") as f:
        for line in f:
            line = line.split("#", 1)[0].split()
            if not line:
                continue
            group, floor = line[0], float(line[1])
            cases = groups.get(group, [])
            share = 100 * sum(cases) / len(cases) if cases else 0.0
            if share < floor:
                below.append(f"{group}: {share:.1f} % passed, the floor is {floor:.1f} %")
    print("\n".join(below) or "conformance: every group is above its floor")
    return 1 if below else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
