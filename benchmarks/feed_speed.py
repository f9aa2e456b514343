#!/usr/bin/env python3
"""How fast market data and files come in: feeds and replays over a Unix socket, and the import of a million rows.

    cargo build --profile dist
    benchmarks/feed_speed.py target/dist/stockd [--ticks FOLDER] [--rows 1000000] [--rounds 5] [--out FILE]

FOLDER has one day of ticks in three forms (ticks_*.dbn, ticks_*.itch50, ticks_*.csv, compressed or not), each with the
last prices that it must end with (ticks_*.oracle.csv: symbol, price). They are decompressed first, so that decoding is what is
measured. Each round starts a server in memory; printed is the median over the rounds, and it is an error when the server does
not end with the last price of each stock.

The import is measured twice: until the command connects to the server, which it does once it has read and checked the
whole file, and until it has ended. It runs on a pseudo-terminal, where it draws its progress; how often it did is counted.

Beside each rate by the clock stands the rate by the CPU time of the command: on a machine that is busy with other things that
one alone says what the command can do.
"""

import argparse
import csv
import glob
import gzip
import json
import os
import platform
import pty
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal

import servers


def start(args, directory):
    # One that is killed leaves the file of its socket behind.
    own = tempfile.mkdtemp(dir=directory)
    return servers.stockd(args.binary, listeners=[f"resp=unix:{own}/resp"])


def price(server, symbol):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(server.addresses["resp"].removeprefix("unix:"))
        client.sendall(f"GET {symbol}\r\nQUIT\r\n".encode())
        reply = b""
        while read := client.recv(4096):
            reply += read
    return Decimal(reply.split(b"\r\n")[1].decode())


def plain(path, directory):
    """The file without its compression."""
    name, ending = os.path.splitext(path)
    into = os.path.join(directory, os.path.basename(name if ending in (".gz", ".zst") else path))
    if ending == ".gz":
        with gzip.open(path) as compressed, open(into, "wb") as out:
            shutil.copyfileobj(compressed, out)
    elif ending == ".zst":
        subprocess.run(["zstd", "--quiet", "--force", "-d", path, "-o", into], check=True)
    else:
        shutil.copy(path, into)
    return into


def last_prices(path):
    with open(path, encoding="utf-8") as rows:
        return {row["symbol"]: Decimal(row["price"]) for row in csv.DictReader(rows)}


def ticks(args, directory):
    commands = {"dbn": ["feed", "dbn"], "itch50": ["feed", "itch"], "csv": ["replay", "--speed", "max"]}
    oracles = glob.glob(os.path.join(args.ticks, "**", "ticks_*.trades.oracle.csv"), recursive=True)
    oracle = last_prices(oracles[0])
    for ending, command in commands.items():
        found = glob.glob(os.path.join(args.ticks, "**", f"ticks_*.{ending}*"), recursive=True)
        path = plain(next(path for path in found if "oracle" not in path), directory)
        rates = []
        for _ in range(args.rounds):
            with start(args, directory) as server:
                run = [args.binary, *command, "--server", server.addresses["resp"], path]
                run += ["--json"] if command[0] == "feed" else []
                begun = time.monotonic()
                process = subprocess.Popen(run, stdout=subprocess.PIPE)
                said = process.stdout.read()
                seconds, cpu = time.monotonic() - begun, ended(process)
                prices = {symbol: price(server, symbol) for symbol in oracle}
            if prices != oracle:
                sys.exit(f"{ending}: the server ends with {prices}, and not with {oracle}")
            updates = json.loads(said)["trades"] if command[0] == "feed" else int(said.split()[0])
            rates.append((updates / seconds, updates / cpu))
        yield {"what": " ".join([*command, f"*.{ending}"]), "updates": updates, **medians(rates)}


def ended(process):
    """The CPU seconds of a process, once it has ended."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def medians(rates):
    by_clock, by_cpu = zip(*rates)
    return {"per_s": round(statistics.median(by_clock)), "per_cpu_s": round(statistics.median(by_cpu))}


def rows_file(args, directory):
    path = os.path.join(directory, "stocks.csv")
    with open(path, "w", encoding="utf-8") as out:
        out.write("symbol,price,volume\n")
        for number in range(args.rows):
            out.write(f"STOCK{number:07},{number % 100000 / 100:.2f},{number % 5000}\n")
    return path


def on_terminal(command, listener=None):
    """Runs a command on a pseudo-terminal, until it has ended or connected. How long that took, its CPU time, what it drew."""
    terminal, inner = pty.openpty()
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=inner, stdin=subprocess.DEVNULL)
    os.close(inner)
    drawn = b""
    while True:
        ready, _, _ = select.select([terminal, *([listener] if listener else [])], [], [])
        if listener in ready:
            break
        try:
            drawn += os.read(terminal, 1 << 16)
        except OSError:
            # Nothing has the other end open any more.
            break
    seconds = time.monotonic() - begun
    if listener:
        process.kill()
    cpu = ended(process)
    os.close(terminal)
    return seconds, cpu, drawn


def imports(args, directory):
    path = rows_file(args, directory)
    reading, whole, drawings = [], [], []
    for _ in range(args.rounds):
        nobody = os.path.join(directory, "nobody")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(nobody)
            listener.listen()
            run = [args.binary, "import", "--server", f"unix:{nobody}", path]
            seconds, cpu, _ = on_terminal(run, listener)
        os.unlink(nobody)
        reading.append((args.rows / seconds, args.rows / cpu))
        with start(args, directory) as server:
            run = [args.binary, "import", "--server", server.addresses["resp"], path]
            seconds, cpu, drawn = on_terminal(run)
        whole.append((args.rows / seconds, args.rows / cpu))
        drawings.append(drawn.count(b"\r"))
    yield {"what": "import: read and checked", "rows": args.rows, **medians(reading)}
    yield {"what": "import: listed on a server", "rows": args.rows, **medians(whole), "progress_drawn": min(drawings)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--ticks")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out")
    args = parser.parse_args()
    measured = []
    with tempfile.TemporaryDirectory() as directory:
        for measurements in ([ticks(args, directory)] if args.ticks else []) + [imports(args, directory)]:
            for row in measurements:
                more = f", progress drawn {row['progress_drawn']} times" if "progress_drawn" in row else ""
                print(f"{row['what']:>30}: {row['per_s']:>9}/s, {row['per_cpu_s']:>9} a CPU second{more}", flush=True)
                measured.append(row)
    if args.out:
        record = {"machine": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg(), "rows": measured}
        with open(args.out, "w", encoding="utf-8") as out:
            json.dump(record, out, indent=1)


if __name__ == "__main__":
    main()
