"""Clients of HTTP/2 that mean ill, by h2: streams that are given up at once, windows of a byte, floods. Beside each of them
another client is served, and what is held for them is bounded."""

import socket
import sys
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import httpx

ADDRESS = sys.argv[1]
HOST, PORT = ADDRESS.rsplit(":", 1)
PATIENCE = 30


class Client:
    """A connection whose bytes are all sent at once, however many they are."""

    def __init__(self, window=None):
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.socket = socket.create_connection((HOST, int(PORT)), timeout=PATIENCE)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        if window is not None:
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def get(self, path, stream=None, end=True):
        stream = stream or self.h2.get_next_available_stream_id()
        headers = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        self.h2.send_headers(stream, headers, end_stream=end)
        return stream

    def events(self):
        data = self.socket.recv(65536)
        if not data:
            return None
        events = self.h2.receive_data(data)
        self.flush()
        return events

    def until(self, fits):
        """The first event that fits; none when the server has closed the connection."""
        while True:
            events = self.events()
            if events is None:
                return None
            for event in events:
                if fits(event):
                    return event


def others_are_served():
    answer = httpx.get(f"http://{ADDRESS}/v1/stocks/AAPL", timeout=PATIENCE)
    assert answer.status_code == 200 and answer.json()["price"] == "172.5", answer.text


def is_ended(event):
    return isinstance(event, h2.events.ConnectionTerminated)


def rapid_reset():
    """CVE-2023-44487: the server has had enough of it, and says so."""
    client = Client()
    try:
        for _ in range(20_000):
            stream = client.get("/v1/stocks/AAPL")
            client.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            if stream % 501 == 0:
                client.flush()
        client.flush()
        ended = client.until(is_ended)
        assert ended is None or ended.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, ended
    except (ConnectionError, BrokenPipeError):
        pass
    others_are_served()
    metrics = httpx.get(f"http://{ADDRESS}/metrics", timeout=PATIENCE).text
    assert 'stockd_connections_closed_total{reason="web_resets"} 0' not in metrics, "it is not counted"


def tiny_window():
    """A byte at a time: what is sent is what the client has room for."""
    client = Client(window=1)
    stream = client.get("/openapi.json")
    client.flush()
    body = b""
    while len(body) < 40:
        event = client.until(lambda it: isinstance(it, h2.events.DataReceived))
        assert len(event.data) == 1, event
        body += event.data
        client.h2.increment_flow_control_window(1, stream)
        client.flush()
    assert body.startswith(b'{"openapi":"3.1'), body
    others_are_served()


def closed_windows():
    """Many streams that take nothing hold little."""
    clients = [Client(window=0) for _ in range(20)]
    for client in clients:
        for _ in range(100):
            client.get("/v1/snapshot" if client is clients[0] else "/openapi.json")
            client.flush()
    # Four snapshots may be read at once, and the others are refused.
    server = httpx.get(f"http://{ADDRESS}/v1/server", timeout=PATIENCE).json()
    assert server["resident_bytes"] < 400_000_000, server["resident_bytes"]
    others_are_served()


def too_many_streams():
    """Streams beyond the limit are refused one by one; those within it are answered."""
    client = Client(window=0)
    client.until(lambda it: isinstance(it, h2.events.RemoteSettingsChanged))
    limit = client.h2.remote_settings.max_concurrent_streams
    assert limit == 256, limit
    for _ in range(limit):
        client.get("/openapi.json")
    client.flush()
    # Past what the library allows.
    client.h2.remote_settings.max_concurrent_streams = 1000
    client.h2.remote_settings.acknowledge()
    last = client.get("/openapi.json")
    client.flush()
    ended = (h2.events.StreamReset, h2.events.ConnectionTerminated)
    refused = client.until(lambda it: isinstance(it, ended) and getattr(it, "stream_id", last) == last)
    assert refused is not None
    others_are_served()


def floods():
    """Pings, settings and empty frames without end: answered, or the end of the connection."""
    for flood in ("ping", "settings", "empty"):
        client = Client()
        stream = client.get("/v1/updates", end=False) if flood == "empty" else None
        try:
            for number in range(20_000):
                if flood == "ping":
                    client.h2.ping(number.to_bytes(8, "big"))
                elif flood == "settings":
                    client.socket.sendall(b"\0\0\0\4\0\0\0\0\0")
                else:
                    client.socket.sendall(b"\0\0\0\0\0" + stream.to_bytes(4, "big"))
                if number % 100 == 0:
                    client.flush()
                    client.socket.settimeout(0.0)
                    try:
                        client.socket.recv(1 << 20)
                    except BlockingIOError:
                        pass
                    client.socket.settimeout(PATIENCE)
        except (ConnectionError, BrokenPipeError, h2.exceptions.ProtocolError):
            pass
        others_are_served()


def headers_without_end():
    """CVE-2024-27316: CONTINUATION frames without an end are not gathered for ever."""
    client = Client()
    block = b"\x40\x01a\x7f\x81\x7e" + b"b" * 253
    try:
        client.socket.sendall(len(block).to_bytes(3, "big") + b"\1\0\0\0\0\1" + block)
        for _ in range(20_000):
            client.socket.sendall(len(block).to_bytes(3, "big") + b"\x09\0\0\0\0\1" + block)
        while client.socket.recv(65536):
            pass
    except (ConnectionError, BrokenPipeError):
        pass
    others_are_served()


listed = httpx.put(f"http://{ADDRESS}/v1/stocks/AAPL", json={"price": "172.50"}, timeout=PATIENCE)
assert listed.status_code == 201, listed.text
for attack in (rapid_reset, tiny_window, closed_windows, too_many_streams, floods, headers_without_end):
    attack()
print("all is well")
