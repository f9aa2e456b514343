"""Client-side caching of redis-py, and valkey-glide, against stockd (caching.py -p PORT or -s PATH)."""

import asyncio
import sys
import time

import redis
from redis.cache import CacheConfig

_, KIND, NAME = sys.argv
LONG_S = 30


def becomes(read, expected):
    deadline = time.monotonic() + LONG_S
    while (found := read()) != expected:
        assert time.monotonic() < deadline, f"{found} and never {expected}"


def cached():
    place = {"unix_socket_path": NAME} if KIND == "-s" else {"port": int(NAME)}
    if KIND == "-s":
        return  # redis-py caches over TCP alone.
    reader = redis.Redis(**place, protocol=3, cache_config=CacheConfig(), decode_responses=True)
    writer = redis.Redis(**place, decode_responses=True)
    writer.hset("CACHED", mapping={"price": "1", "volume": "9"})
    for change, price in [
        (lambda: writer.set("CACHED", "2"), "2"),
        (lambda: writer.hset("CACHED", mapping={"status": "halted"}), "0"),
        (lambda: writer.hset("CACHED", mapping={"status": "trading"}), "2"),
        (lambda: writer.hincrby("CACHED", "volume", -9), "0"),
        (lambda: writer.delete("CACHED"), None),
        (lambda: writer.hset("CACHED", mapping={"price": "3"}), "3"),
    ]:
        before = reader.get("CACHED")
        assert reader.get("CACHED") == before
        assert before is None or reader.get_cache().size > 0, "redis-py keeps it"
        change()
        becomes(lambda: reader.get("CACHED"), price)
    # What was kept by a connection that ends is not kept any longer than that.
    reader.get("CACHED")
    for client in writer.client_list():
        if client["name"] == "" and "t" in client["flags"]:
            break
    else:
        raise AssertionError("no client is tracked")
    reader.connection_pool.disconnect()
    writer.set("CACHED", "4")
    becomes(lambda: reader.get("CACHED"), "4")
    writer.delete("CACHED")


async def glide():
    from glide import GlideClient, GlideClientConfiguration, NodeAddress

    client = await GlideClient.create(
        GlideClientConfiguration([NodeAddress("127.0.0.1", int(NAME))], request_timeout=LONG_S * 1000)
    )
    assert await client.get("AAPL") == b"172.5"
    assert (await client.hgetall("BRK/A"))[b"price"] == b"743500"
    assert await client.mset({"AAPL": "172.5"}) == "OK"
    assert await client.hincrby("BRK/A", "volume", 0) == 12
    await client.close()


cached()
if KIND == "-p":
    asyncio.run(glide())
print("all is well")
