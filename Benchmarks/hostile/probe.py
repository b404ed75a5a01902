"""A client among hostile ones: asks for its jobs so many times a second, and tells how long the answers took.

    probe.py --port N --token TOKEN --seconds N --pid PID

Prints one JSON line: requests, failures, milliseconds (median, p99, worst), the process's resident megabytes at most.
"""

import argparse
import http.client
import json
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--token", required=True)
parser.add_argument("--seconds", type=float, required=True)
parser.add_argument("--pid", type=int, required=True)
options = parser.parse_args()
RATE, THREADS = 50, 2
times, failures, largest = [], [], 0
lock = threading.Lock()
end = time.monotonic() + options.seconds


def ask(number):
    connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=30)
    due = time.monotonic() + number / RATE
    while due < end:
        time.sleep(max(0, due - time.monotonic()))
        try:
            connection.request("GET", "/v1/jobs?limit=10", headers={"Authorization": f"Bearer {options.token}"})
            answer = connection.getresponse()
            answer.read()
            problem = None if answer.status == 200 else str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            problem = repr(error)
            connection.close()
        with lock:
            # From when it was due: a wait for the one before counts too.
            times.append((time.monotonic() - due) * 1000)
            if problem:
                failures.append(problem)
        due += THREADS / RATE


threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    with open(f"/proc/{options.pid}/statm") as file:
        largest = max(largest, int(file.read().split()[1]) * 4096)
    time.sleep(0.1)
times.sort()
print(
    json.dumps(
        {
            "requests": len(times), "failures": failures[:3] and [len(failures), *failures[:3]],
            "median_ms": round(times[len(times) // 2], 1), "p99_ms": round(times[int(len(times) * 0.99)], 1),
            "worst_ms": round(times[-1], 1), "resident_mb": largest >> 20,
        }
    )
)
