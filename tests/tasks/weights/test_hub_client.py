"""tasks.weights.hub_client: access, errors and retries, by way of pulls from a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

import tasks.weights.hub_client
from tasks.weights.download import pull
from tasks.weights.sources import RELEASE
from tests.tasks.weights.conftest import fetch
from tests.tasks.weights.hub_server import GATED, TOKEN, HubServer, hub_server
from troupe.errors import WeightsError

PATHS = [path for source in RELEASE for path in source.files]


def test_busy_hub_is_asked_again(tmp_path: Path, hub: HubServer) -> None:
    hub.busy = 2
    assert set(fetch(tmp_path, hub).fetched) == set(PATHS)
    hub.busy = 99
    with pytest.raises(WeightsError, match="answers 503"):
        fetch(tmp_path / "other", hub)


def test_gated_repository_without_token(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(WeightsError, match=rf"accept its terms on https://huggingface.co/{GATED}.*HF_TOKEN"):
        pull(tmp_path, accept_licences=True, endpoint=hub.endpoint)
    assert hub.sent == {}


def test_gated_repository_with_a_token_that_may_not(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(WeightsError, match="the account of this token may not read it") as caught:
        pull(tmp_path, accept_licences=True, token="hf_other", endpoint=hub.endpoint)
    assert "hf_other" not in str(caught.value)


def test_token_stays_with_the_hub(tmp_path: Path, hub: HubServer) -> None:
    fetch(tmp_path, hub)
    assert {request.token for request in hub.requests if request.host == "hub"} == {TOKEN}
    assert {request.token for request in hub.requests if request.host == "storage"} == {""}


def test_unknown_repository_and_revision(tmp_path: Path, hub: HubServer) -> None:
    del hub.commits["FoivosPar/Arc2Face"][hub.newest("FoivosPar/Arc2Face")]
    hub.commits["FoivosPar/Arc2Face"]["f" * 40] = {}
    with pytest.raises(WeightsError, match="FoivosPar/Arc2Face has no revision da2f1e9a"):
        fetch(tmp_path, hub)
    del hub.commits["LeonJoe13/Sonic"]
    with pytest.raises(WeightsError, match="has no repository LeonJoe13/Sonic"):
        fetch(tmp_path, hub)


def test_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.weights.hub_client, "RETRY_PAUSES", (0.0,))
    with hub_server({}) as stopped_hub:
        endpoint = stopped_hub.endpoint
    with pytest.raises(WeightsError, match=f"no connection to {endpoint}.*HF_ENDPOINT"):
        pull(tmp_path, accept_licences=True, token=TOKEN, endpoint=endpoint)


@pytest.mark.parametrize("checksum", ["", "../../escaped", "A" * 40])
def test_listing_without_a_true_checksum(
    checksum: str, tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be checked is not fetched."""
    monkeypatch.setattr("tests.tasks.weights.hub_server._sha256", lambda _: checksum)
    with pytest.raises(WeightsError, match="does not match the release"):
        fetch(tmp_path, hub)
    assert hub.sent == {}


def test_endpoint_that_is_no_hub(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(WeightsError, match=r"/elsewhere answers 404"):
        pull(tmp_path, accept_licences=True, token=TOKEN, endpoint=f"{hub.endpoint}/elsewhere")
    with pytest.raises(WeightsError, match=r"no connection to nonsense"):
        pull(tmp_path, accept_licences=True, token=TOKEN, endpoint="nonsense")


def test_endpoint_from_the_environment(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    assert set(pull(tmp_path, accept_licences=True, token=TOKEN).fetched) == set(PATHS)
