"""Cycles of dequeue and log a second of pgqueuer, by its own queries over asyncpg.

usage: peer_pgqueuer.py CONNINFO fill TASKS | peer_pgqueuer.py CONNINFO cycles BATCH CYCLES
"""
import asyncio
import sys
import time
import uuid
from datetime import timedelta

import asyncpg
import uvloop
from psycopg.conninfo import conninfo_to_dict
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.ports.repository import EntrypointExecutionParameter

ENTRYPOINTS = [f"requirement-{number}" for number in range(4)]


async def connect(conninfo):
    parts = conninfo_to_dict(conninfo)
    return await asyncpg.connect(host=parts["host"], port=parts["port"], user=parts["user"],
                                 database=parts["dbname"])


async def fill(conninfo, tasks):
    connection = await connect(conninfo)
    queries = Queries(AsyncpgDriver(connection))
    if await connection.fetchval("SELECT to_regclass('pgqueuer')") is None:
        await queries.install()
    missing = tasks - await connection.fetchval(
        "SELECT count(*) FROM pgqueuer WHERE status = 'queued'")
    while missing > 0:
        count = min(missing, 10_000)
        await queries.enqueue(
            [ENTRYPOINTS[number // 20 % 4] for number in range(count)],
            [b'{"owner": %d}' % (number % 20) for number in range(count)],
            [0] * count,
        )
        missing -= count
    await connection.close()


async def cycles(conninfo, batch, wanted):
    left = wanted

    async def work(number):
        nonlocal left
        connection = await connect(conninfo)
        queries = Queries(AsyncpgDriver(connection))
        mine = {name: EntrypointExecutionParameter(concurrency_limit=0)
                for place, name in enumerate(ENTRYPOINTS)
                if place == number % 2 or place == 2 + number // 2 % 2}
        manager = uuid.uuid4()
        await start.wait()
        while left > 0:
            jobs = await queries.dequeue(
                batch_size=batch, entrypoints=mine, queue_manager_id=manager,
                global_concurrency_limit=None, heartbeat_timeout=timedelta(seconds=60))
            await queries.log_jobs([(job, "successful", None) for job in jobs])
            left -= len(jobs)
        await connection.close()

    start = asyncio.Event()
    workers = [asyncio.create_task(work(number)) for number in range(32)]
    await asyncio.sleep(1)
    begun = time.monotonic()
    start.set()
    await asyncio.gather(*workers)
    print(int((wanted - left) / (time.monotonic() - begun)))


if sys.argv[2] == "fill":
    uvloop.run(fill(sys.argv[1], int(sys.argv[3])))
else:
    uvloop.run(cycles(sys.argv[1], int(sys.argv[3]), int(sys.argv[4])))
