"""Plays the same bytes to stockd and to Redis and compares what comes back.

usage: differential.py STOCKD-PORT REDIS-PORT PAGE

Replies must be the same, but for the words behind the code of an error, and for what DIFFERENT says. Whatever
differs here is told in docs/resp.md, under "What is different from Redis".
"""

import random
import socket
import sys

STOCKD, REDIS = int(sys.argv[1]), int(sys.argv[2])
PAGE = open(sys.argv[3]).read()
SEED = 20260921

# Conversations, a command a line. NO is not there, H is a hash with a price and a volume.
CONVERSATIONS = """
PING / ping / PiNg hello / PING a b
ECHO hi / ECHO / ECHO a b
GET NO / GET / GET a b / EXISTS NO NO H / EXISTS
MGET NO NO / MGET
HGET H price / HGET H nothing / HGET NO price / HGET H / HGET H price more
HMGET H price nothing volume / HMGET NO a b / HMGET H
HSET H price 173 / HSET H price / HSET H / HSET
HEXISTS H price / HEXISTS H nothing / HEXISTS NO price / HEXISTS H
HSTRLEN H price / HSTRLEN H nothing / HSTRLEN NO price / HSTRLEN H
HMSET H price 174 / HMSET H / HGET H price
HINCRBY H volume -5 / HINCRBY H volume 5 / HINCRBY H volume x / HINCRBY H volume / HINCRBY H volume 9223372036854775808
HINCRBYFLOAT H volume -0.5 / HINCRBYFLOAT H volume 1e1 / HINCRBYFLOAT H volume x / HINCRBYFLOAT H volume / HGET H volume
HSCAN NO 0 / HSCAN H x / HSCAN H 0 COUNT 0 / HSCAN H 0 MATCH / HSCAN H 0 FOO 1 / HSCAN H 0 MATCH pri*
HKEYS NO / HVALS NO / HLEN NO / HGETALL NO / HKEYS / HVALS / HLEN / HGETALL
STRLEN NO / STRLEN
DEL NO / DEL H NO H / DEL / EXISTS H
UNLINK NO / UNLINK H H / UNLINK
TOUCH NO H / TOUCH
TYPE NO / TYPE H / TYPE
TTL H / TTL NO / PTTL H / PTTL NO / EXPIRETIME H / EXPIRETIME NO / PEXPIRETIME NO / TTL / PERSIST H / PERSIST NO
OBJECT REFCOUNT H / OBJECT REFCOUNT NO / OBJECT ENCODING NO / OBJECT / OBJECT FOO / OBJECT ENCODING
KEYS nothing* / KEYS H / KEYS / KEYS a b
SCAN x / SCAN 0 MATCH nothing* COUNT 1000 / SCAN 0 COUNT 0 / SCAN 0 COUNT x / SCAN 0 MATCH / SCAN 0 FOO / SCAN
SCAN 0 COUNT 1000 TYPE string / SCAN 0 TYPE hash COUNT 1000 MATCH H
DBSIZE / DBSIZE x
RANDOMKEY x / RANDOMKEY
SELECT 0 / SELECT 99 / SELECT x / SELECT
AUTH default x / AUTH x / AUTH nobody x / AUTH / AUTH a b c
HELLO 4 / HELLO x / HELLO 3 FOO / HELLO 2 AUTH a / HELLO 2 SETNAME / HELLO 2 AUTH nobody x
CLIENT GETNAME / CLIENT SETNAME desk / CLIENT GETNAME / CLIENT SETNAME / CLIENT SETNAME
CLIENT NO-EVICT on / CLIENT NO-EVICT maybe / CLIENT NO-EVICT / CLIENT FOO / CLIENT
CLIENT LIST TYPE foo / CLIENT LIST ID x / CLIENT LIST ID / CLIENT LIST FOO
CLIENT KILL 1.2.3.4:5 / CLIENT KILL x y / CLIENT KILL ID 0 / CLIENT KILL ID x / CLIENT KILL ID 999999 / CLIENT KILL ADDR 1.2.3.4:5
CLIENT KILL TYPE foo / CLIENT KILL USER nobody / CLIENT KILL SKIPME maybe / CLIENT KILL ID / CLIENT KILL ID 1 ADDR / CLIENT KILL TYPE replica / CLIENT KILL
CLIENT KILL LADDR 1.2.3.4:5 SKIPME no / CLIENT KILL ID 999999 USER default TYPE pubsub / CLIENT KILL id 999999 type master
CLIENT REPLY ON / GET NO / CLIENT REPLY FOO / CLIENT REPLY / CLIENT REPLY ON OFF
CLIENT REPLY OFF / GET NO / PING / FOO / GET / CLIENT REPLY ON / GET NO
CLIENT REPLY SKIP / GET NO / PING / CLIENT REPLY SKIP / FOO / PING hi
CLIENT REPLY SKIP / CLIENT REPLY SKIP / PING a / PING b
CLIENT REPLY OFF / CLIENT REPLY SKIP / PING a / PING b / CLIENT REPLY FOO / CLIENT REPLY ON / PING c
CLIENT REPLY SKIP / CLIENT REPLY OFF / PING a / CLIENT REPLY ON
CLIENT REPLY SKIP / CLIENT REPLY ON / PING a
CLIENT REPLY OFF / MGET NO NO NO / DEL NO NO / KEYS nothing* / SCAN 0 MATCH nothing* / CLIENT REPLY ON / MGET NO NO
CLIENT REPLY SKIP / MGET NO NO NO / DEL NO NO / CLIENT REPLY SKIP / DEL NO NO / MGET NO
CLIENT REPLY SKIP / HSET H price 180 / HGET H price / CLIENT REPLY OFF / HSET H price 181 / CLIENT REPLY ON / HGET H price
CLIENT REPLY OFF / SUBSCRIBE a b / PSUBSCRIBE c* / PING / UNSUBSCRIBE a / UNSUBSCRIBE / PUNSUBSCRIBE / CLIENT REPLY ON / PING
CLIENT REPLY SKIP / SUBSCRIBE a / UNSUBSCRIBE a / PING
CLIENT REPLY OFF / UNSUBSCRIBE / PUNSUBSCRIBE / PING
CLIENT REPLY OFF / RESET / PING
CLIENT REPLY SKIP / RESET / PING a / PING b
CLIENT REPLY OFF / QUIT
CLIENT REPLY SKIP / QUIT / PING
CLIENT REPLY SKIP / MULTI / GET NO / EXEC / PING
CLIENT REPLY OFF / MULTI / GET NO / EXEC / CLIENT REPLY ON / PING
MULTI / GET NO / DISCARD / CLIENT REPLY SKIP / HELLO 3 / PING
CLIENT REPLY OFF / CLIENT SETNAME desk / COMMAND COUNT / INFO / CLIENT REPLY ON / CLIENT GETNAME
CLIENT GETREDIR / CLIENT UNPAUSE / CLIENT UNBLOCK 999999 / CLIENT UNBLOCK x / CLIENT CACHING YES / CLIENT TRACKING OFF
CLIENT TRACKING FOO / CLIENT TRACKING ON PREFIX a / CLIENT TRACKING ON BCAST OPTIN / CLIENT TRACKINGINFO
COMMAND GETKEYS GET a / COMMAND GETKEYS MGET a b / COMMAND GETKEYS MSET a 1 b 2 / COMMAND GETKEYS PING / COMMAND GETKEYS FOO / COMMAND GETKEYS GET
COMMAND INFO nothing / COMMAND FOO / COMMAND LIST FOO / COMMAND LIST FILTERBY PATTERN hgeta* / COMMAND LIST FILTERBY MODULE x
CONFIG GET nothing / CONFIG GET save / CONFIG GET databases / CONFIG GET appendonly / CONFIG GET / CONFIG / CONFIG FOO
ROLE / ROLE x / WAIT 0 0 / WAIT 0 / WAIT x 0 / WAIT 0 x
SLOWLOG LEN / SLOWLOG RESET / SLOWLOG GET 1 2 / SLOWLOG GET x / SLOWLOG / SLOWLOG FOO
LATENCY LATEST / LATENCY HISTORY nothing / LATENCY RESET / LATENCY / LATENCY HISTORY
MODULE LIST / MODULE / MODULE FOO
MEMORY USAGE NO / MEMORY USAGE NO SAMPLES 0 / MEMORY USAGE / MEMORY USAGE NO FOO 1 / MEMORY
ACL WHOAMI / ACL
PUBSUB CHANNELS / PUBSUB NUMSUB / PUBSUB NUMSUB a b / PUBSUB NUMPAT / PUBSUB / PUBSUB FOO / PUBSUB NUMPAT x
TIME x / INFO nothing
FOO / FOO a b c / foo a / GETT / G / client|id
SUBSCRIBE / SUBSCRIBE a / SUBSCRIBE a / PING / PING hi / UNSUBSCRIBE a / GET NO
SUBSCRIBE a b / UNSUBSCRIBE a / UNSUBSCRIBE b / UNSUBSCRIBE / GET NO
SUBSCRIBE a / GET NO / FOO / PING a b
PSUBSCRIBE a* / PSUBSCRIBE b* c* / PUNSUBSCRIBE a* / PUNSUBSCRIBE b* c* / PUNSUBSCRIBE / PUNSUBSCRIBE x
SUBSCRIBE a / PSUBSCRIBE b* / UNSUBSCRIBE nothing / UNSUBSCRIBE a / PUNSUBSCRIBE b*
UNSUBSCRIBE / PUNSUBSCRIBE / UNSUBSCRIBE a b / PUNSUBSCRIBE a
SUBSCRIBE a / RESET / GET NO
SUBSCRIBE a / QUIT
MULTI / EXEC / EXEC / DISCARD / MULTI / DISCARD / DISCARD
MULTI / MULTI / EXEC
MULTI / GET NO / HGET H price / PING / ECHO hi / TYPE H / TTL NO / EXEC
MULTI / GET / EXEC / GET NO
MULTI / FOO / GET NO / EXEC
MULTI / GET NO / RESET / EXEC
MULTI / GET NO / DISCARD / EXEC
MULTI / WATCH a / EXEC
MULTI x / EXEC x / WATCH / UNWATCH x
WATCH H / HSET H price 175 / MULTI / GET NO / EXEC
WATCH H NO / MULTI / GET NO / EXEC
WATCH H / UNWATCH / HSET H price 176 / MULTI / PING / EXEC
WATCH NO / MULTI / HINCRBY H volume 1 / EXEC / HGET H volume
MULTI / HINCRBY H volume -1 / HINCRBY H volume x / HGET H volume / EXEC
MULTI / SELECT 0 / UNWATCH / TIME x / EXEC
MULTI / UNLINK NO / TOUCH H / EXISTS H NO / MGET NO NO / DEL NO / EXEC
RESET / RESET x / PING
QUIT / PING
QUIT
PING / QUIT / GET NO
"""

