"""redis-py with tokens against stockd: tokens.py PORT FEED DESK, where FEED may read and write everything and
DESK may read US.* alone."""

import asyncio
import json
import sys

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

_, PORT, FEED, DESK = sys.argv
LONG_S = 30


def connect(protocol, **credentials):
    # It tries a wrong token again and again otherwise, and from the eleventh on the answer waits.
    once = Retry(NoBackoff(), 0)
    return redis.Redis(
        port=int(PORT),
        protocol=protocol,
        decode_responses=True,
        socket_timeout=LONG_S,
        retry=once,
        **credentials,
    )


def refused(kind, ask):
    try:
        ask()
    except kind as error:
        return str(error)
    raise AssertionError("it was allowed")


for protocol in (2, 3):
    refused(redis.AuthenticationError, connect(protocol).ping)
    refused(redis.AuthenticationError, connect(protocol, password="stk_wrong").ping)
    refused(redis.AuthenticationError, connect(protocol, username="desk", password=FEED).ping)

    feed = connect(protocol, username="feed", password=FEED)
    desk = connect(protocol, password=DESK)
    assert feed.acl_whoami() == "feed" and desk.acl_whoami() == "desk"
    feed.hset("US.A", mapping={"price": "1.5", "volume": "10"})
    feed.hset("EU.A", mapping={"price": "2.5", "volume": "10"})
    assert desk.get("US.A") == "1.5"
    refused(redis.exceptions.NoPermissionError, lambda: desk.get("EU.A"))
    refused(redis.exceptions.NoPermissionError, lambda: desk.hset("US.A", "price", "7"))
    prices = desk.mget("US.A", "EU.A")
    assert prices[0] == "1.5" and isinstance(prices[1], redis.exceptions.NoPermissionError), prices
    assert desk.keys("*") == ["US.A"] and desk.dbsize() == 1 and list(desk.scan_iter()) == ["US.A"]

    pipeline = desk.pipeline()
    pipeline.get("US.A").set("US.A", "7")
    refused(redis.exceptions.NoPermissionError, pipeline.execute)
    assert feed.get("US.A") == "1.5"

    pubsub = desk.pubsub()
    pubsub.psubscribe("*")
    while (message := pubsub.get_message(timeout=LONG_S))["type"] != "pmessage":
        pass
    feed.set("EU.A", "3.5")
    feed.set("US.A", "1.75")
    message = pubsub.get_message(timeout=LONG_S)
    assert json.loads(message["data"])["price"] == "1.75", message
    feed.set("US.A", "1.5")


async def check_asyncio():
    desk = redis.asyncio.Redis(port=int(PORT), username="desk", password=DESK, decode_responses=True)
    assert await desk.get("US.A") == "1.5"
    await desk.aclose()


asyncio.run(check_asyncio())
print("all is well")
