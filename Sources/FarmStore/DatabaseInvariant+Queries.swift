import FarmModel

/// The longer queries of the invariants.
extension DatabaseInvariant {
    static let doubledImages = """
        SELECT format('image %s has %s outputs', image_id, count(*)) AS detail
        FROM output GROUP BY image_id HAVING count(*) > 1
        UNION ALL
        SELECT format('job %s has %s images of index %s', job_id, count(*), index)
        FROM image GROUP BY job_id, index HAVING count(*) > 1
        """

    static let unknownAttempts = """
        SELECT format('image %s was delivered by %s, which is no attempt at its task',
            output.image_id, output.attempt_id) AS detail
        FROM output JOIN image ON image.id = output.image_id
        LEFT JOIN attempt
            ON attempt.id = output.attempt_id AND attempt.task_id = image.task_id
        LEFT JOIN lease
            ON lease.task_id = image.task_id AND lease.attempt_id = output.attempt_id
        WHERE attempt.id IS NULL AND lease.task_id IS NULL
        """

    static let wrongReadyRows = """
        SELECT format('task %s can be claimed and is %s', ready.task_id,
            coalesce(task.state, 'not there')) AS detail
        FROM ready LEFT JOIN task ON task.id = ready.task_id
        WHERE task.state IS DISTINCT FROM 'ready'
        UNION ALL
        SELECT format('task %s has epoch %s and %s images from %s on, and can be claimed as %s, %s from %s',
            task.id, task.epoch, task.image_count, task.first_index, ready.epoch,
            ready.image_count, ready.first_index)
        FROM ready JOIN task ON task.id = ready.task_id
        WHERE (ready.head_id, ready.number, ready.job_id, ready.epoch, ready.first_index,
                ready.image_count, ready.is_narrow)
            <> (task.head_id, task.number, task.job_id, task.epoch, task.first_index,
                task.image_count, task.is_narrow)
        UNION ALL
        SELECT format('task %s rests and is %s', resting.task_id,
            coalesce(task.state, 'not there'))
        FROM resting LEFT JOIN task ON task.id = resting.task_id
        WHERE task.state IS DISTINCT FROM 'ready' OR task.head_id <> resting.head_id
        """

    static let wrongPlaces = """
        SELECT format('task %s is not over and stands %s times in the queue', task.id,
            count(place.task_id)) AS detail
        FROM task LEFT JOIN (
            SELECT task_id FROM ready
            UNION ALL SELECT task_id FROM resting
            UNION ALL SELECT task_id FROM lease
        ) AS place ON place.task_id = task.id
        WHERE task.state = 'ready' GROUP BY task.id HAVING count(place.task_id) <> 1
        """

    static let wrongEpochs = """
        SELECT format('task %s has epoch %s twice', task_id, epoch) AS detail
        FROM attempt GROUP BY task_id, epoch HAVING count(*) > 1
        UNION ALL
        SELECT format('task %s has epoch %s and an attempt of epoch %s', task.id, task.epoch,
            attempt.epoch)
        FROM attempt JOIN task ON task.id = attempt.task_id WHERE attempt.epoch > task.epoch
        """

    static let wrongJobCounters = """
        SELECT format('job %s counts %s and has %s', job.id,
            format('%s images, %s delivered, %s failed, %s cancelled, %s dropped, %s drafts, %s tasks, %s live',
                job.image_count, job.delivered_count, job.failed_count, job.cancelled_count,
                job.dropped_count, job.drafted_count, job.task_count, job.live_task_count),
            format('%s images, %s delivered, %s failed, %s cancelled, %s dropped, %s drafts, %s tasks, %s live',
                coalesce(i.images, 0), coalesce(i.delivered, 0), coalesce(i.failed, 0),
                coalesce(i.cancelled, 0), coalesce(i.dropped, 0), coalesce(i.drafts, 0),
                coalesce(t.tasks, 0), coalesce(t.live, 0))) AS detail
        FROM job
        LEFT JOIN (
            SELECT image.job_id, count(*) AS images,
                count(*) FILTER (WHERE state = 'delivered') AS delivered,
                count(*) FILTER (WHERE state = 'failed') AS failed,
                count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
                count(*) FILTER (WHERE state = 'cancelled'
                    AND draft.decision IN ('dropped', 'expired')) AS dropped,
                count(*) FILTER (WHERE state = 'drafted') AS drafts
            FROM image LEFT JOIN draft ON draft.image_id = image.id GROUP BY image.job_id
        ) AS i ON i.job_id = job.id
        LEFT JOIN (
            SELECT job_id, count(*) AS tasks,
                count(*) FILTER (WHERE state NOT IN ('succeeded', 'failed', 'cancelled')) AS live
            FROM task GROUP BY job_id
        ) AS t ON t.job_id = job.id
        WHERE (job.image_count, job.delivered_count, job.failed_count, job.cancelled_count,
                job.dropped_count, job.drafted_count, job.task_count, job.live_task_count)
            IS DISTINCT FROM (coalesce(i.images, 0), coalesce(i.delivered, 0),
                coalesce(i.failed, 0), coalesce(i.cancelled, 0), coalesce(i.dropped, 0),
                coalesce(i.drafts, 0), coalesce(t.tasks, 0), coalesce(t.live, 0))
        """

