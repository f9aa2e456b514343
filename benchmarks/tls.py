#!/usr/bin/env python3
"""What TLS costs a server, and how much memory its idle connections hold, beside Redis.

Usage: tls.py STOCKD [ROUNDS]

One process of stockd with one worker serves 10,000 stocks plain and over TLS, and one of Redis with one thread does, if
it is there. Printed are the medians over the rounds (5 unless given) of the server's CPU time a GET, by
turns, and the ratio of TLS to plain with its lowest and highest of a round; and the memory of the process for 2,000
idle connections of each kind.
"""

import contextlib
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile

import servers

PIPELINES = [1, 16, 256]
IDLE = 2000


# How each is known to the server.
WAYS = {"plain": "resp", "TLS": "resp tls"}


def cpu_ns(stockd, ca, server, way, pipeline, *more):
    """CPU time of the server a GET, over two seconds."""
    prefix = {"plain": "127.0.0.1", "TLS": "tls:localhost"}[way]
    address = f"{prefix}:{server.port(WAYS[way])}"
    connections = 8 if pipeline == 256 else 50
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        arguments = [stockd, "load", "--protocol", "resp", "--json", report.name, "--tls-ca", ca]
        arguments += ["--server", address, "--resp", address, "--pid", str(server.process.pid)]
        arguments += ["--stocks", "10000", "-c", str(connections), "-p", str(pipeline)]
        arguments += ["--warmup", "500ms", "--duration", "2s", *more]
        subprocess.run(arguments, check=True, **servers.QUIET)
        point = json.load(report)["points"][0]
    return point["repetitions"][0]["server_cpu_ns_per_lookup"]


def idle_bytes(server, way, context):
    """Memory of the process for each of many connections that have asked once and wait."""
    before = server.resident_bytes()
    connections = []
    for _ in range(IDLE):
        connection = socket.create_connection(("127.0.0.1", server.port(WAYS[way])))
        if way == "TLS":
            connection = context.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(b"PING\r\n")
        assert connection.recv(64) == b"+PONG\r\n"
        connections.append(connection)
    after = server.resident_bytes()
    for connection in connections:
        connection.close()
    return (after - before) / IDLE


def certificate(stockd, directory):
    """Makes an authority, and a pair of files for a server, in this directory."""
    subprocess.run(
        [stockd, "certificate", "new", "--host", "localhost", directory],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def start_stockd(binary, directory):
    """A server with a plain and an encrypted port, and the certificate that was made there."""
    pair = ["--tls-cert", f"{directory}/server.pem", "--tls-key", f"{directory}/server.key"]
    return servers.stockd(binary, *pair, listeners=["resp=127.0.0.1:0,tls:127.0.0.1:0"])


def start_redis(directory):
    """The same of Redis."""
    encrypted = servers.free_port()
    more = ["--tls-port", str(encrypted), "--tls-auth-clients", "no"]
    more += ["--tls-cert-file", f"{directory}/server.pem", "--tls-key-file"]
    more += [f"{directory}/server.key", "--tls-ca-cert-file", f"{directory}/ca.pem"]
    server = servers.redis(*more)
    server.addresses = {"resp": server.addresses["redis"], "resp tls": f"127.0.0.1:{encrypted}"}
    return server


def main():
    stockd, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as directory:
        ca = f"{directory}/ca.pem"
        certificate(stockd, directory)
        with contextlib.ExitStack() as ends:
            running = {"stockd": ends.enter_context(start_stockd(stockd, directory))}
            cpu_ns(stockd, ca, running["stockd"], "plain", 1, "--fill")
            if shutil.which("redis-server"):
                running["Redis"] = ends.enter_context(start_redis(directory))
                cpu_ns(stockd, ca, running["Redis"], "plain", 1, "--fill", "--fill-with", "set")
            print("server  pipelined  plain ns  TLS ns  ratio")
            for pipeline in PIPELINES:
                taken = {name: [] for name in running}
                for _ in range(rounds):
                    for name, server in running.items():
                        pair = [cpu_ns(stockd, ca, server, way, pipeline) for way in WAYS]
                        taken[name].append(pair)
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
            for name, server in running.items():
                held = [idle_bytes(server, way, context) for way in WAYS]
                print(f"{name:6}  {held[0]:.0f}  {held[1]:.0f}", flush=True)


if __name__ == "__main__":
    main()
