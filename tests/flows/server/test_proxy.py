"""Proxies of the environment and this machine's own services."""

from __future__ import annotations

import os
import urllib.request

import pytest

from flows.server.proxy import bypass_proxies_on_loopback


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_loopback_is_exempt_beside_what_the_user_exempts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv(name, "example.com, 10.0.0.1")
    bypass_proxies_on_loopback()
    bypass_proxies_on_loopback()
    expected = "example.com,10.0.0.1,127.0.0.1,localhost,::1"
    assert (os.environ["no_proxy"], os.environ["NO_PROXY"]) == (expected, expected)
    assert urllib.request.proxy_bypass("127.0.0.1:4200")
    assert not urllib.request.proxy_bypass("example.org")
