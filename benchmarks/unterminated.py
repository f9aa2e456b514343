#!/usr/bin/env python3
"""Clients that send a name without a newline, against stockd and the textbook's server, by turns.

Usage: unterminated.py STOCKD

Each client thread sends a name and takes what one recv(1024) brings, as the simplest programs do: on a
connection for each request, or on one for all. Rounds of the two servers alternate. Printed are the
medians over the rounds of the microseconds that a request took, and their ratio; a wrong answer ends it.
"""

import queue
import socket
import statistics
import subprocess
import sys
import threading
import time

import servers

THREADS = 64
ROUNDS = 7
REQUESTS = 600
NAMES = {"AAPL": "172.5", "BRK/A": "743500", "SOLD": "0", "NOPE": "-1"}


class Textbook:
    """A pool of threads, a queue of connections, a dictionary."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.waiting = queue.Queue()
        for _ in range(THREADS):
            threading.Thread(target=self.serve, daemon=True).start()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            self.waiting.put(self.listener.accept()[0])

    def serve(self):
        while True:
            with self.waiting.get() as connection:
                while name := connection.recv(1024):
                    connection.sendall(NAMES.get(name.decode(), "-1").encode())


def textbook():
    """The textbook's server in a process of its own, as stockd is."""
    command = [sys.executable, __file__, "--textbook"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return servers.Server(process, {"line": process.stdout.readline().strip()})


def stockd(binary):
    stocks = "symbol,price,volume\nAAPL,172.5,1\nBRK/A,743500,1\nSOLD,8.25,0\n"
    return servers.stockd(binary, listeners=["line"], stocks=stocks)


def ask(connection, name):
    connection.sendall(name.encode())
    reply = connection.recv(1024).decode()
    if reply != NAMES[name]:
        sys.exit(f"{name} was answered {reply!r}")


def client(port, requests, keeps):
    names = list(NAMES)
    connection = socket.create_connection(("127.0.0.1", port)) if keeps else None
    for at in range(requests):
        name = names[at % len(names)]
        if connection:
            ask(connection, name)
        else:
            with socket.create_connection(("127.0.0.1", port)) as own:
                ask(own, name)


def round_us(port, clients, keeps):
    threads = [
        threading.Thread(target=client, args=(port, REQUESTS // clients, keeps))
        for _ in range(clients)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - began) / (REQUESTS // clients * clients) * 1e6


def main():
    if sys.argv[1] == "--textbook":
        print(f"127.0.0.1:{Textbook().port}", flush=True)
        threading.Event().wait()
    with stockd(sys.argv[1]) as ours, textbook() as theirs:
        ports = [server.port("line") for server in (ours, theirs)]
        print("clients  connections  stockd us  textbook us  ratio")
        for keeps in (False, True):
            for clients in (1, 10, 50):
                taken = [[], []]
                for _ in range(ROUNDS):
                    for port, times in zip(ports, taken):
                        times.append(round_us(port, clients, keeps))
                us, other = map(statistics.median, taken)
                kind = "one for all" if keeps else "one each"
                print(f"{clients:7}  {kind:11}  {us:9.0f}  {other:11.0f}  {us / other:5.2f}")


if __name__ == "__main__":
    main()
