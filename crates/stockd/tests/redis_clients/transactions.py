"""redis-py's default pipelines, transactions and WATCH loops against stockd, over TCP (transactions.py -p PORT)
or a Unix socket (transactions.py -s PATH)."""

import asyncio
import sys
import threading

import redis
import redis.asyncio

_, KIND, NAME = sys.argv
PLACE = {"unix_socket_path": NAME} if KIND == "-s" else {"port": int(NAME)}
LONG_S = 30
STOCKS, SHARES, THREADS, MOVES = 4, 1000, 8, 40


def connect(protocol):
    return redis.Redis(**PLACE, protocol=protocol, decode_responses=True, socket_timeout=LONG_S)


def check_pipeline(client, name):
    """The default pipeline is a transaction."""
    pipeline = client.pipeline()
    pipeline.hset(name, mapping={"price": "10", "volume": 100})
    pipeline.hincrby(name, "volume", -30)
    pipeline.get(name).mget(name, "NOPE").hmget(name, "price", "volume").exists(name, "NOPE")
    pipeline.hgetall(name).dbsize().ping().echo("word")
    replies = pipeline.execute()
    assert replies[:6] == [2, 70, "10", ["10", None], ["10", "70"], 1], replies
    assert replies[6]["volume"] == "70" and int(replies[6]["version"]) >= 2, replies
    assert replies[7] == client.dbsize() and replies[8:] == [True, "word"], replies

    # An error in the middle is that command's alone, as in Redis.
    pipeline = client.pipeline()
    pipeline.hincrby(name, "volume", -20).hincrby(name, "volume", -1000).hincrby(name, "volume", -20)
    replies = pipeline.execute(raise_on_error=False)
    assert replies[0] == 50 and replies[2] == 30, replies
    assert str(replies[1]) == f"volume of '{name}' is 50, cannot take 1000", replies

    # What cannot be queued keeps everything from being executed.
    pipeline = client.pipeline()
    pipeline.hincrby(name, "volume", -1).execute_command("NOSUCH")
    try:
        pipeline.execute()
        raise AssertionError("executed")
    except redis.ResponseError as error:
        assert "unknown command" in str(error), error
    assert client.hget(name, "volume") == "30"
    assert client.pipeline().execute() == []

    pipeline = client.pipeline()
    for stock in range(500):
        pipeline.hset(f"{name}.{stock}", mapping={"price": "1"})
    pipeline.delete(*(f"{name}.{stock}" for stock in range(500)))
    assert pipeline.execute() == [1] * 500 + [500]


def check_watch(client, other, name):
    with client.pipeline() as pipeline:
        pipeline.watch(name)
        other.hincrby(name, "volume", 1)
        pipeline.multi()
        pipeline.hset(name, "volume", 0)
        try:
            pipeline.execute()
            raise AssertionError("executed")
        except redis.WatchError:
            pass
        # Watched while it is not listed.
        pipeline.watch("LATER")
        pipeline.multi()
        pipeline.hset("LATER", mapping={"price": "1", "volume": 1})
        assert pipeline.execute() == [2]
        pipeline.watch(name)
        pipeline.unwatch()
        other.hincrby(name, "volume", 1)
        assert pipeline.get(name).execute() == ["10"]
    client.delete("LATER")

    def halve(pipeline):
        volume = int(pipeline.hget(name, "volume"))
        pipeline.multi()
        pipeline.hset(name, "volume", volume // 2)

    assert client.transaction(halve, name) == [0]
    assert client.hget(name, "volume") == "16"


def move(protocol, thread, prefix):
    """Moves shares, by turns with a transaction of trades and with a WATCH loop."""
    client = connect(protocol)
    for step in range(MOVES):
        source = f"{prefix}.{(thread + step) % STOCKS}"
        target = f"{prefix}.{(thread + 3 * step + 1) % STOCKS}"
        if source == target:
            continue
        if step % 2:
            client.pipeline().hincrby(source, "volume", -1).hincrby(target, "volume", 1).execute()
            continue

        def rewrite(pipeline):
            left, there = (int(pipeline.hget(name, "volume")) for name in (source, target))
            pipeline.multi()
            pipeline.hset(source, "volume", left - 1)
            pipeline.hset(target, "volume", there + 1)

        client.transaction(rewrite, source, target)
    client.close()


def check_moves(client, protocol, prefix):
    stocks = [f"{prefix}.{stock}" for stock in range(STOCKS)]
    for stock in stocks:
        client.hset(stock, mapping={"price": "1", "volume": SHARES})
    movers = [threading.Thread(target=move, args=(protocol, thread, prefix)) for thread in range(THREADS)]
    for mover in movers:
        mover.start()
    sums = set()
    while any(mover.is_alive() for mover in movers):
        pipeline = client.pipeline()
        for stock in stocks:
            pipeline.hget(stock, "volume")
        sums.add(sum(map(int, pipeline.execute())))
    for mover in movers:
        mover.join()
    assert sums <= {STOCKS * SHARES}, sums
    assert sum(int(client.hget(stock, "volume")) for stock in stocks) == STOCKS * SHARES


async def check_asyncio():
    client = redis.asyncio.Redis(**PLACE, decode_responses=True)
    async with client.pipeline() as pipeline:
        pipeline.hset("ASYNC", mapping={"price": "2", "volume": 1}).get("ASYNC")
        assert await pipeline.execute() == [2, "2"]
    await client.aclose()


for version in (2, 3):
    first, second = connect(version), connect(version)
    check_pipeline(first, f"TX{version}")
    check_watch(first, second, f"TX{version}")
    check_moves(first, version, f"MOVE{version}")
    first.close()
    second.close()
asyncio.run(check_asyncio())
print("all is well")
