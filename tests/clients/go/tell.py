"""Reads `go test -json`: prints what failed, then `N passed, N failed`. A test with parts counts as its parts."""

import json
import sys

outcomes, output, rest = {}, {}, []
for line in sys.stdin:
    try:
        event = json.loads(line)
    except ValueError:
        rest.append(line)
        continue
    name, action = event.get("Test"), event["Action"]
    if name is None:
        rest += [event["Output"]] if action == "output" else []
    elif action == "output":
        output.setdefault(name, []).append(event["Output"])
    elif action in ("pass", "fail", "skip"):
        outcomes[name] = action
parents = {name.rpartition("/")[0] for name in outcomes} | {name for name in output if name not in outcomes and name.split("/")[0] in outcomes}
counts = {"pass": 0, "fail": 0, "skip": 0}
for name, outcome in outcomes.items():
    if outcome == "fail":
        print("".join(output.get(name, [])))
    if name not in parents or outcome == "fail" and not any(other.startswith(name + "/") and result == "fail" for other, result in outcomes.items()):
        counts[outcome] += 1
if not outcomes or counts["fail"]:
    print("".join(rest))
print(f"{counts['pass']} passed, {counts['fail']} failed")
sys.exit(0 if counts["pass"] and not counts["fail"] else 1)
