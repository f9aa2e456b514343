#!/usr/bin/env python3
"""Durable writes of two builds of stockd beside Redis, by turns, as redis-benchmark asks them.

Usage: durable_builds.py DIRECTORY OLD NEW [ROUNDS]

Each server has one worker, syncs every write before it answers (Redis: appendfsync always), and keeps its data below
DIRECTORY. Printed are, for 1, 16 and 256 clients that write one stock, the medians over the rounds (5 unless given) of writes a
second and of the server's CPU time a write, each with its ratio to Redis, and the rates of all rounds.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import servers

WRITES = {1: 3000, 16: 20_000, 256: 60_000}


def start(binary, directory):
    if binary == "redis-server":
        more = ["--appendonly", "yes", "--appendfsync", "always", "--dir", directory]
        return servers.redis(*more)
    return servers.stockd(binary, "--data-dir", directory)


def write(server, clients, count):
    (name,) = server.addresses
    arguments = ["-p", str(server.port(name)), "-c", str(clients), "-n", str(count)]
    command = ["redis-benchmark", *arguments, "HSET", "AAPL", "price", "5"]
    # It waits for ever for a server that refuses its connections.
    subprocess.run(command, check=True, timeout=servers.PATIENCE, **servers.QUIET)


def main():
    below, old, new = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    binaries = {"Redis": "redis-server", "old": old, "new": new}
    found = {(clients, name): [] for clients in WRITES for name in binaries}
    for _ in range(rounds):
        for name, binary in binaries.items():
            directory = tempfile.mkdtemp(dir=below)
            try:
                with start(binary, directory) as server:
                    write(server, 4, 2000)
                    for clients, count in WRITES.items():
                        began, cpu = time.monotonic(), server.cpu_ns()
                        write(server, clients, count)
                        took, cpu = time.monotonic() - began, server.cpu_ns() - cpu
                        found[clients, name].append((count / took, cpu / count))
            finally:
                shutil.rmtree(directory)
    print("clients  server  writes/s          CPU µs a write    rates of the rounds")
    for clients in WRITES:
        redis = [statistics.median(column) for column in zip(*found[clients, "Redis"])]
        for name in binaries:
            rate, cpu = (statistics.median(column) for column in zip(*found[clients, name]))
            rates = " ".join(f"{rate:.0f}" for rate, _ in found[clients, name])
            print(
                f"{clients:7}  {name:6}  {rate:7.0f} ({rate / redis[0]:.2f} ×)  "
                f"{cpu / 1000:6.1f} ({cpu / redis[1]:.2f} ×)  {rates}"
            )


if __name__ == "__main__":
    main()
