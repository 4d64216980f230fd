"""The manifest for Kubernetes in docs/batch.md: it is YAML, its versions are ours, its command exists.

Its fields were checked against KubeRay's own schema when it was written; here, those that we fill in.
"""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from everymask.cli.main import parser_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def job():
    text = (ROOT / "docs" / "batch.md").read_text("utf-8")
    return yaml.safe_load(re.search(r"```yaml\n(apiVersion: ray.*?)```", text, re.DOTALL)[1])


def test_it_is_a_ray_job_of_the_version_that_we_pin(job):
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    pinned = re.search(
        r"^ray(?:\[\w+\])?==(\S+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE
    )[1]
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == pinned
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"].endswith(f":{pinned}")
        assert container["resources"]["limits"] == container["resources"]["requests"]


def test_its_command_line_is_one_that_we_take(job):
    program, command, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("everymask", "batch")
    context = parser_of("batch").make_context("batch", list(words), resilient_parsing=False)
    assert context.params["inputs"] == ["s3://bucket/photos"]
    assert (context.params["output"], context.params["ray"]) == ("s3://bucket/masks", "auto")


def test_the_head_gets_no_model_and_its_groups_can_grow(job):
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
