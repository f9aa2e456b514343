#!/usr/bin/env python3
"""What a quote over HTTP costs, beside nginx with a static file of that size.

Usage: beside_nginx.py STOCKD [ROUNDS [SECONDS [LOADER]]]

stockd (one worker, one thread of HTTP) and nginx (one process, no log, files kept open) have core 0, by turns; the load generator,
`stockd load --protocol http` of LOADER (STOCKD unless given), has core 1. Both answer GET /v1/stocks/S0000000 and so on, 1,000 names, with the same JSON. Printed are
medians over the rounds (5 unless given) of requests a second and of the server's CPU time a request, and the ratio of stockd to nginx
with its lowest and highest of a round. HTTP/2 is spoken with prior knowledge.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request

import servers

STOCKS = 1000

# Protocol, connections, requests at once on each.
SCENARIOS = [("http", 1, 1), ("http", 50, 1), ("http", 50, 16), ("http2", 10, 16)]

CONFIGURATION = """
daemon off;
master_process off;
worker_rlimit_nofile 10000;
error_log stderr error;
pid {directory}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    open_file_cache max=10000 inactive=1h;
    open_file_cache_valid 1h;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port} http2;
        root {directory}/root;
    }}
    server {{
        listen 127.0.0.1:{plain};
        root {directory}/root;
    }}
}}
"""


ON_A_CORE = ["taskset", "-c", "0"]


def load(server, loader, protocol, connections, pipeline, seconds, *more):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        arguments = ["taskset", "-c", "1", loader, "load", "--protocol", protocol]
        arguments += ["--server", server.addresses[protocol], "--pid", str(server.process.pid)]
        arguments += ["--stocks", str(STOCKS), "-c", str(connections), "-p", str(pipeline)]
        arguments += ["--warmup", "300ms", "--duration", f"{seconds}s", "--repeats", "0"]
        arguments += ["--json", report.name, *more]
        subprocess.run(arguments, check=True, **servers.QUIET)
        return json.load(report)["points"][0]["repetitions"][0]


def start_stockd(stockd):
    server = servers.stockd(stockd, listeners=("resp", "http"), before=ON_A_CORE)
    server.addresses["http2"] = server.addresses["http"]
    load(server, stockd, "resp", 1, 1, 0.1, "--fill")
    return server


def start_nginx(stockd, directory):
    files = f"{directory}/root/v1/stocks"
    os.makedirs(files)
    for number in range(STOCKS):
        address = f"http://{stockd.addresses['http']}/v1/stocks/S{number:07}"
        with urllib.request.urlopen(address) as quote, open(f"{files}/S{number:07}", "wb") as file:
            file.write(quote.read())
    os.chmod(directory, 0o755)
    http2 = servers.free_port()

    def arguments(plain):
        with open(f"{directory}/nginx.conf", "w") as file:
            file.write(CONFIGURATION.format(directory=directory, port=http2, plain=plain))
        return [*ON_A_CORE, "nginx", "-p", directory, "-c", f"{directory}/nginx.conf"]

    server = servers.on_free_port("http", arguments)
    server.addresses["http2"] = f"127.0.0.1:{http2}"
    return server


def main():
    numbers = sys.argv[2:4]
    rounds, seconds = (int(it) for it in numbers + ["5", "2"][len(numbers) :])
    loader = sys.argv[4] if len(sys.argv) > 4 else sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        with contextlib.ExitStack() as ends:
            stockd = ends.enter_context(start_stockd(sys.argv[1]))
            running = [stockd, ends.enter_context(start_nginx(stockd, directory))]
            print("                       requests/s                            CPU µs a request")
            print("protocol  clients  at once   stockd    nginx  ratio               stockd  nginx  ratio")
            for protocol, connections, pipeline in SCENARIOS:
                rows = [
                    [
                        load(server, loader, protocol, connections, pipeline, seconds)
                        for server in running
                    ]
                    for _ in range(rounds)
                ]
                # A machine that is busy otherwise may answer nothing for a while.
                rows = [row for row in rows if all(run["requests_a_second"] for run in row)]
                if not rows:
                    print(f"{protocol:8}  {connections:7}  {pipeline:7}  nothing was answered")
                    continue
                print(f"{protocol:8}  {connections:7}  {pipeline:7}", end="")
                for figure, scale, digits in [
                    ("requests_a_second", 1, 0),
                    ("server_cpu_ns_per_request", 1000, 1),
                ]:
                    pairs = [[run[figure] / scale for run in row] for row in rows]
                    ours, theirs = map(statistics.median, zip(*pairs))
                    ratios = sorted(ours / theirs for ours, theirs in pairs)
                    middle = statistics.median(ratios)
                    spread = f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                    print(f"  {ours:7.{digits}f}  {theirs:7.{digits}f}  {spread:19}", end="")
                saturated = any(run["load_saturated"] for row in rows for run in row)
                print("  load generator at its limit" if saturated else "", flush=True)


if __name__ == "__main__":
    main()
