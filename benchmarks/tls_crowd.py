#!/usr/bin/env python3
"""What many TLS connections hold, and what many handshakes cost those who are connected already.

Usage: tls_crowd.py STOCKD [CONNECTIONS [HANDSHAKES_A_SECOND [SECONDS]]]

First: the memory of the process for each of 10,000 (CONNECTIONS) clients over TLS that have asked once and wait. Then:
four polite clients over TLS that send a GET each 4 ms, alone and beside processes that connect, shake hands, ask once and
leave, 1,000 times a second in all (0 for each as often as they can). A latency counts from when its request was due. Printed
are the polite clients' latencies, handshakes a second, and the server's CPU time.

The server has one worker. Clients are Python and share the cores with it, so what they wait for each other is in the figures: look
at the difference of the two rows.
"""

import multiprocessing
import resource
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time

import tls

POLITE = 4
PERIOD = 0.004

# Processes that shake hands.
SHAKERS = 2


def context_of(ca):
    context = ssl.create_default_context(cafile=ca)
    # Each handshake is a whole one.
    context.options |= ssl.OP_NO_TICKET
    return context


def connect(port, context):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(connection, server_hostname="localhost")


def ask(connection, command, reply):
    connection.sendall(command)
    received = b""
    while len(received) < len(reply):
        more = connection.recv(4096)
        if not more:
            raise SystemExit("the server has closed a connection")
        received += more
    assert received == reply, received


def idle(server, context, count):
    """Bytes of each of `count` connections, opened in turn by this process."""
    before = at_rest(server)
    connections = []
    for _ in range(count):
        connection = connect(server.port("resp tls"), context)
        ask(connection, b"PING\r\n", b"+PONG\r\n")
        connections.append(connection)
    after = at_rest(server)
    for connection in connections:
        connection.close()
    return (after - before) / count


def at_rest(server):
    """Its memory once it gives no more of it back: an allocator keeps what handshakes have used for some seconds."""
    held = server.resident_bytes()
    for _ in range(10):
        time.sleep(3)
        before, held = held, server.resident_bytes()
        if held >= before:
            break
    return held


def shake_hands(port, ca, rate, stop, done):
    """Connects, asks once and leaves, at this rate a second."""
    context, count, began = context_of(ca), 0, time.monotonic()
    while not stop.is_set():
        if rate and (early := began + count / rate - time.monotonic()) > 0:
            time.sleep(early)
        connection = connect(port, context)
        ask(connection, b"PING\r\n", b"+PONG\r\n")
        connection.close()
        count += 1
    done.put(count)


def be_polite(port, ca, seconds, done):
    """The latencies of a few clients, in microseconds."""
    context, latencies = context_of(ca), []

    def client(number):
        connection = connect(port, context)
        began = time.monotonic() + number * PERIOD / POLITE
        for request in range(int(seconds / PERIOD)):
            due = began + request * PERIOD
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            ask(connection, b"GET POLITE\r\n", b"$5\r\n107.5\r\n")
            latencies.append((time.monotonic() - due) * 1e6)

    threads = [threading.Thread(target=client, args=[number]) for number in range(POLITE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.put(latencies)


def beside(server, ca, rate, seconds, shakers):
    """The polite clients beside this number of processes that shake hands. Prints a row."""
    port, stop = server.port("resp tls"), multiprocessing.Event()
    counts, told = multiprocessing.Queue(), multiprocessing.Queue()
    busy = [
        multiprocessing.Process(
            target=shake_hands, args=[port, ca, rate / SHAKERS, stop, counts], daemon=True
        )
        for _ in range(shakers)
    ]
    polite = multiprocessing.Process(target=be_polite, args=[port, ca, seconds, told], daemon=True)
    for process in busy:
        process.start()
    time.sleep(0.5)
    began, cpu = time.monotonic(), server.cpu_ns()
    polite.start()
    latencies = sorted(told.get())
    took, cpu = time.monotonic() - began, (server.cpu_ns() - cpu) / 1e9
    polite.join()
    stop.set()
    # Of the whole time that they ran, of which the polite clients were there for a part.
    shaken = sum(counts.get() for _ in busy) / (took + 0.5)
    for process in busy:
        process.join()
    middle = statistics.median(latencies)
    at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))]
    print(
        f"{shaken:12.0f}  {cpu / took:12.2f}  {middle:6.0f}  {at(0.99):6.0f}  {at(0.999):6.0f}"
        f"  {latencies[-1]:6.0f}",
        flush=True,
    )


def main():
    numbers = [int(argument) for argument in sys.argv[2:]]
    count, rate, seconds = numbers + [10_000, 1_000, 10][len(numbers) :]
    files = count + 100
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, hard)))
    with tempfile.TemporaryDirectory() as directory:
        ca = f"{directory}/ca.pem"
        tls.certificate(sys.argv[1], directory)
        with tls.start_stockd(sys.argv[1], directory) as server:
            tls.cpu_ns(sys.argv[1], ca, server, "plain", 1, "--fill")
            with socket.create_connection(("127.0.0.1", server.port("resp"))) as plain:
                ask(plain, b"HSET POLITE price 107.5\r\n", b":1\r\n")
            held = idle(server, context_of(ca), count)
            print(f"{held:.0f} bytes for each of {count} idle connections over TLS\n")
            print("handshakes/s  server cores  p50 µs  p99 µs  p99.9   highest")
            for shakers in (0, SHAKERS):
                beside(server, ca, rate, seconds, shakers)


if __name__ == "__main__":
    main()
