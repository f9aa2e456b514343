#!/usr/bin/env python3
"""Durable writes of two builds of stockd beside Redis, by turns, as redis-benchmark asks them.

Usage: durable_builds.py DIRECTORY OLD NEW [ROUNDS]

Each server has one worker, syncs every write before it answers (Redis: appendfsync always), and keeps its data below
DIRECTORY. Printed are, for 1, 16 and 256 clients that write one stock, the medians over the rounds (5 unless given) of writes a
second and of the server's CPU time a write, each with its ratio to Redis, and the rates of all rounds.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

WRITES = {1: 3000, 16: 20_000, 256: 60_000}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_ns(process):
    tasks = f"/proc/{process.pid}/task"
    total = 0
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/schedstat") as schedstat:
            total += int(schedstat.read().split()[0])
    return total


def start(binary, directory, port):
    if binary == "redis-server":
        arguments = ["--port", str(port), "--appendonly", "yes", "--appendfsync", "always"]
        arguments += ["--save", "", "--dir", directory]
    else:
        arguments = ["serve", "--data-dir", directory, "--resp", f"127.0.0.1:{port}"]
        arguments += ["--line", "off", "--http", "off", "--log", "off", "--workers", "1"]
    process = subprocess.Popen([binary, *arguments], **QUIET)
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.02)
    process.kill()
    raise SystemExit(f"{binary} does not listen")


def write(port, clients, count):
    arguments = ["-p", str(port), "-c", str(clients), "-n", str(count)]
    command = ["redis-benchmark", *arguments, "HSET", "AAPL", "price", "5"]
    subprocess.run(command, check=True, timeout=60, **QUIET)


def main():
    below, old, new = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    servers = {"Redis": "redis-server", "old": old, "new": new}
    found = {(clients, name): [] for clients in WRITES for name in servers}
    for _ in range(rounds):
        for name, binary in servers.items():
            directory, port = tempfile.mkdtemp(dir=below), free_port()
            process = start(binary, directory, port)
            try:
                write(port, 4, 2000)
                for clients, count in WRITES.items():
                    began, cpu = time.monotonic(), cpu_ns(process)
                    write(port, clients, count)
                    took, cpu = time.monotonic() - began, cpu_ns(process) - cpu
                    found[clients, name].append((count / took, cpu / count))
            finally:
                process.terminate()
                process.wait()
                shutil.rmtree(directory)
    print("clients  server  writes/s          CPU µs a write    rates of the rounds")
    for clients in WRITES:
        redis = [statistics.median(column) for column in zip(*found[clients, "Redis"])]
        for name in servers:
            rate, cpu = (statistics.median(column) for column in zip(*found[clients, name]))
            rates = " ".join(f"{rate:.0f}" for rate, _ in found[clients, name])
            print(
                f"{clients:7}  {name:6}  {rate:7.0f} ({rate / redis[0]:.2f} ×)  "
                f"{cpu / 1000:6.1f} ({cpu / redis[1]:.2f} ×)  {rates}"
            )


if __name__ == "__main__":
    main()
