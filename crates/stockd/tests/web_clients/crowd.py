"""Thousands of Server-Sent Events and WebSocket clients at once, some of which read nothing for a while.

Usage: crowd.py ADDRESS PID CLIENTS [sse|websocket]

Half of CLIENTS are of each kind, or all of the one that is named. Prices of a few stocks change as long as it takes; two clients in a
hundred sleep meanwhile and subscribe to all stocks. On a slow machine they wake now and then to take a little, and all of WebSocket
say that they are there: the server closes clients that take nothing, or are silent, for a minute. What must hold:

- to no client a version goes back, and the last that it is told of a stock is the latest, also to those that slept;
- who slept is told less than what happened, and /v1/clients names it as waiting;
- the server holds at most MEMORY_MAX for each client, whatever was not read.
"""

import base64
import http.client
import json
import multiprocessing
import re
import select
import socket
import sys
import time

# What readers subscribe to, one each.
STOCKS = [f"CROWD{number}" for number in range(5)]

# What sleepers subscribe to besides, so that their sockets are full soon.
MORE = [f"MORE{number}" for number in range(200)]

# Changes of each stock, and in vain, at most, until the sleepers are full.
ROUNDS, ROUNDS_MAX = 20, 400

# Time between them.
PAUSE = 0.05

# Seconds of sleep, and reads before the next.
SLEEP, SIP = 10, 32

# A Pong that no Ping asked for, masked with zeros.
PONG = b"\x8a\x80\0\0\0\0"

# Bytes of the server for each client, its share in the system's sockets apart.
MEMORY_MAX = 40 * 1024

# Clients of a process, which has a limit of open files of its own.
TOGETHER = 2500

# Nothing takes longer, with this much more for each client: a guard against hanging alone.
PATIENCE, MORE_PATIENCE = 60, 0.02

QUOTE = re.compile(rb'"symbol":"((?:CROWD|MORE)\d+)"[^{}]*?"version":(\d+)[,}]')

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: stockd.v1\r\nSec-WebSocket-Key: "
    + base64.b64encode(bytes(16)).decode()
    + "\r\n"
)


class Client:
    def __init__(self, address, number, is_sleeper, kind):
        self.is_sleeper = is_sleeper
        wanted = "patterns=*" if is_sleeper else f"symbols={STOCKS[number % len(STOCKS)]}"
        name = "sleeper" if is_sleeper else "reader"
        self.is_sse = kind == "sse" or (not kind and number % 2)
        headers = "Accept: text/event-stream\r\n" if self.is_sse else UPGRADE
        self.socket = socket.socket()
        if is_sleeper:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = address.rsplit(":", 1)
        self.socket.connect((host, int(port)))
        head = f"GET /v1/stream?{wanted}&name={name} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
        self.socket.sendall(head.encode())
        self.tail, self.versions, self.messages, self.synced = b"", {}, 0, False
        while not self.synced:
            self.read()
        self.socket.setblocking(False)

    def read(self):
        """Reads once. Returns whether there was something."""
        try:
            received = self.socket.recv(65536)
        except BlockingIOError:
            return False
        assert received, "the server has closed a client"
        text = self.tail + received
        self.synced = self.synced or b"synced" in text
        end = 0
        for quote in QUOTE.finditer(text):
            symbol, version = quote[1], int(quote[2])
            before = self.versions.get(symbol, 0)
            assert version >= before, f"{symbol} went from {before} back to {version}"
            self.versions[symbol] = version
            self.messages += 1
            end = quote.end()
        # What a quote may begin in; chunks and frames cut no quote of so few stocks.
        self.tail = text[max(end, len(text) - 512) :]
        return True

    def wake(self):
        if not self.is_sse:
            self.socket.sendall(PONG)
        if self.is_sleeper:
            for _ in range(SIP):
                if not self.read():
                    break

    def has_latest(self, latest):
        return all(self.versions[symbol] == latest[symbol] for symbol in self.versions)


class Crowd:
    """The clients of this process, which wake together."""

    def __init__(self):
        self.clients, self.asleep_until = [], time.monotonic() + SLEEP

    def wake_in_time(self):
        if time.monotonic() > self.asleep_until:
            self.wake()

    def wake(self):
        for client in self.clients:
            client.wake()
        self.asleep_until = time.monotonic() + SLEEP


