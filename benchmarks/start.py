#!/usr/bin/env python3
"""How long a start takes with a million stocks and a log that is as full as it gets.

Usage: start.py STOCKD [STOCKS [ROUNDS]]

Lists 1,000,000 stocks (STOCKS), then updates them at random until the log has three of its four segments, or after a minute the two that it has
where a checkpoint begins, kills the server, and starts it ROUNDS times (5), each killed as soon as it has answered a lookup. Printed are the sizes of
log and checkpoint, and the times from the start of the process until it prints that it listens, and until it has answered. Goal: 2 s at most.
"""

import glob
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BATCH = 1000

# Seconds in which a log of three segments is waited for.
FILLING = 60


class Server:
    def __init__(self, binary, directory):
        self.began = time.monotonic()
        command = [binary, "serve", "--data-dir", directory, "--line", "off", "--http", "off"]
        command += ["--log", "warn", "--sync", "interval=100", "--resp", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line.startswith("resp"):
                self.port = int(line.rsplit(":", 1)[1])
                break
        self.listens = time.monotonic() - self.began
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.replies = self.socket.makefile("rb")

    def ask(self, *arguments):
        self.send([arguments])
        kind = self.replies.readline()
        return self.replies.readline() if kind[:1] == b"$" else kind

    def send(self, commands):
        parts = []
        for arguments in commands:
            parts.append(f"*{len(arguments)}\r\n")
            parts += [f"${len(it)}\r\n{it}\r\n" for it in arguments]
        self.socket.sendall("".join(parts).encode())

    def write(self, symbols):
        """One pipeline of writes, all of which must be done."""
        self.send(("HSET", it, "price", f"{random.randrange(1, 10**6) / 100}") for it in symbols)
        for _ in symbols:
            reply = self.replies.readline()
            assert reply[:1] == b":", reply

    def kill(self):
        self.process.kill()
        self.process.wait()


def segments(directory):
    return len(glob.glob(os.path.join(directory, "quotes.0*.log")))


def sizes(directory):
    """Bytes on the disk of the log, and of the checkpoint."""
    size = lambda pattern: sum(
        os.stat(path).st_blocks * 512 for path in glob.glob(os.path.join(directory, pattern))
    )
    return size("quotes.0*.log"), size("quotes.redb")


def main():
    binary, stocks = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with tempfile.TemporaryDirectory() as directory:
        server = Server(binary, directory)
        names = [f"S{number:07}" for number in range(stocks)]
        for begin in range(0, stocks, BATCH):
            server.write(names[begin : begin + BATCH])
        # Where the disk is slow the log goes on beside a checkpoint; where it is fast it has two segments for a moment.
        began = time.monotonic()
        while segments(directory) < (3 if time.monotonic() - began < FILLING else 2):
            server.write(random.choices(names, k=BATCH))
        server.kill()
        log, checkpoint = sizes(directory)
        print(f"{stocks} stocks, log {log >> 20} MiB, checkpoint {checkpoint >> 20} MiB")
        listens, answers = [], []
        for _ in range(rounds):
            server = Server(binary, directory)
            assert server.ask("GET", names[-1]) not in (b"-1", b"$-1\r\n")
            answers.append(time.monotonic() - server.began)
            listens.append(server.listens)
            server.kill()
        for what, times in (("listens", listens), ("has answered", answers)):
            print(f"{what:13} {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()