# Bytes that are not commands as clients make them.
BYTES = [
    b"", b"\r\n", b"\n\n\nPING\r\n", b"*0\r\nPING\r\n", b"*-1\r\nPING\r\n", b"*1\r\n$4\r\nPING\r\n*0\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n:1\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*x\r\n", b"*2147483648\r\n", b"*1\r\n$4\r\nPI", b"*2\r\n$3\r\nGET\r\n",
    b"*1\r\n$0\r\n\r\nPING\r\n", b"*01\r\n$04\r\nPING\r\n", b"*1\r\nPING\r\n", b"*1\r\n+PING\r\n", b"$4\r\nPING\r\n",
    b"PING\nPING\r\nPING\n", b"  PING  \r\n", b"ECHO \"a b\"\r\n", b"ECHO 'a b'\r\n", b"ECHO \"\\x41\\n\\\"\"\r\n", b"ECHO 'it\\'s'\r\n",
    b"ECHO \"a\r\n", b"ECHO \"a\"b\r\n", b"ECHO ''\r\n", b"\tPING\t\r\n", b"ECHO \"\"\r\n", b"PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"Host: x\r\nPING\r\n", b"*3\r\n$3\r\nGET\r\n$2\r\nNO\r\n$1\r\nx\r\nPING\r\n",
    b"*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\x00\r\n", b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"*2\r\n$4\r\nECHO\r\n$3\r\n\xff\xfe\xfd\r\n",
    b"*2\r\n$3\r\nGET\r\n$3\r\n\xff\xfe\xfd\r\n", b"*1\r\n$3\r\n\xff\xfe\xfd\r\n", b"*1\r\n$4\r\nPING\r\n" * 500, b"PING\r\n" * 500,
    b"GET NO\r\n" * 100 + b"FOO\r\n" + b"PING\r\n", b"*2\r\n$4\r\nECHO\r\n$9999\r\n" + b"x" * 9999 + b"\r\n", b"*-2147483648\r\nPING\r\n",
    b"*1000000\r\n$4\r\nPI", b"*3\r\n$4\r\nMGET\r\n$2\r\nNO\r\n$2\r\nNO\r\n*3\r\n$4\r\nMGET\r\n$2\r\nNO\r\n", b"PING\x00\r\nPING\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00", b"*1\r\n$4\r\nPINGxxPING\r\n", b"GET NO HTTP/1.1\r\nPING\r\n",
]

