"""Runs a server that was built for a small host: tests/small-hosts.

    small_host.py chat COMMAND...    chats with the server, and ends it
    small_host.py memory COMMAND...  prints its resident memory, at start and for each idle client
"""

import atexit
import http.client
import re
import signal
import socket
import struct
import subprocess
import sys
import time

CLIENTS = 200
# Seconds. Programs run slowly in an emulator.
TIMEOUT = 60
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


class Server:
    def __init__(self, command):
        command = command + ["--listen", "127.0.0.1:0", "--ping", "2"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        # A failed check leaves no server behind; after an exit this does nothing.
        atexit.register(self.process.kill)
        line = self.process.stderr.readline()
        self.port = int(re.search(r"://127\.0\.0\.1:(\d+)/chat", line).group(1))

    def resident_kb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def check_exit(self):
        code = self.process.wait(TIMEOUT)
        assert code == 0, f"exit code {code}: {self.process.stderr.read()}"


class Client:
    REQUEST = (
        "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
        self.socket.sendall(self.REQUEST.encode())
        self.stream = self.socket.makefile("rb")
        head = b"".join(iter(self.stream.readline, b"\r\n"))
        assert head.startswith(b"HTTP/1.1 101 "), head
        # The key's answer in RFC 6455, section 1.3.
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head

    def send(self, first, payload=b""):
        self.socket.sendall(bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def receive(self, wanted):
        """Returns the payload of the next frame of this kind."""
        while True:
            first, length = self.stream.read(2)
            if length == 126:
                (length,) = struct.unpack(">H", self.stream.read(2))
            payload = self.stream.read(length)
            if first == wanted:
                return payload


def chat(command):
    server = Server(command)
    first = Client(server)
    assert b"You are connected" in first.receive(TEXT)
    second = Client(server)
    second.receive(TEXT)
    first.send(TEXT, "hello, ünïcode".encode())
    for client in [first, second]:
        assert client.receive(TEXT) == "[user0]: hello, ünïcode".encode()
    page = http.client.HTTPConnection("127.0.0.1", server.port, TIMEOUT)
    page.request("GET", "/")
    response = page.getresponse()
    assert response.status == 200 and b"<!doctype html>" in response.read().lower()
    server.terminate()
    for client in [first, second]:
        assert client.receive(CLOSE)[:2] == struct.pack(">H", 1001)
        client.send(CLOSE, struct.pack(">H", 1001))
    server.check_exit()


def memory(command):
    server = Server(command)
    time.sleep(1)
    before = server.resident_kb()
    clients = [Client(server) for _ in range(CLIENTS)]
    # While it waits for the third Ping, a thread has handled a Pong, and batches are released.
    for _ in range(2):
        for client in clients:
            client.receive(PING)
            client.send(PONG)
    time.sleep(1)
    print(f"{before} KB, {(server.resident_kb() - before) / CLIENTS:.1f} KB")
    server.terminate()
    # The clients' sockets close at the end of this program; the server waits for their Close.
    for client in clients:
        client.socket.close()
    server.check_exit()


def give_up(*_):
    sys.exit(f"no end within {5 * TIMEOUT} seconds")


# The server may write no line, or never end.
signal.signal(signal.SIGALRM, give_up)
signal.alarm(5 * TIMEOUT)
{"chat": chat, "memory": memory}[sys.argv[1]](sys.argv[2:])
