"""How fast redis-py reads and writes many stocks: python3 redis_py.py PORT [STOCKS-A-CALL [SECONDS]]

Compares whole quotes in one command (HMGETALL) with HGETALL in a pipeline and with MGET, and rows in one command (HSETROWS) with HSET and SET in
a pipeline. Needs redis-py with hiredis. Each way runs in turn, five rounds; the median and the quickest of all calls are printed, with stocks a
second by each. On a machine that is busy with something else the quickest call is the one that it left alone.
"""

import statistics
import sys
import time

import redis

PORT = int(sys.argv[1])
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 500
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 0.3

client = redis.Redis(port=PORT, decode_responses=False)
names = [f"S{number}" for number in range(COUNT)]
prices = [f"{100 + number % 7}.25" for number in range(COUNT)]


def rows(*fields):
    flat = []
    for name, price in zip(names, prices):
        flat += [name, price] + ["1000"] * (len(fields) - 1)
    return ["HSETROWS", len(fields), *fields, *flat]


def pipeline(command):
    pipe = client.pipeline(transaction=False)
    for name, price in zip(names, prices):
        command(pipe, name, price)
    return pipe.execute()


is_stockd = client.info("server").get("server_name") == "stockd"
if is_stockd:
    assert client.execute_command(*rows("price", "volume")) == COUNT
    ways = {
        "MGET": lambda: client.mget(names),
        "HMGETALL": lambda: client.execute_command("HMGETALL", *names),
        "HGETALL, a pipeline": lambda: pipeline(lambda pipe, name, _: pipe.hgetall(name)),
        "HSETROWS price": lambda: client.execute_command(*rows("price")),
        "HSETROWS price volume": lambda: client.execute_command(*rows("price", "volume")),
        "SET, a pipeline": lambda: pipeline(lambda pipe, name, price: pipe.set(name, price)),
        "HSET price, a pipeline": lambda: pipeline(lambda pipe, name, price: pipe.hset(name, "price", price)),
    }
else:
    ways = {"MSET": lambda: client.mset(dict(zip(names, prices))), "MGET": lambda: client.mget(names)}

times = {way: [] for way in ways}
for _ in range(5):
    for way, call in ways.items():
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            began = time.perf_counter()
            call()
            times[way].append(time.perf_counter() - began)
for way, taken in times.items():
    median, least = statistics.median(taken), min(taken)
    print(
        f"{way:24} median {median * 1e3:8.3f} ms {COUNT / median:12,.0f} stocks/s   "
        f"quickest {least * 1e3:8.3f} ms {COUNT / least:12,.0f} stocks/s"
    )
