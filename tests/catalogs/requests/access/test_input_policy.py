"""catalogs.requests.access.input_policy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from catalogs.requests.access.input_policy import ANY_PUBLIC, InputPolicy, input_policy, is_public
from catalogs.requests.inputs import files_in, localise, stat
from catalogs.store.policy import read_policy
from catalogs.store.store import Store
from troupe.errors import MissingInput, NotAllowed, SettingsError


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.8.9.1", "0.0.0.0", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
        *("168.63.129.16", "2130706433", "0x7f.1", "0177.1", "::", "::1", "fe80::1%lo", "fe80::1", "fd00:ec2::254"),
        *("fc00::1", "ff02::1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2001:db8::1"),
        *("no-address", "", "1.2.3.4.5"),
    ],
)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "134744072"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("entry", "uri", "allowed"),
    [
        ("/data", "/data/a.png", True),
        ("/data", "/data", True),
        ("/data/", "/data/x/../a.png", True),
        ("/data", "/data/../etc/passwd", False),
        ("/data", "/database/a.png", False),
        ("/data", "file:///data/a%20b.png", True),
        ("file://", "/etc/passwd", True),
        ("file://", "s3://b/a", False),
        ("s3://b", "s3://b/a", True),
        ("s3://b", "s3a://b/a", True),
        ("s3://b", "s3://bb/a", False),
        ("s3://b/in", "s3://b/in/a", True),
        ("s3://b/in/", "s3://b/inner/a", False),
        ("s3://b/in", "s3://b/in/../a", True),  # keys are names: this one is below in/
        ("s3://", "s3a://b/a", True),
        ("s3://", "gs://b/a", False),
        ("az://box", "abfs://box/a", True),
        ("https://h", "https://h/a?b#c", True),
        ("https://h", "https://H./a", True),
        ("https://h", "http://h/a", False),
        ("http://h", "https://h/a", True),
        ("http://h:80", "https://h/a", False),
        ("https://h", "https://h:8443/a", False),
        ("https://h:8443", "https://h:8443/a", True),
        ("https://h", "https://h@evil/a", False),
        ("https://h", "https://h.evil/a", False),
        ("https://h/x", "https://h/x/a", True),
        ("https://h/x", "https://h/x/../a", False),
        ("https://h/x", "https://h/x/%2e%2e/a", False),
        ("http://127.0.0.1", "http://2130706433/a", True),
        ("http://", "https://anything:1/a", True),
        ("https://h", "https://h:x/a", False),
    ],
)
def test_what_an_entry_allows(entry: str, uri: str, allowed: bool) -> None:
    policy = InputPolicy((entry,))
    if allowed:
        policy.check(uri)
    else:
        with pytest.raises(NotAllowed, match="outside of what this run may read"):
            policy.check(uri)


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "a.png").write_bytes(b"other")
    (inside / "a.png").symlink_to(outside / "a.png")
    (inside / "folder").symlink_to(outside)
    policy = InputPolicy((str(inside),))
    for uri in (inside / "a.png", inside / "folder", inside / "folder/a.png", inside / "*.png"):
        with pytest.raises(NotAllowed):
            stat(str(uri), policy)
        with pytest.raises(NotAllowed):
            localise(str(uri), tmp_path / "work", policy=policy)
    with pytest.raises(NotAllowed):
        files_in(str(inside), policy)
    # where the allowed folder itself is a link, it leads in
    (tmp_path / "link").symlink_to(inside)
    (inside / "b.png").write_bytes(b"own")
    assert stat(str(inside / "b.png"), InputPolicy((str(tmp_path / "link"),))).size == 3


def test_schemes() -> None:
    with pytest.raises(MissingInput, match="unknown scheme zip://"):
        InputPolicy(ANY_PUBLIC).check("zip://a.png::/etc/x.zip")


def test_the_policy_of_a_run(folder_store: Store) -> None:
    store = folder_store.url

    def allowed(*allow: str, named: Iterable[str] = ()) -> tuple[str, ...]:
        return input_policy(folder_store, read_policy(folder_store), allow, named).allowed

    assert allowed(*ANY_PUBLIC, named=["/jobs"]) == (
        *ANY_PUBLIC,
        "/jobs",
    )
    assert allowed(named=["/jobs"]) == (store, "/jobs")
    assert allowed("https://h/") == (store, "https://h/")
    folder_store.put_bytes(b'allow_input = ["/data", "https://media.example/clips"]', "policy.toml")
    own = ("/data", "https://media.example/clips")
    assert allowed(*ANY_PUBLIC, "/x", named=["/jobs"]) == (
        *own,
        "/jobs",
        "/x",
    )
    assert allowed(named=["/jobs"]) == (*own, "/jobs")


@pytest.mark.parametrize(
    "content", ["allow_input = [", "allow_input = 'x'", "allow = []", "allow_input = [1]", "allow_input = ['zip://x']"]
)
def test_an_invalid_policy_is_refused(folder_store: Store, content: str) -> None:
    folder_store.put_bytes(content.encode(), "policy.toml")
    with pytest.raises(SettingsError, match=r"policy\.toml"):
        input_policy(folder_store, read_policy(folder_store), ANY_PUBLIC, [])


@pytest.mark.parametrize("entry", ["", "ftp://h", "http://user:pass@h/", "http:///x", "http://h:x/"])
def test_an_invalid_entry_is_refused(folder_store: Store, entry: str) -> None:
    with pytest.raises(SettingsError, match="allow_input"):
        input_policy(folder_store, read_policy(folder_store), [entry], [])


def test_a_refusal_says_how_to_allow_the_input() -> None:
    with pytest.raises(NotAllowed) as caught:
        InputPolicy(("/data",)).check("/media/clips/a.mp4")
    message = caught.value.message
    assert "--allow-input /media/clips" in message
    assert """--param 'allow_input=["/media/clips"]'""" in message
    assert "prefect.yaml" in message
    assert "policy.toml" in message