# What is not the same: what a conversation contains, and words of docs/resp.md that tell it.
DIFFERENT = {
    "CONFIG GET databases": "no keyspaces beyond 0",
    "EXEC x": "`EXEC` with arguments",
    "*01": "leading zeros",
    "POST /": "Redis closes the connection without a word",
    "Host: x": "Redis closes the connection without a word",
    "HTTP/1.1": "Redis closes the connection without a word",
    "PING\\x00": "Redis closes the connection without a word",
    "\\x16\\x03": "Redis closes the connection without a word",
    "MGET\\r\\n$2\\r\\nNO\\r\\n$2\\r\\nNO\\r\\n*3": "the replies of an `MGET` leave as they are made",
    "PINGxxPING": "The line end behind a bulk",
}


def array(command):
    parts = command.encode().split(b" ")
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def inline(command):
    return command.encode() + b"\r\n"


class Reader:
    """Reads replies until the end. What cannot be read as one stands as it is."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def line(self):
        end = self.data.index(b"\r\n", self.at)
        line, self.at = self.data[self.at:end], end + 2
        return line

    def one(self):
        line = self.line()
        sign, text = line[:1], line[1:]
        if sign == b"-":
            return ("error", text.split(b" ")[0])
        if sign in (b"+", b":", b"_", b"(", b"#", b","):
            return (sign, text)
        if text == b"-1":
            return (sign, None)
        if sign in (b"$", b"="):
            start, self.at = self.at, self.at + int(text) + 2
            return (sign, self.data[start:self.at - 2])
        if sign in (b"*", b">", b"~", b"%"):
            return (sign, [self.one() for _ in range(int(text) * (2 if sign == b"%" else 1))])
        raise ValueError(line)

    def all(self):
        replies = []
        while self.at < len(self.data):
            before = self.at
            try:
                replies.append(self.one())
            except (ValueError, IndexError):
                return replies + [("rest", self.data[before:])]
        return replies


def is_message(reply):
    return isinstance(reply[1], list) and reply[1][:1] in ([(b"$", b"message")], [(b"$", b"pmessage")])


def play(port, pieces):
    """All that comes back until the server ends the connection, after the last piece and the client's end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It has ended the connection already.
        data = b""
        try:
            while more := connection.recv(65536):
                data += more
        except ConnectionResetError:
            pass
    return [reply for reply in Reader(data).all() if not is_message(reply)]


