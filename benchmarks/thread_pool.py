#!/usr/bin/env python3
"""The plain textbook design, to compare with: ten threads, a queue of connections, a dictionary.

Usage: thread_pool.py PORT STOCKS.csv

Speaks the line protocol of stockd. A thread serves one connection to its end before it takes the
next, so ten clients are served at once and the others wait.
"""

import csv
import queue
import socket
import sys
import threading

THREADS = 10


def serve(connections: queue.Queue, prices: dict[bytes, bytes]) -> None:
    while True:
        connection = connections.get()
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    connection.sendall(prices.get(line.strip(), b"-1") + b"\n")
            except OSError:
                pass


def price(row: dict[str, str]) -> bytes:
    if int(row["volume"]) == 0:
        return b"0"
    return row["price"].encode()


def main() -> None:
    port, stocks = int(sys.argv[1]), sys.argv[2]
    with open(stocks, encoding="utf-8", newline="") as file:
        prices = {row["symbol"].encode(): price(row) for row in csv.DictReader(file)}
    connections: queue.Queue = queue.Queue(maxsize=1024)
    for _ in range(THREADS):
        threading.Thread(target=serve, args=(connections, prices), daemon=True).start()
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.put(connection)


if __name__ == "__main__":
    main()
