"""A store to review, and clients of the application."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from catalogs.query.catalog import Catalog
from catalogs.review.decisions import Decisions
from catalogs.store.store import Store
from flows.review import ReviewContext, make_app
from flows.review.media import MediaSigner
from flows.review.security import Secrets
from tests.flows.review.stores import film, review_store, write_media

HOST = "http://127.0.0.1:8700"


@dataclass(frozen=True)
class Review:
    """The application over a store."""

    context: ReviewContext
    app: ASGIApp

    def client(self, *, signed_in: bool = True) -> TestClient:
        """Return a browser without JavaScript."""
        client = TestClient(self.app, base_url=HOST, raise_server_exceptions=False)
        if signed_in:
            client.get("/", params={"token": self.context.secrets.token})
        return client

    def csrf(self, client: TestClient) -> str:
        """Return the token that the pages of a client carry."""
        found = re.search('name="csrf" content="([0-9a-f]+)"', client.get("/").text)
        assert found
        return found[1]


def review_of(store: Store, *inputs: Path, **filters: str) -> Review:
    """Return the application over a store."""
    secrets = Secrets()
    context = ReviewContext(
        store, Catalog(store), Decisions(store), secrets, MediaSigner(secrets, store, inputs), filters, reviewer="ada"
    )
    return Review(context, make_app(context))


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, a film and a portrait."""
    folder = tmp_path_factory.mktemp("media")
    write_media(folder)
    return folder


@pytest.fixture
def review(tmp_path: Path, media: Path) -> Review:
    """The application over a store with four pictures, one of them in two languages, and a failed job."""
    rows = [film(0, "en"), film(0, "fr"), film(1), film(2), film(3)]
    return review_of(review_store(tmp_path / "store", media, rows, failed=1))
