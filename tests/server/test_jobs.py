"""The queue: what is claimed, by whom, and how each job ends."""

from __future__ import annotations

import threading

import pytest

from casewise.errors import UsageError
from casewise.server.jobs import TRIES, Job, Jobs
from casewise.server.store import Store


def claimed(jobs: Jobs, worker: str = "w") -> Job:
    job = jobs.claim(worker)
    assert job is not None
    return job


def test_the_highest_priority_then_the_oldest(store: Store) -> None:
    jobs = Jobs(store)
    low, first, second, high = (jobs.add("k", {"n": n}, priority=p) for n, p in ((0, -1), (1, 0), (2, 0), (3, 5)))
    later = jobs.add("k", {}, priority=9, run_after=jobs.now() + 1000)
    assert [claimed(jobs).id for _ in range(4)] == [high, first, second, low]
    assert jobs.claim("w") is None
    assert [job.id for job in jobs.list(["waiting"])] == [later]
    assert [job.id for job in jobs.list(after=high, limit=2)] == [second, first]
    assert jobs.list(kinds=["other"]) == []
    assert jobs.counts() == {"running": 4, "waiting": 1}


def test_a_job_is_finished_once_and_only_by_whom_it_is_leased_to(store: Store) -> None:
    jobs = Jobs(store, lease=-1)  # over at once
    jobs.add("k", {"case": "x"})
    first = claimed(jobs, "one")
    second = claimed(jobs, "two")
    assert (first.id, second.tries, second.payload) == (second.id, 2, {"case": "x"})
    assert jobs.heartbeat(first, 1, 2) == "lost"
    assert not jobs.finish(first, {}) and not jobs.fail(first, "No.") and not jobs.give_back(first) and not jobs.retry(first, "No.")
    assert jobs.finish(second, {"n": float("nan")})
    assert not jobs.finish(second, {"n": 1})
    done = jobs.get(second.id)
    assert done is not None and (done.state, done.result, done.lease_until) == ("done", {"n": None}, None)
    assert jobs.claim("three") is None


def test_a_worker_that_lost_its_job_to_itself_does_not_finish_it_twice(store: Store) -> None:
    jobs = Jobs(store, lease=-1)
    jobs.add("k", {})
    before, now = claimed(jobs), claimed(jobs)
    assert not jobs.finish(before, {})
    assert jobs.finish(now, {})


def test_a_heartbeat_keeps_the_lease_and_reports(store: Store) -> None:
    jobs = Jobs(store, lease=600)
    job = claimed(jobs, str(jobs.add("k", {})))
    assert jobs.heartbeat(job, 3, 9, "Reading: a\x00b") == "go on"
    now = jobs.get(job.id)
    assert now is not None and job.lease_until is not None and now.lease_until is not None
    assert (now.done, now.total, now.message) == (3, 9, "Reading: ab") and now.lease_until >= job.lease_until
    assert jobs.claim("other") is None


def test_three_dead_workers_make_a_dead_job_that_can_be_run_again(store: Store) -> None:
    jobs = Jobs(store, lease=-1)
    number = jobs.add("k", {})
    assert [claimed(jobs, f"w{n}").tries for n in range(TRIES)] == [1, 2, 3]
    assert jobs.claim("w") is None
    dead = jobs.get(number)
    assert dead is not None and dead.state == "dead" and "died 3 times" in str(dead.error) and dead.ended is not None
    again = jobs.again(number)
    assert again is not None and (again.state, again.tries, again.error, again.ended) == ("waiting", 0, None, None)
    assert claimed(jobs).id == number


def test_an_unexpected_error_is_tried_again_after_a_pause_and_then_dead(store: Store) -> None:
    jobs = Jobs(store)
    number = jobs.add("k", {})
    for tries in range(1, TRIES + 1):
        job = claimed(jobs)
        assert job.tries == tries
        assert jobs.retry(job, "It broke.")
        assert jobs.claim("w") is None  # it pauses
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE server_jobs SET run_after = 0")
    dead = jobs.get(number)
    assert dead is not None and (dead.state, dead.error) == ("dead", "It broke.")


def test_given_back_is_no_try(store: Store) -> None:
    jobs = Jobs(store)
    jobs.add("k", {})
    for _ in range(2 * TRIES):
        assert jobs.give_back(claimed(jobs))
    assert claimed(jobs).tries == 1


def test_stopping(store: Store) -> None:
    jobs = Jobs(store)
    waiting, running, done = (jobs.add("k", {}) for _ in range(3))
    stopped = jobs.stop(waiting)
    assert stopped is not None and stopped.state == "stopped"
    job, other = claimed(jobs), claimed(jobs)
    assert (job.id, other.id) == (running, done)
    jobs.finish(other, {})
    ended = jobs.stop(done)
    assert ended is not None and ended.state == "done"
    assert jobs.stop(running) is not None and jobs.heartbeat(job) == "stop"
    assert jobs.stopped(job)
    assert jobs.counts() == {"stopped": 2, "done": 1}
    assert jobs.stop(999) is None and jobs.again(999) is None


def test_a_stopped_job_whose_worker_died_or_left_is_not_run_again(store: Store) -> None:
    jobs = Jobs(store, lease=-1)
    number = jobs.add("k", {})
    claimed(jobs)
    jobs.stop(number)
    assert jobs.claim("other") is None
    assert jobs.counts() == {"stopped": 1}


def test_the_same_job_is_queued_once(store: Store) -> None:
    jobs = Jobs(store)
    number = jobs.add("k", {}, unique_key="prepare x")
    assert jobs.add("k", {}, unique_key="prepare x") == number
    assert jobs.finish(claimed(jobs), {})
    newer = jobs.add("k", {}, unique_key="prepare x")
    assert newer != number
    with pytest.raises(UsageError, match=f"job {newer} is the same"):
        jobs.again(number)
    with pytest.raises(UsageError, match="is waiting"):
        jobs.again(newer)


def test_many_at_once_queue_one_and_claim_each_once(store: Store) -> None:
    jobs = Jobs(store)
    numbers: list[int] = []
    claims: list[int] = []

    def queue() -> None:
        for n in range(10):
            numbers.append(jobs.add("k", {}, unique_key=f"same {n}"))

    def claim(worker: str) -> None:
        while (job := jobs.claim(worker)) is not None:
            claims.append(job.id)

    for target in (queue, claim):
        threads = [threading.Thread(target=target, args=() if target is queue else (f"w{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(numbers) == 60 and len(set(numbers)) == 10
    assert sorted(claims) == sorted(set(numbers))


def test_a_transaction_that_sleeps_does_not_hold_a_job_for_ever(store: Store) -> None:
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "1min"


def test_workers_are_known_while_they_are_heard_from(store: Store) -> None:
    jobs = Jobs(store)
    for name in ("b", "a", "b"):
        jobs.hear_from(name)
    assert jobs.workers() == ["a", "b"]
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE server_workers SET seen = seen - 61 WHERE name = 'a'")
    assert jobs.workers() == ["b"]
    jobs.forget("b")
    assert jobs.workers() == []


def test_a_clock_that_was_set_back_does_not_hold_a_job(store: Store) -> None:
    jobs = Jobs(store)
    jobs.add("k", {})
    job = claimed(jobs)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE server_jobs SET lease_until = lease_until + 86400")
    other = claimed(jobs, "other")
    assert other.id == job.id
    assert jobs.heartbeat(job) == "lost"
