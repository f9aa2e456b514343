"""The servers that the benchmarks beside this file measure: how they are started, what they take, and how they end.

A server that can choose its port does, and says which it has. One that cannot is given a port that was free, which another
program may have taken by then: it is asked who it is before it is measured, and given another port where it is not the one that
was started.
"""

import os
import socket
import subprocess
import time

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

# Far longer than any start or end takes, in seconds.
PATIENCE = 60

# How long an answer may take, in seconds.
ANSWER_PATIENCE = 10

# Ports that are tried, each of which another program may have.
PORTS_MAX = 10


class Server:
    """A process that serves. It ends with the `with` block."""

    def __init__(self, process, addresses):
        self.process, self.addresses = process, addresses

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def port(self, name):
        return int(self.addresses[name].rsplit(":", 1)[1])

    def cpu_ns(self):
        """CPU time of all threads that it has now."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as schedstat:
                total += int(schedstat.read().split()[0])
        return total

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def stop(self):
        """Has it end. Returns the seconds that it took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        return time.monotonic() - began

    def kill(self):
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def stockd(binary, *more, listeners=("resp",), before=(), stocks=None):
    """A stockd with one worker, in memory or with the data directory that `more` names, on ports of its own choice.

    `listeners` are protocols, or protocols with addresses as in `resp=127.0.0.1:0,tls:127.0.0.1:0`. What is encrypted is
    known as `resp tls`. `before` stands before the command, as `taskset -c 0` does. `stocks` is the text of a catalog.
    """
    wanted = dict((*listener.split("=", 1), "127.0.0.1:0")[:2] for listener in listeners)
    known = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True).stdout
    arguments = [*before, binary, "serve", "--log", "off", "--workers", "1"]
    if "--data-dir" not in more:
        arguments.append("--ephemeral")
    for protocol in ("line", "resp", "http"):
        # A build from before HTTP knows no such option.
        if f"--{protocol}" in known:
            arguments += [f"--{protocol}", wanted.get(protocol, "off")]
    if stocks:
        arguments += ["--catalog", "-"]
    pipes = {"stdin": subprocess.PIPE if stocks else subprocess.DEVNULL, "stdout": subprocess.PIPE}
    process = subprocess.Popen([*arguments, *more], text=True, **pipes)
    server = Server(process, {})
    if stocks:
        with process.stdin:
            process.stdin.write(stocks)
    for _ in range(sum(len(addresses.split(",")) for addresses in wanted.values())):
        protocol, _, address = process.stdout.readline().strip().partition(" ")
        if not address:
            server.kill()
            raise SystemExit(f"{binary} does not serve; see above")
        name = f"{protocol} tls" if address.startswith("tls:") else protocol
        server.addresses[name] = address.removeprefix("tls:")
    return server


def redis(*more):
    """A Redis without snapshots."""

    def arguments(port):
        return ["redis-server", "--port", str(port), "--save", "", *more]

    return on_free_port("redis", arguments, answers_as=redis_pid)


def on_free_port(name, arguments, answers_as=None):
    """A server that is told its port: `arguments` makes its command of one. `answers_as` asks which process listens there."""
    for _ in range(PORTS_MAX):
        port = free_port()
        process = subprocess.Popen(arguments(port), **QUIET)
        server = Server(process, {name: f"127.0.0.1:{port}"})
        if listens(process, port) and (answers_as is None or answers_as(port) == process.pid):
            return server
        server.kill()
    raise SystemExit(f"{arguments('PORT')} does not listen on any of {PORTS_MAX} ports")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(process, port):
    """Waits until this port is listened on. False once the process has ended, whoever has the port then."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            return False
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                # A client that asks for a port that nobody listens on, and is given the same one for its own end, is
                # connected to itself.
                if connection.getsockname() != connection.getpeername():
                    return process.poll() is None
        except ConnectionRefusedError:
            pass
        time.sleep(0.02)
    return False


def redis_pid(port):
    """The process that answers there as Redis does, if there is one."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_PATIENCE) as connection:
            connection.sendall(b"INFO server\r\nQUIT\r\n")
            while more := connection.recv(65536):
                answer += more
    except OSError:
        return None
    found = [line for line in answer.splitlines() if line.startswith(b"process_id:")]
    return int(found[0].partition(b":")[2]) if found else None
