"""alpaca-py, unmodified, with url_override: latest data, errors, and the stream through a restart of the server.

The argument is the address of the server. It is started again there between two lines: "restart" and "restarted".
"""

import asyncio
import json
import sys
import threading

import httpx
import msgpack
import websockets
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame

ADDRESS = sys.argv[1]
URL = f"http://{ADDRESS}"
PATIENCE = 30


def put(symbol, **fields):
    answer = httpx.put(f"{URL}/v1/stocks/{symbol}", json=fields, timeout=PATIENCE)
    assert answer.status_code in (200, 201), answer.text


def latest():
    client = StockHistoricalDataClient("key", "secret", url_override=URL)
    time_text = "2026-09-21T14:13:20.123456789Z"
    put("AAPL", price="172.50", volume=1000, bid="172.49", ask="172.51", bid_size=300, time=time_text)
    put("IBM", price="250.1")
    trades = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=["AAPL", "IBM", "NOPE"]))
    assert set(trades) == {"AAPL", "IBM"}
    assert trades["AAPL"].price == 172.5 and trades["AAPL"].size == 0, trades
    assert trades["AAPL"].timestamp.isoformat() == "2026-09-21T14:13:20.123456+00:00"
    single = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))
    assert single["AAPL"].price == 172.5
    quotes = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["AAPL", "IBM"]))
    assert set(quotes) == {"AAPL"}
    quote = quotes["AAPL"]
    assert (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size) == (172.49, 300, 172.51, 0)
    snapshots = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["AAPL", "IBM"]))
    assert snapshots["AAPL"].latest_trade.price == 172.5 and snapshots["AAPL"].latest_quote.bid_price == 172.49
    assert snapshots["IBM"].latest_quote is None and snapshots["IBM"].daily_bar is None
    try:
        client.get_stock_bars(StockBarsRequest(symbol_or_symbols="AAPL", timeframe=TimeFrame.Day))
        raise AssertionError("bars were made up")
    except APIError as error:
        assert error.status_code == 404 and error.code == 40410000, error
        assert "there is nothing at" in error.message


async def raw():
    """The stream as other clients of it speak: JSON and MessagePack, with its errors."""
    for pack, unpack, headers in [
        (json.dumps, json.loads, {}),
        (msgpack.packb, msgpack.unpackb, {"Content-Type": "application/msgpack"}),
    ]:
        async with websockets.connect(f"ws://{ADDRESS}/v2/sip", additional_headers=headers) as socket:

            async def receive():
                return unpack(await asyncio.wait_for(socket.recv(), PATIENCE))

            async def ask(**message):
                await socket.send(pack(message))
                return await receive()

            assert await receive() == [{"T": "success", "msg": "connected"}]
            assert await ask(action="auth", key="k", secret="s") == [{"T": "success", "msg": "authenticated"}]
            await socket.send(b"\xc1" if headers else "nonsense")
            assert (await receive())[0]["code"] == 400
            answer = await ask(action="subscribe", trades=["IBM"], quotes=["AAPL", "IBM"], bars=["*"])
            assert answer[0] == {"T": "error", "code": 410, "msg": "invalid subscribe action for this feed"}
            assert answer[1]["trades"] == ["IBM"] and answer[1]["quotes"] == ["AAPL", "IBM"]
            first = []
            while len(first) < 2:
                first += await receive()
            assert {(it["T"], it["S"]) for it in first} == {("t", "IBM"), ("q", "AAPL")}, first
            put("IBM", price="250.1", bid="250")
            told = await receive()
            assert [(it["T"], it["S"], it["bp"], it["bs"]) for it in told] == [("q", "IBM", 250, 0)], told
            put("IBM", price="250.1")
            answer = await ask(action="unsubscribe", quotes=["AAPL", "IBM"])
            while answer[0]["T"] != "subscription":
                answer = await receive()
            assert answer[0]["quotes"] == [] and answer[0]["trades"] == ["IBM"]


def stream():
    """Trades, quotes and statuses of alpaca-py, which connects again when the server has been started again."""
    client = StockDataStream("key", "secret", url_override=f"ws://{ADDRESS}/v2/iex")
    seen, condition = [], threading.Condition()

    async def note(event):
        with condition:
            seen.append(event)
            condition.notify_all()

    def wait_for(fits):
        with condition:
            assert condition.wait_for(lambda: any(fits(it) for it in seen), PATIENCE), seen

    def has_price(price):
        return lambda it: getattr(it, "price", None) == price

    client.subscribe_trades(note, "AAPL")
    client.subscribe_quotes(note, "AAPL")
    client.subscribe_trading_statuses(note, "*")
    thread = threading.Thread(target=client.run)
    thread.start()
    wait_for(has_price(172.5))
    wait_for(lambda it: getattr(it, "bid_price", None) == 172.49)
    put("AAPL", price="173.25")
    wait_for(has_price(173.25))
    put("AAPL", price="173.25", status="halted")
    wait_for(lambda it: getattr(it, "status_code", None) == "H")
    print("restart", flush=True)
    assert sys.stdin.readline() == "restarted\n"
    put("AAPL", price="174")
    wait_for(has_price(174))
    assert not any(getattr(it, "price", 1) == 0 for it in seen)
    client.stop()
    thread.join(PATIENCE)


latest()
asyncio.run(raw())
stream()
print("all is well")
