"""httpx, httpx-sse, websockets and grpcio, unmodified, against a server at the address that is given."""

import asyncio
import json
import sys
import threading

import grpc
import httpx
import httpx_sse
import websockets
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from google.rpc import error_details_pb2, status_pb2

ADDRESS = sys.argv[1]
URL = f"http://{ADDRESS}"
PATIENCE = 30


def rest():
    with httpx.Client(base_url=URL, timeout=PATIENCE) as client:
        listed = client.put("/v1/stocks/AAPL", json={"price": "172.50", "volume": 1000})
        assert listed.status_code == 201, listed.text
        quote = client.get("/v1/stocks/AAPL")
        assert quote.json()["price"] == "172.5"
        same = client.get("/v1/stocks/AAPL", headers={"If-None-Match": quote.headers["etag"]})
        assert same.status_code == 304
        traded = client.post("/v1/stocks/AAPL/trades", json={"side": "buy", "quantity": "5"})
        assert traded.json()["volume"] == "995"
        late = client.patch("/v1/stocks/AAPL", json={"price": 1}, headers={"If-Match": quote.headers["etag"]})
        assert late.status_code == 412 and late.json()["type"] == "/problems/version-differs"
        assert client.put("/v1/stocks/BRK%2FA", json={"price": 743500}).json()["symbol"] == "BRK/A"
        many = client.post("/v1/lookup", json={"symbols": ["AAPL", "BRK/A", "NOPE"]}).json()
        assert list(many["quotes"]) == ["AAPL", "BRK/A"] and many["missing"] == ["NOPE"]
        with client.stream("GET", "/v1/snapshot") as response:
            symbols = [json.loads(line)["symbol"] for line in response.iter_lines()]
        assert sorted(symbols) == ["AAPL", "BRK/A"]


