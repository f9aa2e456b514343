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


def textbook_process():
    """The textbook's server in a process of its own, as stockd is."""
    code = (
        "import sys, runpy, threading\n"
        f"it = runpy.run_path({__file__!r})\n"
        "print(it['Textbook']().port, flush=True)\n"
        "threading.Event().wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def stockd_process(binary):
    arguments = [binary, "serve", "--ephemeral", "--line", "127.0.0.1:0", "--resp", "off"]
    arguments += ["--catalog", "-", "--log", "off"]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write("symbol,price,volume\nAAPL,172.5,1\nBRK/A,743500,1\nSOLD,8.25,0\n")
    process.stdin.close()
    return process, int(process.stdout.readline().rsplit(":", 1)[1])


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
    servers = [stockd_process(sys.argv[1]), textbook_process()]
    try:
        print("clients  connections  stockd us  textbook us  ratio")
        for keeps in (False, True):
            for clients in (1, 10, 50):
                taken = [[], []]
                for _ in range(ROUNDS):
                    for (_, port), times in zip(servers, taken):
                        times.append(round_us(port, clients, keeps))
                ours, theirs = map(statistics.median, taken)
                kind = "one for all" if keeps else "one each"
                print(f"{clients:7}  {kind:11}  {ours:9.0f}  {theirs:11.0f}  {ours / theirs:5.2f}")
    finally:
        for process, _ in servers:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
