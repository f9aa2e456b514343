"""What the benchmarks do whose servers cannot have the port that was free a moment ago.

Usage: benchmark_servers.py STOCKD BENCHMARKS

The story: another program takes the port before the server does. The server ends, the program answers in its place, and is
measured; once it ends too, the load generator waits for ever for a connection that is refused.
"""

import socket
import sys
import threading

STOCKD, BENCHMARKS = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, BENCHMARKS)

import servers

another = socket.create_server(("127.0.0.1", 0))


def answer():
    while True:
        with another.accept()[0] as connection:
            connection.sendall(b"process_id:1\r\n")


threading.Thread(target=answer, daemon=True).start()
taken, free = another.getsockname()[1], servers.free_port()
ports = iter([taken, free])
servers.free_port = lambda: next(ports)


def arguments(port):
    command = [STOCKD, "serve", "--ephemeral", "--log", "off", "--line", "off", "--http", "off"]
    return [*command, "--resp", f"127.0.0.1:{port}"]


with servers.on_free_port("resp", arguments, answers_as=servers.redis_pid) as server:
    assert server.port("resp") == free, server.addresses
    assert servers.redis_pid(free) == server.process.pid
    assert server.process.poll() is None
assert server.process.poll() is not None
assert not servers.listens(server.process, taken)

# One that chooses its ports itself says which they are.
with servers.stockd(STOCKD, listeners=["line", "resp"], stocks="symbol,price\nAAPL,172.5\n") as server:
    assert servers.redis_pid(server.port("resp")) == server.process.pid
    with socket.create_connection(("127.0.0.1", server.port("line"))) as client:
        client.sendall(b"AAPL\n")
        assert client.recv(64) == b"172.5\n"
    assert server.resident_bytes() > 0 and server.cpu_ns() > 0
    assert server.stop() < servers.PATIENCE
print("done")
