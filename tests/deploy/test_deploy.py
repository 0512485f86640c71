"""The files of deploy/ and prefect.yaml say what the code means: versions, options, parameters, places."""

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
    """The file's RayCluster."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / name).read_text())
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", KINDS[name])
    spec: dict[str, Any] = document["spec"]
    inner: dict[str, Any] = spec.get("rayClusterSpec", spec)
    return inner


@pytest.mark.parametrize("name", KINDS)
def test_a_cluster_fits_what_the_pool_asks_for(name: str) -> None:
    spec = cluster(name)
    assert spec["rayVersion"] == pinned("ray")
    head, (workers,) = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (head, workers):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["image"].startswith("troupe:")
            assert {"secretRef": {"name": "troupe-store"}} in container["envFrom"], "credentials are a secret's"
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= volumes
            assert mounts["cache"] == "/cache"
    (worker,) = workers["template"]["spec"]["containers"]
    # An animator takes a GPU and a core, a preparation actor another.
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert int(worker["resources"]["limits"]["cpu"]) >= 2
    beside = [c for c in head["template"]["spec"]["containers"] if c["name"] == "prefect-worker"]
    for container in beside:
        assert {"name": "ray", "mountPath": "/tmp/ray"} in container["volumeMounts"]


def test_the_jobs_command_is_one_that_troupe_knows() -> None:
    document = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())
    program, name, *words = shlex.split(document["spec"]["entrypoint"])
    assert (program, name) == ("troupe", "run")
    command: Any = get_command(app)
    run = command.commands[name]
    values = run.make_context("run", words).params
    assert values["ray_address"] == "auto"
    assert values["workers"] == document["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"]
    assert all(values[place].startswith("s3://") for place in ("jobs", "store", "weights")), "no disk is shared"


def test_the_image_has_all_rooms_and_its_pins() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert all((ROOT / source).exists() for source in sources)
    packages = re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text())
    assert set(packages) <= set(sources)
    assert "--constraint constraints.txt" in text
    extras = re.search(r"'\.\[(.*)\]'", text)
    assert extras
    for extra in extras[1].split(","):
        assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_deployments_give_their_flows_what_they_take() -> None:
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
        described = flow.fn.__doc__ or ""
        schema = flow.parameters.model_dump()
        for name in schema["properties"]:
            assert f"{name}:" in described, f"the form says nothing of {name}"
        assert all(not schedule["active"] for schedule in deployment["schedules"]), "its places are examples"
    assert {deployment["name"] for deployment in document["deployments"]} == {
        "animate",
        "nightly",
        "maintenance",
        "train",
    }