def set_price(price):
    answer = httpx.patch(f"{URL}/v1/stocks/AAPL", json={"price": price}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text


def events():
    params = {"symbols": "AAPL,NOPE"}
    with httpx.Client(timeout=PATIENCE) as client:
        with httpx_sse.connect_sse(client, "GET", f"{URL}/v1/stream", params=params) as source:
            stream = source.iter_sse()
            assert next(stream).event == "hello"
            first = [next(stream).json() for _ in range(2)]
            assert {"symbol": "NOPE", "status": "unlisted"} in first
            synced = next(stream)
            assert synced.event == "synced"
            set_price("173")
            told = next(stream)
            assert told.event == "message" and told.json()["price"] == "173"
    resumed = {"Last-Event-ID": told.id}
    with httpx.Client(timeout=PATIENCE) as client:
        with httpx_sse.connect_sse(
            client, "GET", f"{URL}/v1/stream", params={"symbols": "AAPL"}, headers=resumed
        ) as source:
            assert next(source.iter_sse()).json()["resumed"] is True


async def socket():
    async with websockets.connect(
        f"ws://{ADDRESS}/v1/stream", subprotocols=["stockd.v1"], open_timeout=PATIENCE
    ) as connection:
        assert connection.subprotocol == "stockd.v1"

        async def receive():
            return json.loads(await asyncio.wait_for(connection.recv(), PATIENCE))

        async def until(kind):
            seen = []
            while True:
                message = await receive()
                if isinstance(message, dict) and message["type"] == kind:
                    return message, seen
                seen += message if isinstance(message, list) else []

        await until("synced")
        await connection.send(
            json.dumps({"action": "subscribe", "symbols": ["AAPL", ""], "patterns": ["BRK*"], "id": 1})
        )
        answer, seen = await until("subscribed")
        assert answer["id"] == 1 and [it["symbol"] for it in answer["refused"]] == [""]
        _, more = await until("synced")
        assert {it["symbol"] for it in seen + more} == {"AAPL", "BRK/A"}
        await asyncio.to_thread(set_price, "174")
        while True:
            message = await receive()
            if isinstance(message, list):
                break
        assert message[0]["price"] == "174"
        await connection.send(json.dumps({"action": "lookup", "symbols": ["AAPL", "NOPE"], "id": "x"}))
        found, _ = await until("lookup")
        assert found["quotes"]["AAPL"]["price"] == "174" and found["missing"] == ["NOPE"] and found["id"] == "x"
        await connection.send("nonsense")
        wrong, _ = await until("error")
        assert wrong["problem"]["type"] == "/problems/invalid-request"
        await connection.send(json.dumps({"action": "unsubscribe", "symbols": ["AAPL"], "id": 2}))
        await until("unsubscribed")
        await connection.send(json.dumps({"action": "ping", "id": 3}))
        await until("pong")
    try:
        async with websockets.connect(f"ws://{ADDRESS}/v1/stream", origin="http://evil.example"):
            raise AssertionError("a foreign page was let in")
    except websockets.exceptions.InvalidStatus as refused:
        assert refused.response.status_code == 403


def remote_calls():
    channel = grpc.insecure_channel(ADDRESS, options=[("grpc.keepalive_time_ms", 1000)])
    health = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    for service in ["", "stockd.v1.Stocks"]:
        request = health_pb2.HealthCheckRequest(service=service)
        assert health.Check(request, timeout=PATIENCE).status == serving
        watch = health.Watch(request, timeout=PATIENCE)
        assert next(watch).status == serving
        watch.cancel()

    # Everything else is known by reflection alone.
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "stockd.v1.Stocks" in database.get_services()
    service = DescriptorPool(database).FindServiceByName("stockd.v1.Stocks")

    def call(method, **fields):
        description = service.FindMethodByName(method)
        request = json_format.ParseDict(fields, GetMessageClass(description.input_type)())
        answer = GetMessageClass(description.output_type)
        path = f"/stockd.v1.Stocks/{method}"
        kind = channel.unary_stream if method in ("List", "Watch") else channel.unary_unary
        stub = kind(path, request_serializer=lambda it: it.SerializeToString(), response_deserializer=answer.FromString)
        return stub(request, timeout=PATIENCE)

    updated = call("Update", symbol="MSFT", fields={"price": {"text": "401.25"}, "volume": {"coefficient": "7"}})
    assert (updated.price.text, updated.price.coefficient, updated.price.scale) == ("401.25", 40125, 2)
    assert call("Lookup", symbol="MSFT").volume.text == "7"
    traded = call("Trade", symbol="MSFT", side="SIDE_BUY", quantity={"text": "2"}, expectedVersion=str(updated.version))
    assert traded.volume.text == "5"
    batch = call("BatchLookup", symbols=["MSFT", "NOPE"])
    assert [it.symbol for it in batch.quotes] == ["MSFT"] and list(batch.missing) == ["NOPE"]
    assert {it.symbol for it in call("List")} == {"AAPL", "BRK/A", "MSFT"}

    def refused(method, **fields):
        try:
            call(method, **fields)
        except grpc.RpcError as error:
            trailers = dict(error.trailing_metadata())
            status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info) and info.domain == "stockd"
            return error.code().name, info.reason, dict(info.metadata)
        raise AssertionError(f"{method} {fields} was not refused")

    assert refused("Lookup", symbol="NOPE")[:2] == ("NOT_FOUND", "NOT_LISTED")
    code, reason, values = refused("Trade", symbol="MSFT", side="SIDE_BUY", quantity={"text": "50"})
    assert (code, reason, values["volume"]) == ("FAILED_PRECONDITION", "VOLUME_TOO_LOW", "5")
    assert refused("Delist", symbol="MSFT", expectedVersion="1")[:2] == ("ABORTED", "VERSION_DIFFERS")
    assert refused("Update", symbol="", fields={})[0] == "INVALID_ARGUMENT"

    watch = call("Watch", symbols=["MSFT", "NOPE"])
    assert next(watch).WhichOneof("event") == "hello"
    assert {next(watch).WhichOneof("event") for _ in range(2)} == {"quote", "unlisted"}
    assert next(watch).WhichOneof("event") == "synced"
    setter = threading.Thread(target=call, args=["Update"], kwargs={"symbol": "MSFT", "fields": {"bid": {"text": "1"}}})
    setter.start()
    event = next(watch)
    assert event.quote.bid.text == "1"
    setter.join()
    call("Delist", symbol="MSFT")
    assert next(watch).delisted == "MSFT"
    watch.cancel()
    channel.close()


rest()
events()
asyncio.run(socket())
remote_calls()
print("all is well")
