"""redis-py against stockd: RESP2 and RESP3, blocking and asyncio, over TCP (python.py -p PORT) or a Unix
socket (python.py -s PATH)."""

import asyncio
import json
import sys

import redis
import redis.asyncio

_, KIND, NAME = sys.argv
PLACE = {"unix_socket_path": NAME} if KIND == "-s" else {"port": int(NAME)}
LONG_S = 30


def next_message(pubsub):
    while True:
        message = pubsub.get_message(timeout=LONG_S)
        assert message is not None, "no message"
        if message["type"] in ("message", "pmessage"):
            return message["channel"], json.loads(message["data"])


def check(protocol):
    client = redis.Redis(**PLACE, protocol=protocol, decode_responses=True, socket_timeout=LONG_S)
    assert client.ping()
    assert client.get("AAPL") == "172.5"
    assert client.get("NOPE") is None
    assert client.mget("AAPL", "SOLD", "HALT", "NOPE") == ["172.5", "0", "0", None]
    quote = client.hgetall("BRK/A")
    assert list(quote) == ["symbol", "price", "volume", "status", "version", "updated"], quote
    assert (quote["price"], quote["status"]) == ("743500", "trading")
    assert client.hmget("HALT", "price", "status") == ["3", "halted"]

    name = f"PY{protocol}"
    assert client.hset(name, mapping={"price": "0.0005", "volume": 3}) == 2
    assert client.hincrby(name, "volume", -2) == 1
    try:
        client.hincrby(name, "volume", -2)
        raise AssertionError("oversold")
    except redis.ResponseError as error:
        assert str(error) == f"volume of '{name}' is 1, cannot take 2", error

    # Numbers as Python writes them, and a stock whose shares are not counted.
    floats = f"{name}.floats"
    assert client.hset(floats, mapping={"price": 0.1 + 0.2, "volume": 1000.0}) == 2
    assert client.hmget(floats, "price", "volume") == ["0.30000000000000004", "1000"]
    assert client.hset(floats, mapping={"price": 1.234e-05, "volume": "none"}) == 0
    assert client.hmget(floats, "price", "volume") == ["0.00001234", None]
    assert "volume" not in client.hgetall(floats) and client.get(floats) == "0.00001234"
    client.hset(floats, "price", -1.0)
    assert (client.get(floats), client.hget(floats, "price")) == ("-1.0", "-1")
    client.delete(floats)

    pipeline = client.pipeline(transaction=False)
    for stock in range(500):
        pipeline.hset(f"{name}.{stock}", mapping={"price": f"{stock + 1}.5", "volume": 1})
    assert pipeline.execute() == [2] * 500
    assert len(set(client.scan_iter(match=f"{name}.*", count=50))) == 500
    assert sorted(client.keys(f"{name}.49*")) == sorted(
        [f"{name}.49"] + [f"{name}.49{digit}" for digit in range(10)]
    )
    assert client.exists(f"{name}.1", f"{name}.2", "NOPE") == 2

    # Many stocks in one command, as docs/feeding.md does it.
    ticks = {f"{name}.1": ("7.25", "10"), f"{name}.2": ("8.5", "none")}
    flat = [part for symbol, values in ticks.items() for part in (symbol, *values)]
    assert client.execute_command("HSETROWS", 2, "price", "volume", *flat) == 2
    fields = ("price", "volume", "bid", "symbol")
    rows = client.execute_command("HGETROWS", len(fields), *fields, *ticks, "NOPE")
    assert rows == [
        ["7.25", "10", None, f"{name}.1"],
        ["8.5", None, None, f"{name}.2"],
        [None] * 4,
    ], rows
    quotes = client.execute_command("HMGETALL", *ticks, "NOPE")
    assert [len(quote) for quote in quotes] == ([12, 10, 0] if protocol == 2 else [6, 5, 0]), quotes
    assert client.type(name) == "hash"

    pubsub = client.pubsub()
    pubsub.subscribe(name)
    pubsub.psubscribe(f"{name}.new*")
    channel, first = next_message(pubsub)
    assert (channel, first["price"], first["version"]) == (name, "0.0005", 2), first
    client.set(name, "0.25")
    channel, update = next_message(pubsub)
    assert (channel, update["price"], update["version"]) == (name, "0.25", 3), update
    client.hset(f"{name}.newer", mapping={"price": "1"})
    channel, listed = next_message(pubsub)
    assert (channel, listed["version"]) == (f"{name}.newer", 1), listed
    client.delete(name)
    channel, gone = next_message(pubsub)
    assert gone == {"symbol": name, "status": "delisted"}, gone
    pubsub.close()

    assert client.client_setname("python") and client.client_getname() == "python"
    assert any(other["name"] == "python" for other in client.client_list())
    assert client.info()["connected_clients"] >= 1
    client.close()


async def check_asyncio():
    client = redis.asyncio.Redis(**PLACE, decode_responses=True)
    asked = [client.get("AAPL") for _ in range(100)]
    assert await asyncio.gather(*asked) == ["172.5"] * 100
    await client.aclose()


for version in (2, 3):
    check(version)
asyncio.run(check_asyncio())
print("all is well")
