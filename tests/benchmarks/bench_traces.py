"""What a trace in S3 costs a test, compared with moto itself."""

from __future__ import annotations

import gc
from typing import Any

import boto3
from moto import mock_aws
from pytest_benchmark.fixture import BenchmarkFixture

from output_mock import Context, OutputMock
from output_mock.stored_traces import stored_in_s3
from output_mock.traces import in_bucket, llm
from tests.benchmarks.bench_speed import RUN, a_mock, compare


def a_test_with_a_remote_trace() -> None:
    """Do what a test with `output_traces` does: a fake, its bucket, a run, its upload, its trace log."""
    mock = a_mock()
    with stored_in_s3(mock) as traces:
        client = mock.app.test_client()
        run = client.post("/workflow/run", json=RUN).get_json()
        traces.upload()
        assert client.get(f"/workflow/{run['workflowId']}/trace-log").status_code == 200
    mock.close()


def a_test_with_moto(client: Any, body: bytes) -> None:
    with mock_aws():
        client.create_bucket(Bucket="traces")
        client.put_object(Bucket="traces", Key="a/trace.json", Body=body)
        client.get_object(Bucket="traces", Key="a/trace.json")["Body"].read()


def test_a_test_with_a_remote_trace_costs_little_more_than_its_moto(benchmark: BenchmarkFixture) -> None:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.client("s3", region_name="us-east-1", **keys)
    compare(
        benchmark,
        a_test_with_a_remote_trace,
        lambda: a_test_with_moto(client, b"x" * 900),
        target=2.0,
        rounds=50,
    )


def test_a_run_whose_trace_is_kept_costs_one_put(benchmark: BenchmarkFixture) -> None:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.client("s3", region_name="us-east-1", **keys)
    with mock_aws():
        client.create_bucket(Bucket="traces")
        traces = in_bucket("traces", upload_delay=0)
        mock = OutputMock(traces=traces)
        mock.workflow("sum").returns(3)

        def run() -> None:
            mock.world.start("sum", {"a": 1, "b": 2})
            mock.clock.run_due()

        compare(
            benchmark,
            run,
            lambda: client.put_object(Bucket="traces", Key="a/trace.json", Body=b"x" * 900),
            target=1.5,
            rounds=100,
        )
        mock.close()


def test_the_tree_of_a_run_grows_with_its_steps_and_no_faster(benchmark: BenchmarkFixture) -> None:
    mock = OutputMock()

    @mock.workflow("steps")
    async def steps(ctx: Context, input: int) -> None:
        for _ in range(input):
            await ctx.step("s", takes="1s", trace=[llm(model="m")])

    for number in (300, 2400):
        mock.world.start("steps", number, workflow_id=str(number))
        mock.clock.advance(f"{number + 1}s")
    # What the collector finds to do among other tests' objects is not what is measured.
    gc.disable()
    try:
        compare(
            benchmark,
            lambda: mock.runs["2400"].trace,
            lambda: mock.runs["300"].trace,
            target=10.0,
            rounds=25,
        )
    finally:
        gc.enable()
