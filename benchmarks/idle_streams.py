#!/usr/bin/env python3
"""What idle clients hold of a server, and how long it takes to stop beside them.

Usage: idle_streams.py STOCKD [CLIENTS]

For each way to be connected: the memory of the process for each of 2,000 (CLIENTS) clients that have subscribed to one
stock, or have asked once, and wait; then how long the server takes from SIGTERM to its end while they are there and read nothing
more, and right after the process that had them was killed. Each row has servers of its own, with one worker and
10,000 stocks, in memory. The clients are one process of Python.
"""

import base64
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import servers

STOCKS = 10_000
SUBSCRIBED = b"S0000007"


def request(path, *headers):
    lines = [b"GET " + path + b" HTTP/1.1", b"Host: localhost", *headers, b"", b""]
    return b"\r\n".join(lines)


UPGRADE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Protocol: stockd.v1",
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)),
)
STREAM = b"/v1/stream?symbols=" + SUBSCRIBED
SUBSCRIBE = b"*2\r\n$9\r\nSUBSCRIBE\r\n$8\r\n" + SUBSCRIBED + b"\r\n"

# What a client sends, and what it has when it is idle.
WAYS = {
    "RESP, idle": ("resp", b"PING\r\n", b"+PONG\r\n"),
    "RESP, subscribed": ("resp", SUBSCRIBE, b"updated"),
    "HTTP/1.1, keep-alive": ("http", request(b"/v1/stocks/" + SUBSCRIBED), b"updated"),
    "Server-Sent Events": ("http", request(STREAM, b"Accept: text/event-stream"), b"synced"),
    "JSON lines": ("http", request(STREAM, b"Accept: application/x-ndjson"), b"synced"),
    "WebSocket": ("http", request(STREAM, *UPGRADE), b"synced"),
    "half a head": ("http", b"GET / HTTP/1.1\r\nHost: loc", b""),
    "no byte": ("http", b"", b""),
}


def start(stockd, clients):
    more = ["--streams-max", str(clients + 100)]
    server = servers.stockd(stockd, *more, listeners=("resp", "http"))
    fill = [stockd, "load", "--protocol", "resp", "--stocks", str(STOCKS), "--fill", "-n", "1"]
    fill += ["--warmup", "0s", "--repeats", "0", "--server", server.addresses["resp"]]
    subprocess.run(fill, check=True, **servers.QUIET)
    return server


def connect(server, way, count):
    port, sent, awaited = WAYS[way]
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port(port)))
        connection.sendall(sent)
        received = b""
        while awaited not in received:
            more = connection.recv(65536)
            assert more, received
            received += more
        connections.append(connection)
    return connections


def clients_elsewhere(server, way, count):
    """The same in a process of their own. Returns its number once all are idle."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        held = connect(server, way, count)
        os.write(writable, b"!")
        signal.pause()
        os._exit(len(held) * 0)
    os.close(writable)
    assert os.read(readable, 1) == b"!", "the clients failed"
    os.close(readable)
    return child


def measure(stockd, way, count):
    with start(stockd, count) as server:
        # What the first ones cost once.
        first = connect(server, way, 50)
        before = server.resident_bytes()
        held = connect(server, way, count)
        time.sleep(0.3)
        each = (server.resident_bytes() - before) / count
        there = server.stop()
        del first, held
    with start(stockd, count) as server:
        child = clients_elsewhere(server, way, count)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        gone = server.stop()
    print(f"{way:22} {each / 1024:10.1f} {there:14.2f} {gone:13.2f}", flush=True)


def main():
    stockd, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    files = count + 200
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, most), most))
    print(f"{'of ' + str(count) + ' clients':22} {'KiB each':>10} {'stop, there s':>14} {'killed s':>13}")
    for way in WAYS:
        measure(stockd, way, count)


if __name__ == "__main__":
    main()
