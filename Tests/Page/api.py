"""The coordinator's API as the page's test needs it, and a worker that makes pictures without a model."""

import hashlib
import json
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib


class API:
    """Calls with a token."""

    def __init__(self, base, token):
        self.base = base
        self.token = token

    def call(self, method, path, body=None, kind="application/json"):
        if body is not None and kind == "application/json":
            body = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=body, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body if body is not None else {})


def picture(index, width=256, height=256):
    """A PNG whose colours follow from a number: a hill under a sky."""
    seed = hashlib.sha256(str(index).encode()).digest()
    sky, hill = seed[:3], bytes(value // 2 for value in seed[3:6])
    top = height // 3 + seed[6] % (height // 3)
    rows = bytearray()
    for y in range(height):
        share = y / height
        colour = bytes(int(value * (0.5 + share / 2)) for value in sky) if y < top else hill
        rows += b"\0" + colour * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 1)), (b"IEND", b"")]
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


class PaintingWorker:
    """Registers in a pool, claims tasks and delivers coloured pictures; keeps the last task it claims."""

    def __init__(self, api, name, pool):
        self.api = api
        model = api.get("/v1/models")["items"][0]
        peer = api.get("/v1/workers")["items"][0]
        answer = api.post(
            "/v1/workers",
            {
                "protocol_version": 2,
                "name": name,
                "pool": pool,
                "tags": ["test"],
                "memory_bytes": 8 << 30,
                "engine": "page-run",
                "warm_artifacts": [],
                "model": {
                    "name": model["name"],
                    "digest": model["digest"],
                    "precision": peer["precision"],
                    "defaults": model["defaults"],
                    "numeric_class": peer["numeric_class"],
                },
            },
        )
        self.id, self.epoch, self.beat = answer["id"], answer["epoch"], answer["heartbeat_seconds"]
        self.running = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.keep_alive, daemon=True)
        self.thread.start()

    def keep_alive(self):
        while not self.is_over.wait(self.beat):
            try:
                self.api.post(
                    f"/v1/workers/{self.id}/heartbeat",
                    {
                        "epoch": self.epoch,
                        "state": "busy" if self.running else "idle",
                        "running": self.running,
                        "ahead": [],
                        "log": [],
                    },
                )
            except (urllib.error.URLError, OSError):
                pass

    def claim(self):
        for _ in range(60):
            answer = self.api.post(
                f"/v1/workers/{self.id}/claim",
                {
                    "epoch": self.epoch,
                    "limit": 1,
                    "wait_seconds": 5,
                    "busy_seconds": 0,
                },
            )
            if answer["tasks"]:
                task = answer["tasks"][0]
                # What it is at by its heartbeats, so that the lease lasts.
                self.running = [
                    {
                        "fence": task["fence"],
                        "image": task["images"][-1]["index"],
                        "step": 3,
                        "steps": 12,
                        "phase": "denoising",
                    }
                ]
                return task
            time.sleep(0.5)
        raise SystemExit(f"no task for the worker that paints: {answer}")

    def deliver(self, task, limit=None):
        """Delivers the task's pictures, or the first of them."""
        fence = task["fence"]
        images = task["images"][:limit]
        for image in images:
            final = "true" if limit is None and image is images[-1] else "false"
            path = (
                f"/v1/attempts/{fence['attempt']}/images/{image['index']}?task={fence['task']}"
                f"&epoch={fence['epoch']}&final={final}"
            )
            self.api.call("PUT", path, picture(image["index"]), "image/png")

    def fail(self, task, message):
        self.api.post(
            f"/v1/attempts/{task['fence']['attempt']}/fail",
            {
                "fence": task["fence"],
                "failure_class": "deterministic",
                "message": message,
                "image": task["images"][0]["index"],
            },
        )

    def leave(self):
        self.is_over.set()
        self.api.post(f"/v1/workers/{self.id}/leave?epoch={self.epoch}")
