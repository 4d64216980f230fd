import threading

import pytest
import torch

from everymask.everything.workers import Workers, cores_kept


@pytest.mark.parametrize("tools", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_results_come_in_the_jobs_order(tools):
    with cores_kept(), Workers(tools) as workers:
        assert list(workers.map(lambda tool, job: job * job, range(50))) == [i * i for i in range(50)]


def test_a_tool_is_used_by_one_thread_at_a_time():
    tools = [threading.Lock(), threading.Lock()]

    def work(tool, job):
        assert tool.acquire(blocking=False)
        torch.ones(1000).sum()
        tool.release()
        return job

    with cores_kept(), Workers(tools) as workers:
        assert list(workers.map(work, range(200))) == list(range(200))


def test_error_in_a_job_arrives_and_ends_the_rest():
    done = []

    def work(tool, job):
        if job == 3:
            raise ZeroDivisionError("job 3")
        done.append(job)
        return job

    with cores_kept(), pytest.raises(ZeroDivisionError, match="job 3"), Workers(["a", "b"]) as workers:
        list(workers.map(work, range(1000)))
    assert len(done) < 50


def test_thread_count_is_put_back():
    before = torch.get_num_threads()
    with cores_kept(), Workers(["a", "b"]) as workers:
        list(workers.map(lambda tool, job: torch.get_num_threads(), range(4)))
    assert torch.get_num_threads() == before
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [before]


def test_interrupt_stops_the_work():
    started = []

    def work(tool, job):
        started.append(job)
        return job

    def run():
        with cores_kept(), Workers(["a", "b"]) as workers:
            for result in workers.map(work, range(10_000)):
                if result == 5:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(started) < 100
