"""The files of deploy/ and prefect.yaml match the code: versions, options, parameters, paths."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from flows.cli import app

ROOT = Path(__file__).parents[2]
KINDS = {"rayjob.yaml": "RayJob", "raycluster.yaml": "RayCluster"}


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]


def cluster(name: str) -> dict[str, Any]:
    """Read the RayCluster of a file."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / name).read_text())
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", KINDS[name])
    spec: dict[str, Any] = document["spec"]
    inner: dict[str, Any] = spec.get("rayClusterSpec", spec)
    return inner


@pytest.mark.parametrize("name", KINDS)
def test_cluster_has_the_resources_that_workers_need(name: str) -> None:
    spec = cluster(name)
    assert spec["rayVersion"] == pinned("ray")
    assert spec["authOptions"] == {"mode": "token"}
    head, (workers,) = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (head, workers):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["image"].startswith("troupe:")
            assert {"secretRef": {"name": "troupe-store"}} in container["envFrom"], "credentials come from a secret"
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= volumes
            assert mounts["cache"] == "/cache"
    (worker,) = workers["template"]["spec"]["containers"]
    # A render worker needs one GPU and one core, a preprocessing worker another core.
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert int(worker["resources"]["limits"]["cpu"]) >= 2
    beside = [c for c in head["template"]["spec"]["containers"] if c["name"] == "prefect-worker"]
    for container in beside:
        assert {"name": "ray", "mountPath": "/tmp/ray"} in container["volumeMounts"]
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]


def test_entrypoint_is_a_valid_command() -> None:
    document = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())
    program, name, *words = shlex.split(document["spec"]["entrypoint"])
    assert (program, name) == ("troupe", "run")
    command: Any = get_command(app)
    run = command.commands[name]
    values = run.make_context("run", words).params
    assert values["ray_address"] == "auto"
    assert values["workers"] == document["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"]
    assert all(values[name].startswith("s3://") for name in ("jobs", "store", "weights")), "nodes share no disk"


def test_image_has_all_packages_and_pinned_versions() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == set(sources)
    packages = re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text())
    assert set(packages) <= set(sources)
    assert "--constraint constraints.txt" in text
    extras = re.search(r"'\.\[(.*)\]'", text)
    assert extras
    for extra in extras[1].split(","):
        assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_deployments_match_the_parameters_of_their_flows() -> None:
    from flows.animate import animate
    from flows.maintenance import maintenance
    from flows.train import train

    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert document["prefect-version"] == pinned("prefect")
    flows = {
        "flows/animate.py:animate": animate,
        "flows/maintenance.py:maintenance": maintenance,
        "flows/train.py:train": train,
    }
    for deployment in document["deployments"]:
        flow = flows[deployment["entrypoint"]]
        assert deployment["enforce_parameter_schema"]
        assert deployment["parameters"].keys() <= inspect.signature(flow.fn).parameters.keys()
        description = flow.fn.__doc__ or ""
        schema = flow.parameters.model_dump()
        for name in schema["properties"]:
            assert f"{name}:" in description, f"{name} has no description in the form"
        assert all(not schedule["active"] for schedule in deployment["schedules"]), "its paths are examples"
    page = (ROOT / "docs" / "scheduling.md").read_text()
    (block,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if block.startswith("schedules:"))
    for schedule in yaml.safe_load(block)["schedules"]:
        animate.validate_parameters(schedule["parameters"])
    assert {deployment["name"] for deployment in document["deployments"]} == {
        "animate",
        "nightly",
        "maintenance",
        "train",
    }
