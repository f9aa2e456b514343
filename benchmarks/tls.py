#!/usr/bin/env python3
"""What TLS costs a server, and how much memory its idle connections hold, beside Redis.

Usage: tls.py STOCKD [ROUNDS]

One process of stockd with one worker serves 10,000 stocks plain and over TLS, and one of Redis with one thread does, if
it is there. Printed are the medians over the rounds (5 unless given) of the server's CPU time a GET, by
turns, and the ratio of TLS to plain with its lowest and highest of a round; and the memory of the process for 2,000
idle connections of each kind.
"""

import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

PIPELINES = [1, 16, 256]
IDLE = 2000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server with a plain and an encrypted port."""

    def __init__(self, name, arguments, plain, encrypted, fill):
        self.name, self.fill = name, fill
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(arguments, stdout=quiet, stderr=quiet)
        self.ports = {"plain": plain, "TLS": encrypted}
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", plain)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise SystemExit(f"{name} does not listen")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024


def cpu_ns(stockd, ca, server, way, pipeline, *more):
    """CPU time of the server a GET, over two seconds."""
    prefix = {"plain": "127.0.0.1", "TLS": "tls:localhost"}[way]
    address = f"{prefix}:{server.ports[way]}"
    connections = 8 if pipeline == 256 else 50
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        arguments = [stockd, "load", "--protocol", "resp", "--json", report.name, "--tls-ca", ca]
        arguments += ["--server", address, "--resp", address, "--pid", str(server.process.pid)]
        arguments += ["--stocks", "10000", "-c", str(connections), "-p", str(pipeline)]
        arguments += ["--warmup", "500ms", "--duration", "2s", *more]
        quiet = subprocess.DEVNULL
        subprocess.run(arguments, check=True, stdout=quiet, stderr=quiet)
        point = json.load(report)["points"][0]
    return point["repetitions"][0]["server_cpu_ns_per_lookup"]


def idle_bytes(server, way, context):
    """Memory of the process for each of many connections that have asked once and wait."""
    before = server.resident_bytes()
    connections = []
    for _ in range(IDLE):
        connection = socket.create_connection(("127.0.0.1", server.ports[way]))
        if way == "TLS":
            connection = context.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(b"PING\r\n")
        assert connection.recv(64) == b"+PONG\r\n"
        connections.append(connection)
    after = server.resident_bytes()
    for connection in connections:
        connection.close()
    return (after - before) / IDLE


def servers(stockd, directory):
    subprocess.run(
        [stockd, "certificate", "new", "--host", "localhost", directory],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    pair = [f"{directory}/server.pem", f"{directory}/server.key"]
    plain, encrypted = free_port(), free_port()
    arguments = [stockd, "serve", "--ephemeral", "--workers", "1", "--log", "off"]
    arguments += ["--line", "off", "--http", "off"]
    arguments += ["--resp", f"127.0.0.1:{plain},tls:127.0.0.1:{encrypted}"]
    arguments += ["--tls-cert", pair[0], "--tls-key", pair[1]]
    yield Server("stockd", arguments, plain, encrypted, [])
    if shutil.which("redis-server"):
        plain, encrypted = free_port(), free_port()
        arguments = ["redis-server", "--port", str(plain), "--tls-port", str(encrypted)]
        arguments += ["--tls-cert-file", pair[0], "--tls-key-file", pair[1], "--save", ""]
        arguments += ["--tls-ca-cert-file", f"{directory}/ca.pem", "--tls-auth-clients", "no"]
        yield Server("Redis", arguments, plain, encrypted, ["--fill-with", "set"])


def main():
    stockd, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as directory:
        ca = f"{directory}/ca.pem"
        running = []
        try:
            for server in servers(stockd, directory):
                running.append(server)
                cpu_ns(stockd, ca, server, "plain", 1, "--fill", *server.fill)
            print("server  pipelined  plain ns  TLS ns  ratio")
            for pipeline in PIPELINES:
                taken = {server.name: [] for server in running}
                for _ in range(rounds):
                    for server in running:
                        pair = [
                            cpu_ns(stockd, ca, server, way, pipeline) for way in ("plain", "TLS")
                        ]
                        taken[server.name].append(pair)
                for name, pairs in taken.items():
                    plain, encrypted = map(statistics.median, zip(*pairs))
                    ratios = [encrypted / plain for plain, encrypted in pairs]
                    print(
                        f"{name:6}  {pipeline:9}  {plain:8.0f}  {encrypted:6.0f}  "
                        f"{encrypted / plain:5.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                        flush=True,
                    )
            context = ssl.create_default_context(cafile=ca)
            print(f"\nserver  bytes of each of {IDLE} idle connections: plain, TLS")
            for server in running:
                held = [idle_bytes(server, way, context) for way in ("plain", "TLS")]
                print(f"{server.name:6}  {held[0]:.0f}  {held[1]:.0f}", flush=True)
        finally:
            for server in running:
                server.process.kill()
                server.process.wait()


if __name__ == "__main__":
    main()