    static let wrongTaskCounters = """
        SELECT format('task %s counts %s images, %s undelivered, %s given up, and has %s, %s, %s',
            task.id, task.image_count, task.undelivered, task.given_up, coalesce(i.images, 0),
            coalesce(i.waiting, 0), coalesce(i.lost, 0)) AS detail
        FROM task LEFT JOIN (
            SELECT task_id, count(*) AS images,
                count(*) FILTER (WHERE state = 'waiting') AS waiting,
                count(*) FILTER (WHERE state IN ('failed', 'cancelled')) AS lost
            FROM image GROUP BY task_id
        ) AS i ON i.task_id = task.id
        WHERE task.image_count <> coalesce(i.images, 0)
            OR (task.state NOT IN ('succeeded', 'failed', 'cancelled')
                AND (task.undelivered, task.given_up)
                    <> (coalesce(i.waiting, 0), coalesce(i.lost, 0)))
        """

    static let wrongDrafts = """
        SELECT format('image %s is %s, its task is %s and its draft is %s%s', image.id, image.state,
            task.state, CASE WHEN draft.image_id IS NULL THEN 'not there'
                ELSE coalesce(draft.decision, 'undecided') END,
            CASE WHEN checkpoint.step IS NULL THEN ' without a checkpoint' END) AS detail
        FROM image JOIN task ON task.id = image.task_id
        LEFT JOIN draft ON draft.image_id = image.id
        LEFT JOIN checkpoint
            ON checkpoint.task_id = image.task_id AND checkpoint.image_index = image.index
        WHERE (image.state = 'drafted') <> (task.state = 'drafted')
            OR image.state = 'drafted' AND (draft.image_id IS NULL OR draft.decision IS NOT NULL
                OR checkpoint.step IS DISTINCT FROM draft.step)
        """

    static let eventGaps = """
        SELECT format('job %s counts %s events and has %s, from %s to %s', job.id,
            job.event_count, coalesce(e.events, 0), e.first, e.last) AS detail
        FROM job LEFT JOIN (
            SELECT job_id, count(*) AS events, min(number) AS first, max(number) AS last
            FROM event GROUP BY job_id
        ) AS e ON e.job_id = job.id
        WHERE job.event_count <> coalesce(e.events, 0)
            OR e.first <> 1 OR e.last <> job.event_count
        """

    static let infiniteCharges = """
        SELECT format('owner %s is charged %s', owner, charge) AS detail
        FROM account_usage WHERE charge IN ('NaN', 'Infinity')
        UNION ALL
        SELECT format('task %s costs %s', id, cost) FROM task WHERE cost IN ('NaN', 'Infinity')
        UNION ALL
        SELECT format('the lease of task %s costs %s', task_id, cost)
        FROM lease WHERE cost IN ('NaN', 'Infinity', '-Infinity') OR cost < 0
        """

    static let loneCopies = """
        SELECT format('job %s is the farm''s own and no copy of an audited picture', job.id) AS detail
        FROM job WHERE job.owner = '\(FarmOwner.audits)' AND NOT EXISTS (
            SELECT FROM picture_copy
            WHERE picture_copy.job_id = job.id AND picture_copy.dropped_at IS NULL
        )
        """

    static let wrongCopies = """
        SELECT format('audit %s is %s and has %s copies, %s of them made', picture_audit.id,
            picture_audit.state, count(picture_copy.job_id), count(picture_copy.digest)) AS detail
        FROM picture_audit LEFT JOIN picture_copy ON picture_copy.audit_id = picture_audit.id
        GROUP BY picture_audit.id
        HAVING CASE picture_audit.state WHEN 'drawn' THEN count(picture_copy.job_id) > 0
            WHEN 'rendering' THEN count(picture_copy.job_id) <> 1
            WHEN 'disputed' THEN count(picture_copy.digest) < 1
            WHEN 'equal' THEN count(picture_copy.digest) <> 1
            WHEN 'different' THEN count(picture_copy.digest) <> 2
            ELSE count(picture_copy.job_id) > 2 END
        """

    static let brokenSeats = """
        SELECT format('the %s group %s of %s has %s members, the last of rank %s',
            worker_group.state, worker_group.id, worker_group.size, count(worker.id),
            max(worker.group_rank)) AS detail
        FROM worker_group LEFT JOIN worker ON worker.group_id = worker_group.id
        GROUP BY worker_group.id
        HAVING CASE WHEN worker_group.state = 'dissolved' THEN count(worker.id) > 0
            ELSE count(worker.id) <> worker_group.size
                OR max(worker.group_rank) <> worker_group.size - 1 END
        """

    static let wrongLeads = """
        SELECT format('worker %s is rank %s of a group that is %s, and %s for it', worker.id,
            worker.group_rank, worker_group.state,
            CASE WHEN worker.own_class IS NULL THEN 'does not stand' ELSE 'stands' END) AS detail
        FROM worker LEFT JOIN worker_group ON worker_group.id = worker.group_id
        WHERE (worker.own_class IS NOT NULL) <> coalesce(
            worker.group_rank = 0 AND worker_group.state IN ('ready', 'draining'), false)
        """
}
