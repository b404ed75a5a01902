"""Cycles of fetch and finish a second of procrastinate, by its own job manager over psycopg.

It has no batch: ten jobs are ten fetches and ten ends.

usage: peer_procrastinate.py CONNINFO fill TASKS | peer_procrastinate.py CONNINFO cycles BATCH CYCLES
"""
import asyncio
import sys
import time

import psycopg
import uvloop
from procrastinate import PsycopgConnector
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from procrastinate.schema import SchemaManager

QUEUES = [f"requirement-{number}" for number in range(4)]


async def fill(conninfo, tasks):
    connector = PsycopgConnector(conninfo=conninfo)
    await connector.open_async()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()[0] is None:
            await SchemaManager(connector).apply_schema_async()
        ready = connection.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'").fetchone()[0]
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args) "
            "SELECT 'requirement-' || n / 20 %% 4, 'task', 0, jsonb_build_object('owner', n %% 20) "
            "FROM generate_series(1, %s) AS n", (max(0, tasks - ready),))
    await connector.close_async()


async def cycles(conninfo, batch, wanted):
    connector = PsycopgConnector(conninfo=conninfo, min_size=32, max_size=32)
    await connector.open_async()
    manager = JobManager(connector)
    left = wanted

    async def work(number, worker):
        nonlocal left
        mine = [name for place, name in enumerate(QUEUES)
                if place == number % 2 or place == 2 + number // 2 % 2]
        while left > 0:
            jobs = []
            for _ in range(batch):
                job = await manager.fetch_job(mine, worker)
                if job is None:
                    break
                jobs.append(job)
            for job in jobs:
                await manager.finish_job(job, Status.SUCCEEDED, delete_job=False)
            left -= len(jobs)

    workers = [await manager.register_worker() for _ in range(32)]
    begun = time.monotonic()
    await asyncio.gather(*(work(number, worker) for number, worker in enumerate(workers)))
    print(int((wanted - left) / (time.monotonic() - begun)))
    await connector.close_async()


if sys.argv[2] == "fill":
    uvloop.run(fill(sys.argv[1], int(sys.argv[3])))
else:
    uvloop.run(cycles(sys.argv[1], int(sys.argv[3]), int(sys.argv[4])))
