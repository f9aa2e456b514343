#!/usr/bin/env python3
"""How long a record takes from the standard input of 'stockd feed' to the socket of a subscriber.

    cargo build --profile dist
    benchmarks/feed_latency.py target/dist/stockd [--seconds 10] [--rates 1000,100000] [--out FILE]

Starts a server in memory with RESP on a Unix socket, a subscriber to all stocks, and 'stockd feed alpaca -', which is given
trades at a fixed rate. The price of each trade is its number, and the subscriber notes when it comes first. Trades of one
stock that fall together are conflated, so at high rates not every number comes; those that come are measured from when their
line was written to when the message with them was read. All runs on one machine and in one clock. Lines are made before, and
messages are searched afterwards, by a process of its own: what is measured waits for neither.

The CPU times of the feed and of the server stand beside the latencies: on a machine that is busy with other things they
tell what a trade costs, and the latencies tell how long others had the cores.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time

import servers

STOCKS = 1000
NUMBER = re.compile(rb'"price":"(\d+)"')


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def subscribe(path, told):
    """Reads until there is a pause at the end, then says when each number came first."""
    reads, is_over = [], told.poll
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"PSUBSCRIBE *\r\n")
        client.settimeout(0.5)
        reads.append((time.monotonic_ns(), client.recv(1 << 18)))
        told.send("subscribed")
        while True:
            try:
                read = client.recv(1 << 18)
            except TimeoutError:
                if is_over():
                    break
                continue
            reads.append((time.monotonic_ns(), read))
    first, rest = {}, b""
    for now, read in reads:
        rest += read
        end = 0
        for match in NUMBER.finditer(rest):
            first.setdefault(int(match.group(1)), now)
            end = match.end()
        # A number may be cut.
        rest = rest[max(end, len(rest) - 256):]
    told.send(first)


def line(number, stamp):
    return (
        '[{"T":"t","i":%d,"S":"S%d","x":"V","p":%d,"s":1,"t":"%s","c":["@"],"z":"C"}]\n'
        % (number, number % STOCKS, number, stamp)
    ).encode()


def offer(feed, rate, lines):
    """Writes lines at a rate, in slices of a millisecond or of one line. When each was written."""
    offered, begun = [], time.monotonic()
    while len(offered) < len(lines):
        due = min(int((time.monotonic() - begun) * rate) + 1, len(lines))
        if due <= len(offered):
            time.sleep(min(0.001, 1 / rate))
            continue
        slice = b"".join(lines[len(offered):due])
        now = time.monotonic_ns()
        feed.stdin.write(slice)
        feed.stdin.flush()
        offered.extend([now] * (due - len(offered)))
    return offered, time.monotonic() - begun


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(binary, rate, seconds):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "resp")
        with servers.stockd(binary, listeners=[f"resp=unix:{path}"]) as server:
            ours, theirs = multiprocessing.Pipe()
            reader = multiprocessing.Process(target=subscribe, args=(path, theirs), daemon=True)
            reader.start()
            ours.recv()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            lines = [line(number, stamp) for number in range(1, int(rate * seconds) + 1)]
            feed = subprocess.Popen(
                [binary, "feed", "alpaca", "--server", f"unix:{path}", "--json", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            before = server.cpu_ns() / 1e9
            offered, took = offer(feed, rate, lines)
            feed_cpu = cpu_seconds(feed.pid)
            server_cpu = server.cpu_ns() / 1e9 - before
            tally = json.loads(feed.communicate()[0])
            ours.send("over")
            first = ours.recv()
            reader.join()
    latencies = sorted(now - offered[number - 1] for number, now in first.items() if number <= len(offered))
    if not latencies:
        sys.exit("the subscriber was told nothing")
    return {
        "rate": rate,
        "offered_per_s": round(len(offered) / took),
        "told": len(latencies),
        "conflated": tally["conflated"],
        "p50_us": percentile(latencies, 0.50) / 1000,
        "p99_us": percentile(latencies, 0.99) / 1000,
        "max_us": latencies[-1] / 1000,
        "feed_cpu_ns": round(feed_cpu * 1e9 / len(offered)),
        "server_cpu_ns": round(server_cpu * 1e9 / len(offered)),
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
            f"p50 {row['p50_us']:.0f} us, p99 {row['p99_us']:.0f} us, max {row['max_us']:.0f} us; "
            f"CPU of a trade: feed {row['feed_cpu_ns']} ns, server {row['server_cpu_ns']} ns",
            flush=True,
        )
        rows.append(row)
    if args.out:
        record = {"machine": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg(), "rows": rows}
        with open(args.out, "w", encoding="utf-8") as out:
            json.dump(record, out, indent=1)


if __name__ == "__main__":
    main()
