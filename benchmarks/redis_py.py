#!/usr/bin/env python3
"""How fast redis-py reads and writes many stocks, beside Redis.

Usage: redis_py.py PORT [--redis PORT] [--stocks N] [--rounds N] [--protocol 2|3] [--decode]

PORT is that of stockd's RESP listener; with --redis a Redis is asked in the same rounds. Reads 500 stocks a call (--stocks): MGET, whole
quotes as rows (HGETROWS) and as maps (HMGETALL), HGETALLs in a pipeline. Writes them: rows (HSETROWS), HSETs and SETs in a pipeline, and
MSET. Needs redis-py with hiredis. In each round (40 unless given) every way runs for 20 ms. Printed are the median of the rounds, and
the ratio to MGET of the same server (for writes, to MSET on Redis): the median of the rounds, lowest to highest. On a machine that is busy
with something else the ratios mean something, the times do not.
"""

import argparse
import statistics
import time

import redis

SECONDS = 0.02
ALL_FIELDS = (
    "symbol price volume bid ask bid_size ask_size status time version updated"
    " feed feed_state".split()
)


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("Usage: "))
    parser.add_argument("port", type=int)
    parser.add_argument("--redis", type=int)
    parser.add_argument("--stocks", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--protocol", type=int, default=3, choices=[2, 3])
    parser.add_argument("--decode", action="store_true", help="texts are str, not bytes")
    return parser.parse_args()


class Ways:
    """Each way of reading or writing all stocks once."""

    def __init__(self, options):
        def client(port):
            return redis.Redis(
                port=port, protocol=options.protocol, decode_responses=options.decode
            )

        self.stockd = client(options.port)
        self.redis = client(options.redis) if options.redis else None
        self.names = [f"S{number}" for number in range(options.stocks)]
        self.prices = [f"{100 + number % 7}.25" for number in range(options.stocks)]

    def rows(self, *fields):
        flat = []
        if fields == ("price",):
            for row in zip(self.names, self.prices):
                flat.extend(row)
        else:
            for name, price in zip(self.names, self.prices):
                flat.extend((name, price, "1000"))
        return self.stockd.execute_command("HSETROWS", len(fields), *fields, *flat)

    def pipeline(self, add):
        pipe = self.stockd.pipeline(transaction=False)
        for name, price in zip(self.names, self.prices):
            add(pipe, name, price)
        return pipe.execute()

    def read_rows(self, *fields):
        return self.stockd.execute_command("HGETROWS", len(fields), *fields, *self.names)

    def all(self):
        """Names, what a way is compared with, and how it is done."""
        stockd, names = self.stockd, self.names
        mset = "MSET, Redis" if self.redis else None
        yield "MGET", "MGET", lambda: stockd.mget(names)
        yield "HGETROWS, whole quotes", "MGET", lambda: self.read_rows(*ALL_FIELDS)
        yield "HGETROWS price bid ask", "MGET", lambda: self.read_rows("price", "bid", "ask")
        yield "HMGETALL, whole quotes", "MGET", lambda: stockd.execute_command("HMGETALL", *names)
        yield "HGETALLs in a pipeline", "MGET", lambda: self.pipeline(
            lambda pipe, name, _: pipe.hgetall(name)
        )
        if self.redis:
            prices = lambda: dict(zip(names, self.prices))
            yield "MGET, Redis", "MGET", lambda: self.redis.mget(names)
            yield "MSET, Redis", mset, lambda: self.redis.mset(prices())
        yield "HSETROWS price", mset, lambda: self.rows("price")
        yield "HSETROWS price volume", mset, lambda: self.rows("price", "volume")
        yield "MSET", mset, lambda: stockd.mset(dict(zip(names, self.prices)))
        yield "HSETs in a pipeline", mset, lambda: self.pipeline(
            lambda pipe, name, price: pipe.hset(name, "price", price)
        )
        yield "SETs in a pipeline", mset, lambda: self.pipeline(
            lambda pipe, name, price: pipe.set(name, price)
        )


def take(call):
    """The median time of a call, over a moment."""
    taken = []
    until = time.perf_counter() + SECONDS
    while not taken or time.perf_counter() < until:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main():
    options = arguments()
    ways = Ways(options)
    assert ways.rows("price", "volume") == options.stocks
    if ways.redis:
        ways.redis.mset(dict(zip(ways.names, ways.prices)))
    times = {}
    for _ in range(options.rounds):
        for name, _, call in ways.all():
            times.setdefault(name, []).append(take(call))
    print(f"{'':24} {'ms a call':>9} {'stocks/s':>12}  ratio")
    for name, base, _ in ways.all():
        median = statistics.median(times[name])
        line = f"{name:24} {median * 1e3:9.3f} {options.stocks / median:12,.0f}"
        if base and base != name:
            ratios = [one / other for one, other in zip(times[name], times[base])]
            ratio = statistics.median(ratios)
            line += f"  {ratio:.2f} × {base} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(line)


if __name__ == "__main__":
    main()
