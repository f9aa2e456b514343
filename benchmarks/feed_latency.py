#!/usr/bin/env python3
"""How long a record takes from the standard input of 'stockd feed' to the socket of a subscriber.

    cargo build --profile dist
    benchmarks/feed_latency.py target/dist/stockd [--seconds 10] [--rates 1000,100000] [--out FILE]

Starts a server in memory with RESP on a Unix socket, a subscriber to all stocks, and 'stockd feed alpaca -', which is given
trades at a fixed rate. The price of each trade is its number, and the subscriber notes when it comes. Trades of one
stock that fall together are conflated, so at high rates not every number comes; those that come are measured from when their
line was written to when the message with them was read. All runs on one machine and in one clock.
"""

import argparse
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

STOCKS = 1000
NUMBER = re.compile(rb'"price":"(\d+)"')


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def subscribe(path, told, stop):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"PSUBSCRIBE *\r\n")
        client.settimeout(0.2)
        rest = b""
        while not stop.is_set():
            try:
                read = client.recv(1 << 18)
            except TimeoutError:
                continue
            now = time.monotonic_ns()
            if not read:
                return
            rest += read
            end = 0
            for match in NUMBER.finditer(rest):
                told.append((int(match.group(1)), now))
                end = match.end()
            rest = rest[max(end, len(rest) - 4096):]


def line(number, stamp):
    return (
        '[{"T":"t","i":%d,"S":"S%d","x":"V","p":%d,"s":1,"t":"%s","c":["@"],"z":"C"}]\n'
        % (number, number % STOCKS, number, stamp)
    ).encode()


def offer(feed, rate, seconds, offered):
    """Writes lines at a rate, in slices of a millisecond or of one line."""
    number, begun = 1, time.monotonic()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    while (elapsed := time.monotonic() - begun) < seconds:
        due = int(elapsed * rate) + 1
        if number >= due:
            time.sleep(min(0.001, 1 / rate))
            continue
        lines = [line(it, stamp) for it in range(number, due)]
        now = time.monotonic_ns()
        feed.stdin.write(b"".join(lines))
        feed.stdin.flush()
        offered.extend([now] * len(lines))
        number = due


def measure(binary, rate, seconds):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "resp")
        server = subprocess.Popen(
            [binary, "serve", "--ephemeral", "--line", "off", "--http", "off", "--resp", f"unix:{path}", "--log", "off"],
            stdout=subprocess.PIPE,
        )
        try:
            server.stdout.readline()
            told, offered, stop = [], [], threading.Event()
            reader = threading.Thread(target=subscribe, args=(path, told, stop))
            reader.start()
            feed = subprocess.Popen(
                [binary, "feed", "alpaca", "--server", f"unix:{path}", "--json", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            offer(feed, rate, seconds, offered)
            tally = json.loads(feed.communicate()[0])
            time.sleep(0.3)
            stop.set()
            reader.join()
        finally:
            server.kill()
            server.wait()
    latencies = sorted(now - offered[number - 1] for number, now in told if number <= len(offered))
    if not latencies:
        sys.exit("the subscriber was told nothing")
    return {
        "rate": rate,
        "offered_per_s": round(len(offered) / seconds),
        "told": len(latencies),
        "conflated": tally["conflated"],
        "p50_us": percentile(latencies, 0.50) / 1000,
        "p99_us": percentile(latencies, 0.99) / 1000,
        "max_us": latencies[-1] / 1000,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rates", default="1000,100000")
    parser.add_argument("--out")
    args = parser.parse_args()
    rows = []
    for rate in (int(rate) for rate in args.rates.split(",")):
        row = measure(args.binary, rate, args.seconds)
        print(
            f"{row['rate']:>8}/s: offered {row['offered_per_s']}/s, told {row['told']}, "
            f"p50 {row['p50_us']:.0f} us, p99 {row['p99_us']:.0f} us, max {row['max_us']:.0f} us",
            flush=True,
        )
        rows.append(row)
    if args.out:
        record = {"machine": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg(), "rows": rows}
        with open(args.out, "w", encoding="utf-8") as out:
            json.dump(record, out, indent=1)


if __name__ == "__main__":
    main()
