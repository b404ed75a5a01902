"""Clients that mean ill, of one kind, against a coordinator on this machine until it is told to end.

    attack.py KIND --port N --token TOKEN [--connections N]

Prints how often it was answered how, as one JSON line, on SIGTERM.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import os
import random
import signal
import struct
import zlib

ANSWERS = collections.Counter()


class Target:
    def __init__(self, port, token):
        self.port, self.token = port, token

    async def open(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    def head(self, method, path, length, kind="application/yaml", token=None):
        return (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {token or self.token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    async def send(self, method, path, body, kind="application/yaml", token=None):
        """Sends one request on a connection of its own; notes the status, or that there was none."""
        try:
            reader, writer = await self.open()
        except OSError:
            ANSWERS["no connection"] += 1
            await asyncio.sleep(0.1)
            return None
        status = "closed"
        try:
            writer.write(self.head(method, path, len(body), kind, token))
            for at in range(0, len(body), 1 << 16):
                writer.write(body[at : at + (1 << 16)])
                await writer.drain()
            line = await asyncio.wait_for(reader.readline(), 60)
            status = line.split()[1].decode() if line else "closed"
        except (OSError, asyncio.TimeoutError):
            # An answer that came before the body was sent may still be read.
            try:
                line = await asyncio.wait_for(reader.readline(), 1)
                status = line.split()[1].decode() if line else "closed"
            except (OSError, asyncio.TimeoutError):
                pass
        writer.close()
        ANSWERS[status] += 1
        return status


async def slow(target, number):
    """Sends nothing, a head letter by letter, a body letter by letter, or leaves its answer lying."""
    while True:
        try:
            reader, writer = await target.open()
        except OSError:
            ANSWERS["no connection"] += 1
            await asyncio.sleep(1)
            continue
        ANSWERS["opened"] += 1
        try:
            if number % 4 == 0:
                await reader.read(1)
            elif number % 4 == 1:
                for letter in target.head("GET", "/v1/jobs", 0) * 100:
                    writer.write(bytes([letter]))
                    await writer.drain()
                    await asyncio.sleep(2)
            elif number % 4 == 2:
                writer.write(target.head("POST", "/v1/jobs", 1_000_000))
                for _ in range(1_000_000):
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(2)
            else:
                writer.write(target.head("GET", "/openapi.yaml", 0) * 50)
                await asyncio.sleep(3600)
        except OSError:
            pass
        ANSWERS["closed by the coordinator"] += 1
        writer.close()


async def bodies(target, number):
    """Sends 100 MB where a specification, a blob or a heartbeat is expected, with a token and without a good one."""
    body = os.urandom(1 << 20) * 100
    digest = hashlib.sha256(body).hexdigest()
    false = hashlib.sha256(b"another").hexdigest()
    while True:
        method, path, token = random.choice(
            [
                ("POST", "/v1/jobs", None), ("POST", "/v1/session", None), ("POST", "/v1/jobs", "df_wrong"),
                ("PUT", f"/v1/blobs/{false}", None), ("PUT", f"/v1/blobs/{digest}", "df_wrong"),
            ]
        )
        await target.send(method, path, body, "application/octet-stream", token)


def png_bomb():
    """A PNG of 30,000 by 30,000 white pixels in a few hundred kilobytes."""
    side = 30_000
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (side * 3)
    pixels = b"".join(packer.compress(row) for _ in range(300)) + packer.flush()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


async def bombs(target, number):
    """Sends what is small and means to become large."""
    picture = png_bomb()
    digest = hashlib.sha256(picture).hexdigest()
    aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 30):
        aliases += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    values = {
        "prompt": [f"p{i}" for i in range(100)], "negative_prompt": [f"n{i}" for i in range(100)], "seed": "1-1000000",
        "guidance": [1 + i / 100 for i in range(100)],
    }
    texts = [
        aliases, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000,
        "parameters: " + json.dumps(values), "parameters: {prompt: a, seed: 1-1000000000000}",
        f"combination: {'(' * 50_000}seed{')' * 50_000}\nparameters: {{prompt: a, seed: 1}}",
        f"parameters: {{prompt: a, references: [[{{image: {digest}, task: ip}}]]}}",
    ]
    while True:
        choice = random.randrange(len(texts) + 1)
        if choice == len(texts):
            await target.send("PUT", f"/v1/blobs/{digest}", picture, "image/png")
        else:
            await target.send("POST", "/v1/jobs", texts[choice].encode())


async def guesses(target, number):
    """Tries tokens that nobody has."""
    while True:
        await target.send("GET", "/v1/jobs", b"", token=f"df_{random.getrandbits(128):032x}")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["slow", "bodies", "bombs", "guesses"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    target = Target(options.port, options.token)
    tasks = [asyncio.create_task(globals()[options.kind](target, i)) for i in range(options.connections)]
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    waiting = asyncio.create_task(end.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {waiting}:
        task.result()
    print(json.dumps(ANSWERS), flush=True)
    os._exit(0)


asyncio.run(main())
