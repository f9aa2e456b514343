#!/usr/bin/env python3
"""What load on the service plane does to those who ask the data plane.

Usage: planes.py STOCKD [ROUNDS [SECONDS]]

One server with one worker and one thread of HTTP, 10,000 stocks, in memory. Polite clients send GETs over RESP, 2,000 a second over 20 connections,
each counted from when it was due; they are measured alone and beside each load of the service plane, by turns: requests over HTTP/1.1
and HTTP/2 as fast as they are answered, lookups of 500 names at once, and 500 Server-Sent Events clients that are told 2,000 updates a second.
Where clients and servers share the processors much of what a load does is the machine's doing, so in each round the same load is also put on a second
server, beside the polite clients of the first. Printed are medians over the rounds (5 unless given) of p50, p99 and p99.9 of the polite clients, with
the load on their own server and on the other, and the ratio of the two p99.9 with its lowest and highest, which says what the service plane
of a server does to its data plane. Goal: below 2.
"""

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading

import servers

STOCKS = 10_000


class Loaded:
    """A server that is put under load."""

    def __init__(self, stockd, address):
        self.stockd, self.address = stockd, address
        subprocess.run(self.command("resp", "--fill", "-n", "1"), check=True, **servers.QUIET)

    def command(self, protocol, *more, stocks=STOCKS):
        address = self.address["resp" if protocol == "resp" else "http"]
        arguments = [self.stockd, "load", "--protocol", protocol, "--server", address]
        arguments += ["--resp", self.address["resp"], "--http", self.address["http"]]
        return arguments + ["--stocks", str(stocks), "--repeats", "0", *more]

    def polite(self, seconds):
        """Latencies of the polite clients, in µs: p50, p99, p99.9."""
        with tempfile.NamedTemporaryFile(suffix=".json") as report:
            more = ["-c", "20", "--rate", "2000", "--warmup", "500ms", "--json", report.name]
            more += ["--duration", f"{seconds}s"]
            subprocess.run(self.command("resp", *more), check=True, **servers.QUIET)
            latency = json.load(report)["points"][0]["repetitions"][0]["latency"]
        return [latency[name] / 1000 for name in ("p50_ns", "p99_ns", "p999_ns")]


class Batches:
    """Clients that look up 500 names at once, again and again, until they are ended."""

    def __init__(self, server):
        names = json.dumps({"symbols": [f"S{number:07}" for number in range(500)]})
        head = "POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.request = f"{head}Content-Length: {len(names)}\r\n\r\n{names}".encode()
        host, port = server.address["http"].rsplit(":", 1)
        self.sockets = [socket.create_connection((host, int(port))) for _ in range(2)]
        self.threads = [threading.Thread(target=self.ask, args=[it]) for it in self.sockets]
        for thread in self.threads:
            thread.start()

    def ask(self, connection):
        try:
            while True:
                connection.sendall(self.request)
                received = b""
                while not received.endswith((b'"missing":[]}', b'"missing":[]}\r\n0\r\n\r\n')):
                    more = connection.recv(1 << 20)
                    if not more:
                        return
                    received = received[-64:] + more
        except OSError:
            return

    def end(self):
        for connection in self.sockets:
            connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


class Load:
    """`stockd load` until it is ended."""

    def __init__(self, server, protocol, *more, stocks=STOCKS):
        endless = ["--warmup", "0s", "--duration", "1h"]
        arguments = server.command(protocol, *endless, *more, stocks=stocks)
        self.process = subprocess.Popen(arguments, **servers.QUIET)

    def end(self):
        self.process.kill()
        self.process.wait()


class Nothing:
    def end(self):
        pass


BESIDE = {
    "alone": lambda server: Nothing(),
    "HTTP/1.1": lambda server: Load(server, "http", "-c", "20"),
    "HTTP/1.1, 5,000 a second": lambda server: Load(server, "http", "-c", "20", "--rate", "5000"),
    "HTTP/2, 16 at once": lambda server: Load(server, "http2", "-c", "4", "-p", "16"),
    "500 names at once": Batches,
    "500 event streams": lambda server: Load(
        server, "resp", "-c", "1", "--updates", "100", "--rate", "2000",
        "--subscribers", "500", "--subscribe-with", "sse", stocks=100,
    ),
}


def measure(server, loaded, begin, seconds):
    """Latencies of the polite clients of a server beside a load on the same or another server."""
    beside = begin(loaded)
    try:
        return server.polite(seconds)
    finally:
        beside.end()


def main():
    numbers = sys.argv[2:]
    rounds, seconds = (int(it) for it in numbers + ["5", "5"][len(numbers) :])
    own, other = ({name: [] for name in BESIDE} for _ in range(2))
    with contextlib.ExitStack() as ends:
        started = [servers.stockd(sys.argv[1], listeners=("resp", "http")) for _ in range(2)]
        both = [Loaded(sys.argv[1], ends.enter_context(it).addresses) for it in started]
        for _ in range(rounds):
            for name, begin in BESIDE.items():
                for loaded, taken in zip(both, (own, other)):
                    taken[name].append(measure(both[0], loaded, begin, seconds))
    print("the data plane beside       same server: p50 µs    p99  p99.9   another: p50    p99  p99.9  ratio of p99.9")
    for name in BESIDE:
        columns = [statistics.median(column) for rows in (own, other) for column in zip(*rows[name])]
        ratios = sorted(mine[2] / theirs[2] for mine, theirs in zip(own[name], other[name]))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        p50, p99, p999, *rest = columns
        print(f"{name:26} {p50:20.0f} {p99:6.0f} {p999:6.0f} {rest[0]:14.0f} {rest[1]:6.0f} {rest[2]:6.0f}  {spread}")


if __name__ == "__main__":
    main()