def prepare():
    for port in (STOCKD, REDIS):
        commands = ["DEL H NO a", "HSET H price 172.5 volume 1000"]
        replies = play(port, [b"".join(map(array, commands))])
        assert replies[1] == (b":", b"2"), replies


def cut(data, chance):
    if len(data) < 2:
        return [data]
    places = sorted(chance.sample(range(1, len(data)), min(len(data) - 1, chance.randint(0, 3))))
    return [data[start:end] for start, end in zip([0] + places, places + [len(data)])]


def sequences():
    for conversation in filter(None, CONVERSATIONS.split("\n")):
        commands = conversation.split(" / ")
        hello = array("HELLO 3")
        yield conversation, "array", b"".join(map(array, commands))
        yield conversation, "inline", b"".join(map(inline, commands))
        yield conversation, "RESP3", hello + b"".join(map(array, commands))
    for data in BYTES:
        yield repr(data[:60]), "bytes", data
        yield repr(data[:60]), "RESP3", array("HELLO 3") + data


def main():
    chance = random.Random(SEED)
    for told in DIFFERENT.values():
        assert told in " ".join(PAGE.split()), f"docs/resp.md does not say: {told}"
    count, wrong = 0, 0
    for name, form, data in sequences():
        prepare()
        pieces = cut(data, chance)
        ours, theirs = play(STOCKD, pieces), play(REDIS, pieces)
        if form == "RESP3":
            ours, theirs = ours[1:], theirs[1:]
        count += 1
        is_different = ours != theirs
        expected = any(text in name for text in DIFFERENT)
        if is_different != expected:
            wrong += 1
            print(f"{form} {name}\n   stockd {ours}\n   redis  {theirs}"[:3000])
    assert count >= 300, count
    print("all is well" if wrong == 0 else f"{wrong} of {count} differ")


main()