def be_clients(address, numbers, kind, patience, pipe):
    crowd = Crowd()
    for number in numbers:
        crowd.clients.append(Client(address, number, number % 100 < 2, kind))
        crowd.wake_in_time()
    clients = crowd.clients
    by_socket = {client.socket.fileno(): client for client in clients}
    readers, all_of_them = select.epoll(), select.epoll()
    for client in clients:
        all_of_them.register(client.socket.fileno(), select.EPOLLIN)
        if not client.is_sleeper:
            readers.register(client.socket.fileno(), select.EPOLLIN)
    pipe.send("ready")
    while not pipe.poll():
        for file, _ in readers.poll(0.05):
            by_socket[file].read()
        crowd.wake_in_time()
    latest, deadline = pipe.recv(), time.monotonic() + patience
    crowd.wake()
    behind = clients
    while behind := [client for client in behind if not client.has_latest(latest)]:
        assert time.monotonic() < deadline, f"the latest quote was lost by {len(behind)} clients"
        for file, _ in all_of_them.poll(1):
            by_socket[file].read()
        crowd.wake_in_time()
    told = [client.messages / len(client.versions) for client in clients if client.is_sleeper]
    pipe.send(max(told, default=0))
    pipe.recv()


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    headers = {"Content-Type": "application/x-ndjson"} if body else {}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    assert response.status == 200, (method, path, response.status, text)
    return json.loads(text)


def waiting_sleepers(address):
    """Those that sleep and are named as clients that take nothing, by their ids."""
    cursor, waiting = "", set()
    while cursor is not None:
        page = ask(address, "GET", "/v1/clients" + cursor)
        clients = [it for it in page["clients"] if it["name"] == "sleeper"]
        waiting |= {it["id"] for it in clients if it.get("waiting_ms", 0) or it["unsent_bytes"]}
        cursor = f"?cursor={page['next']}" if "next" in page else None
    return waiting


def change(address, price):
    lines = [json.dumps({"symbol": symbol, "price": str(price)}) for symbol in STOCKS + MORE]
    done = ask(address, "POST", "/v1/updates", "\n".join(lines))["done"]
    assert done == len(lines), done


def main():
    address, pid, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    kind = sys.argv[4] if len(sys.argv) > 4 else ""
    change(address, 1)
    before = resident_bytes(pid)
    processes, patience = [], PATIENCE + MORE_PATIENCE * count
    for begin in range(0, count, TOGETHER):
        ours, theirs = multiprocessing.Pipe()
        numbers = range(begin, min(begin + TOGETHER, count))
        arguments = (address, numbers, kind, patience, theirs)
        process = multiprocessing.Process(target=be_clients, args=arguments)
        process.daemon = True
        process.start()
        theirs.close()
        processes.append((process, ours))
    for _, pipe in processes:
        assert pipe.poll(patience) and pipe.recv() == "ready", "the clients are not connected"
    connected = resident_bytes(pid)
    most, changes, waiting = connected, 1, set()
    sleepers = len([number for number in range(count) if number % 100 < 2])
    # The sleepers' sockets are full at some time: it takes what the system keeps for them.
    while changes < ROUNDS or (len(waiting) < sleepers and changes < ROUNDS_MAX):
        change(address, 1 + changes)
        changes += 1
        waiting |= waiting_sleepers(address)
        most = max(most, resident_bytes(pid))
        time.sleep(PAUSE if changes < ROUNDS else 0)
    assert len(waiting) == sleepers, f"{len(waiting)} of {sleepers} sleepers are named"
    names = ",".join(STOCKS + MORE)
    quotes = ask(address, "GET", f"/v1/stocks?symbols={names}")["quotes"]
    latest = {symbol.encode(): quote["version"] for symbol, quote in quotes.items()}
    for _, pipe in processes:
        pipe.send(latest)
    told = max(pipe.recv() for _, pipe in processes)
    most = max(most, resident_bytes(pid))
    for process, pipe in processes:
        pipe.send("end")
        process.join()
        assert process.exitcode == 0, process.exitcode
    each = (most - before) / count
    figures = f"{count} clients: {(connected - before) / count / 1024:.1f} KiB each when connected, {each / 1024:.1f} at most"
    print(f"{figures}; {changes} changes, sleepers were told {told:.0f}", file=sys.stderr)
    assert each < MEMORY_MAX, figures
    assert told < changes, f"who slept was told all {changes} changes"
    print("all is well")


if __name__ == "__main__":
    main()
