#!/usr/bin/env python3
"""Carries frames between two interfaces, each a time after it came: what netem does where the kernel has it.

    delay_bridge.py INTERFACE INTERFACE MILLISECONDS

Frames are of one piece, so that the interfaces have a large MTU and no segmentation of their own (gso_max_segs 1).
"""

import collections
import select
import socket
import sys
import time

ALL_PROTOCOLS = 3
LARGEST = 1 << 16
OUTGOING = 4


def main():
    delay = float(sys.argv[3]) / 1000
    sockets = []
    for name in sys.argv[1:3]:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            end.setsockopt(socket.SOL_SOCKET, option + 25, 64 << 20)  # past the system's limit, as root
        end.bind((name, ALL_PROTOCOLS))
        end.setblocking(False)
        sockets.append(end)
    waiting = [collections.deque(), collections.deque()]
    print("carries", flush=True)
    while True:
        due = [frames[0][0] for frames in waiting if frames]
        pause = max(0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select(sockets, [], [], pause)
        now = time.monotonic()
        for end in readable:
            side = sockets.index(end)
            for _ in range(64):
                try:
                    frame, origin = end.recvfrom(LARGEST)
                except BlockingIOError:
                    break
                if origin[2] != OUTGOING:
                    waiting[side].append((now + delay, frame))
        now = time.monotonic()
        for side, frames in enumerate(waiting):
            while frames and frames[0][0] <= now:
                try:
                    sockets[1 - side].send(frames[0][1])
                except BlockingIOError:
                    break
                frames.popleft()


if __name__ == "__main__":
    main()
