"""How polite clients fare beside clients that write hundreds of thousands of commands before they read.

usage: deep_pipelines.py PORT PID [CLIENTS [COMMANDS]]

Lists 1,000 stocks. A polite client asks one GET at a time for 5 s alone; then CLIENTS (10) connections each write COMMANDS
(400,000) HGETALL before they read the first reply, all at once, and the polite client goes on until all of them have all their
replies. Prints its percentiles, and the most memory that the process had. Every reply is counted.
"""

import os
import socket
import sys
import threading
import time

PORT, PID = int(sys.argv[1]), sys.argv[2]
CLIENTS = int(sys.argv[3]) if len(sys.argv) > 3 else 10
COMMANDS = int(sys.argv[4]) if len(sys.argv) > 4 else 400_000


def connect():
    connection = socket.create_connection(("127.0.0.1", PORT))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def array(*parts):
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def memory(name):
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024


class Deep(threading.Thread):
    """Writes all, as far as the server takes it, before it reads."""

    def __init__(self, together):
        super().__init__()
        self.together, self.replies, self.blocks, self.unread = together, 0, 0, 0

    def write(self, connection, block):
        for _ in range(COMMANDS // 1000):
            connection.sendall(block)
            self.blocks += 1

    def run(self):
        one = array(b"HGETALL", b"S7")
        block = one * 1000
        with connect() as connection:
            self.together.wait()
            writer = threading.Thread(target=self.write, args=(connection, block))
            writer.start()
            before = -1
            while writer.is_alive() and self.blocks > before:  # It waits for a server that reads no more.
                before = self.blocks
                writer.join(1)
            self.unread = self.blocks * 1000
            while self.replies < COMMANDS:
                got = connection.recv(1 << 18)
                assert got, "closed"
                # A reply is the one thing here that begins with an array.
                self.replies += got.count(b"*")
            writer.join()


def polite(until, times):
    with connect() as connection:
        command = array(b"GET", b"S7")
        while not until.is_set():
            began = time.perf_counter_ns()
            connection.sendall(command)
            got = connection.recv(64)
            times.append(time.perf_counter_ns() - began)
            assert got == b"$5\r\n172.5\r\n", got


def report(name, times):
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))] / 1000
    print(f"{name:24} {len(times):8} lookups   p50 {at(0.5):8.1f} µs   p99 {at(0.99):9.1f} µs   "
          f"p99.9 {at(0.999):9.1f} µs   max {times[-1] / 1000:9.1f} µs")


def main():
    with connect() as connection:
        for number in range(1000):
            connection.sendall(array(b"HSET", b"S%d" % number, b"price", b"172.5", b"volume", b"1000"))
            connection.recv(64)
    alone, stop = [], threading.Event()
    client = threading.Thread(target=polite, args=(stop, alone))
    client.start()
    time.sleep(5)
    stop.set()
    client.join()
    report("alone", alone)
    before = memory("VmRSS")
    together = threading.Barrier(CLIENTS)
    deep = [Deep(together) for _ in range(CLIENTS)]
    beside, stop = [], threading.Event()
    # In a process of its own: threads of Python would wait for each other.
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        client = threading.Thread(target=polite, args=(stop, beside))
        client.start()
        os.read(reading, 1)
        stop.set()
        client.join()
        report(f"beside {CLIENTS} deep pipelines", beside)
        sys.stdout.flush()
        os._exit(0)
    os.close(reading)
    began = time.monotonic()
    for thread in deep:
        thread.start()
    most = before
    while any(thread.is_alive() for thread in deep):
        most = max(most, memory("VmRSS"))
        time.sleep(0.02)
    took = time.monotonic() - began
    os.close(writing)
    os.waitpid(child, 0)
    unread = sorted(thread.unread for thread in deep)
    print(f"{CLIENTS} × {COMMANDS} HGETALL: {sum(thread.replies for thread in deep)} replies in {took:.1f} s; written before the first "
          f"read: {unread[0]} to {unread[-1]}; memory {before:.0f} MiB before, {most:.0f} MiB at most")


main()
