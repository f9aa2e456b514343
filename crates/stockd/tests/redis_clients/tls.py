"""redis-py over TLS against stockd, with a certificate of its own: tls.py PORT CA CERTIFICATE KEY."""

import ssl
import sys

import redis

_, PORT, CA, CERTIFICATE, KEY = sys.argv
LONG_S = 30


def connect(protocol, **more):
    return redis.Redis(
        host="localhost",
        port=int(PORT),
        protocol=protocol,
        decode_responses=True,
        socket_timeout=LONG_S,
        ssl=True,
        ssl_ca_certs=CA,
        ssl_check_hostname=True,
        **more,
    )


for protocol in (2, 3):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        shown = {"ssl_certfile": CERTIFICATE, "ssl_keyfile": KEY}
        client = connect(protocol, ssl_min_version=version, **shown)
        assert client.mget("AAPL", "SOLD", "NOPE") == ["172.5", "0", None]
        pipeline = client.pipeline(transaction=False)
        for _ in range(2000):
            pipeline.hgetall("BRK/A")
        assert len(pipeline.execute()) == 2000
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.subscribe("AAPL")
        message = None
        while message is None:
            message = listener.get_message(timeout=LONG_S)
        assert '"price":"172.5"' in message["data"], message
        listener.close()
        client.close()

try:
    connect(2).ping()
except redis.exceptions.ConnectionError as error:
    assert "certificate" in str(error).lower() or "closed" in str(error).lower(), error
else:
    raise AssertionError("a client without a certificate was served")
print("all is well")
