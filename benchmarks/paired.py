#!/usr/bin/env python3
"""Two builds of stockd under the same load, by turns: is one dearer than the other?

Usage: paired.py LOADER BEFORE AFTER [ROUNDS]

All three are stockd binaries; LOADER runs `stockd load` against the other two, which serve 10,000 stocks
with one worker each. Printed are the medians over the rounds (7 unless given) of the server's CPU time a lookup,
and the ratio of the second to the first, with its lowest and highest of a round. A round in which other programs
disturbed a run does not count and is repeated, at most as often as there are rounds; where no more than half are left, the
figures are those of all rounds, and said to be disturbed.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile

import servers

SCENARIOS = [
    ("line", 1, 1),
    ("line", 16, 1),
    ("resp", 1, 1),
    ("resp", 16, 1),
    ("resp", 256, 1),
    ("resp", 1, 100),
    ("resp", 16, 100),
]


def cpu_ns(loader, server, protocol, pipeline, mget, *more):
    """CPU time of the server a lookup, over two seconds, and whether others disturbed that."""
    connections = 8 if pipeline == 256 else 50
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        arguments = [loader, "load", "--protocol", protocol, "--json", report.name]
        arguments += ["--server", server.addresses[protocol], "--resp", server.addresses["resp"]]
        arguments += ["--pid", str(server.process.pid), "--stocks", "10000"]
        arguments += ["-c", str(connections), "-p", str(pipeline), "--mget", str(mget)]
        arguments += ["--warmup", "500ms", "--duration", "2s", "--repeats", "0", *more]
        subprocess.run(arguments, check=True, **servers.QUIET)
        run = json.load(report)["points"][0]["repetitions"][0]
    return run["server_cpu_ns_per_lookup"], run["disturbed"]


def measured(loader, running, rounds, *scenario):
    """The figures of both servers by round, and what is to be said of them."""
    all_rounds, quiet = [], []
    while len(quiet) < rounds and len(all_rounds) < 2 * rounds:
        runs = [cpu_ns(loader, server, *scenario) for server in running]
        all_rounds.append([ns for ns, _ in runs])
        if not any(disturbed for _, disturbed in runs):
            quiet.append(all_rounds[-1])
    if len(quiet) * 2 <= rounds:
        return all_rounds, "  disturbed"
    return quiet, ""


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    loader, rounds = sys.argv[1], int(sys.argv[4]) if len(sys.argv) > 4 else 7
    with contextlib.ExitStack() as ends:
        start = lambda binary: servers.stockd(binary, listeners=("line", "resp"))
        running = [ends.enter_context(start(binary)) for binary in sys.argv[2:4]]
        for server in running:
            cpu_ns(loader, server, "line", 1, 1, "--fill")
        print("protocol  pipelined  MGET of  before ns  after ns  ratio")
        for protocol, pipeline, mget in SCENARIOS:
            taken, note = measured(loader, running, rounds, protocol, pipeline, mget)
            before, after = map(statistics.median, zip(*taken))
            ratios = [after / before for before, after in taken]
            print(
                f"{protocol:8}  {pipeline:9}  {mget:7}  {before:9.0f}  {after:8.0f}  "
                f"{after / before:5.2f} ({min(ratios):.2f} to {max(ratios):.2f}){note}",
                flush=True,
            )


if __name__ == "__main__":
    main()
