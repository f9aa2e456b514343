"""Streams through nginx in front, with its default buffering: events come as they happen, sockets are passed on.

Arguments: the socket of nginx, and the address of the server."""

import asyncio
import json
import sys

import httpx
import httpx_sse
import websockets

PROXY, ADDRESS = sys.argv[1:3]
PATIENCE = 30


def set_price(price):
    answer = httpx.put(f"http://{ADDRESS}/v1/stocks/AAPL", json={"price": price}, timeout=PATIENCE)
    assert answer.status_code in (200, 201), answer.text


def events():
    with httpx.Client(transport=httpx.HTTPTransport(uds=PROXY), timeout=PATIENCE) as client:
        quote = client.get("http://localhost/v1/stocks/AAPL")
        assert quote.json()["price"] == "1", quote.text
        url = "http://localhost/v1/stream"
        with httpx_sse.connect_sse(client, "GET", url, params={"symbols": "AAPL"}) as source:
            stream = source.iter_sse()
            assert [next(stream).event for _ in range(3)] == ["hello", "message", "synced"]
            # One small event at a time, none of which may wait for more to come.
            for price in range(2, 12):
                set_price(str(price))
                event = next(stream)
                while event.event != "message":
                    event = next(stream)
                assert event.json()["price"] == str(price)


def lines():
    with httpx.Client(transport=httpx.HTTPTransport(uds=PROXY), timeout=PATIENCE) as client:
        headers = {"Accept": "application/x-ndjson"}
        with client.stream("GET", "http://localhost/v1/stream?symbols=AAPL", headers=headers) as response:
            kinds = response.iter_lines()
            assert [json.loads(next(kinds)).get("type") for _ in range(3)] == ["hello", None, "synced"]
            set_price("20")
            line = json.loads(next(kinds))
            while "price" not in line:
                line = json.loads(next(kinds))
            assert line["price"] == "20"


async def sockets():
    url = "ws://localhost/v1/stream?symbols=AAPL"
    async with websockets.unix_connect(PROXY, url, subprotocols=["stockd.v1"]) as socket:

        async def until(fits):
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
                if fits(message):
                    return message

        await until(lambda it: isinstance(it, dict) and it["type"] == "synced")
        await asyncio.to_thread(set_price, "21")
        await until(lambda it: isinstance(it, list) and it[0]["price"] == "21")


set_price("1")
events()
lines()
asyncio.run(sockets())
print("all is well")
