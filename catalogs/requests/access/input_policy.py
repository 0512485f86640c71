"""Which inputs a run may read: folders, buckets and hosts that a person named, never what only a row names.

Rows of a jobs file may come from anywhere, while the process that reads their inputs has this machine's files, the
store's credentials and the office's network. So each input is held against a list of allowed URIs, and a host that is
not on the list is reached at public addresses only.
"""

from __future__ import annotations

import ipaddress
import os
import posixpath
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from catalogs.store import uris
from catalogs.store.policy import POLICY_FILE, StorePolicy
from catalogs.store.store import Store
from troupe.errors import MissingInput, NotAllowed, SettingsError

__all__ = [
    "ANY_PUBLIC",
    "PUBLIC",
    "SCHEMES",
    "InputPolicy",
    "allowed_entries",
    "input_policy",
    "is_public",
    "numeric",
    "trusting",
]

SCHEMES = ("file", "http", "https", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")
"""Schemes of inputs, beside local paths. fsspec's others open archives, caches and code hosts inside one another."""

ANY_PUBLIC = ("file://", "http://", "s3://", "gs://", "abfs://")
"""What a run that a person starts may read: every file and bucket, and hosts at public addresses."""

_IN_MEMORY = "memory"
"""Scheme of files in this process, for programs that call troupe as a library."""
_SAME = {"s3a": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs", "https": "http"}
"""Schemes that are allowed with another one."""
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SERVICES = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))
"""Addresses outside of the private networks at which clouds serve a machine its own secrets: Azure's and Oracle's."""


@dataclass(frozen=True)
class InputPolicy:
    """The URIs that inputs may have.

    Attributes:
        allowed: folders, buckets and hosts, with what is below them: `/data`, `s3://bucket/folder`,
            `https://host:8443/path`. A scheme alone, such as `http://`, stands for all of it but private addresses.
    """

    allowed: tuple[str, ...]

    def check(self, uri: str) -> None:
        """Check that an input may be read, as far as its URI shows; `allows_private` concerns its address.

        Raises:
            MissingInput: its scheme is not supported.
            NotAllowed: it is outside of what is allowed.
        """
        scheme = uris.scheme(uri)
        if scheme == _IN_MEMORY:
            return
        if scheme not in ("", *SCHEMES):
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise MissingInput(f"{uris.redacted(uri)}: unknown scheme {scheme}://; use a path, or {known}")
        if not any(_contains(entry, uri) for entry in self.allowed):
            raise NotAllowed(
                f"{uris.redacted(uri)} is outside of what this run may read: {_listed(self.allowed)}; {_advice(uri)}"
            )

    @property
    def names_hosts(self) -> bool:
        """Whether any host is allowed by its name."""
        return any(not _is_scheme(entry) and uris.scheme(entry) in uris.HTTP for entry in self.allowed)

    def allows_private(self, url: str) -> bool:
        """Return whether the host of a URL is allowed by its name, and so may have a private address."""
        return any(not _is_scheme(entry) and _contains(entry, url) for entry in self.allowed)

    def refuse_address(self, url: str, address: str) -> NotAllowed:
        """Return the error for a URL whose host has an address that is not public."""
        return NotAllowed(f"{uris.redacted(url)} is at {address}, which is not a public address; {_advice(url)}")


PUBLIC = InputPolicy(ANY_PUBLIC)
"""The policy for inputs that nobody vouches for."""


def trusting(*named: str) -> InputPolicy:
    """Return the policy for URIs that a person names: they and what is below them, and everything public."""
    return InputPolicy((*ANY_PUBLIC, *named))


def input_policy(store: Store, policy: StorePolicy, allow: Iterable[str], named: Iterable[str]) -> InputPolicy:
    """Return the policy of a run.

    Args:
        store: store of the run.
        policy: policy of the store, whose list, if it has one, replaces `ANY_PUBLIC` and the store itself.
        allow: what the request allows; without `ANY_PUBLIC` in it, the store itself is added.
        named: URIs of folders that the request names, which are allowed too.

    Raises:
        SettingsError: an entry is invalid.
    """
    given = allowed_entries(allow)
    everything = set(ANY_PUBLIC) <= set(given)
    own = [entry for entry in given if entry not in ANY_PUBLIC] if everything else given
    if policy.allow_input is not None:
        base = allowed_entries(policy.allow_input, store.uri(POLICY_FILE))
    else:
        base = ANY_PUBLIC if everything else (_bucket(store.url),)
    return InputPolicy(tuple(dict.fromkeys((*base, *map(uris.from_here, named), *own))))


def allowed_entries(texts: Iterable[str], where: str = "allow_input") -> tuple[str, ...]:
    """Return entries of a policy in the form in which they are compared.

    Raises:
        SettingsError: one is invalid.
    """
    return tuple(_entry(text, where) for text in texts)


def is_public(address: str) -> bool:
    """Return whether an IP address, also one written as a single number or in octal, belongs to the public internet."""
    try:
        ip = ipaddress.ip_address(numeric(address.partition("%")[0]))
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        # Addresses of IPv4 inside IPv6, which gateways and the kernel itself translate.
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in _NAT64 or int(ip) >> 32 == 0:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    serves_secrets = any(ip in network for network in _SERVICES)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or serves_secrets)


def numeric(host: str) -> str:
    """Return the address that a URL's host is, in any of the forms that systems accept; empty if it is a name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return ""
    return str(found[0][4][0])


def _entry(text: str, where: str) -> str:
    """Return an entry in the form in which it is compared."""
    text, scheme = text.strip(), uris.scheme(text.strip())
    if scheme not in ("", *SCHEMES) or uris.has_credentials(text) or not text:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise SettingsError(f"{where}: {uris.redacted(text)!r} is not a folder, or a URI with {known}")
    if _is_scheme(text):
        return text.lower()
    try:
        valid = scheme not in uris.HTTP or bool(urlsplit(text).hostname and urlsplit(text).port != 0)
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(f"{where}: {uris.redacted(text)!r} has no valid host and port")
    return uris.from_here(text)


def _bucket(url: str) -> str:
    """Return the folder of a local store, or the bucket of another one."""
    return url if uris.local_path(url) is not None else "/".join(url.split("/")[:3])


def _is_scheme(entry: str) -> bool:
    return entry.endswith("://")


def _contains(entry: str, uri: str) -> bool:
    """Return whether a URI is at or below an entry."""
    path, root = uris.local_path(uri), uris.local_path(entry)
    if path is not None:
        # The targets of links count, not their own places.
        return entry == "file://" or (root is not None and _is_below(os.path.realpath(path), os.path.realpath(root)))
    if root is not None or _family(entry) != _family(uri):
        return False
    if _is_scheme(entry):
        return True
    if uris.scheme(uri) in uris.HTTP:
        return _contains_url(urlsplit(entry), urlsplit(uri))
    return _is_below(uri.split("://", 1)[1], entry.split("://", 1)[1])


def _contains_url(entry: SplitResult, url: SplitResult) -> bool:
    try:
        ports = [part.port or _PORTS[part.scheme.lower()] for part in (entry, url)]
    except ValueError:
        return False
    # A server may lead from http to https, not back.
    same_port = ports[0] == ports[1] or (ports == [80, 443] and entry.port is None)
    same_scheme = entry.scheme.lower() in (url.scheme.lower(), "http")
    same_host = _canonical_host(entry.hostname or "") == _canonical_host(url.hostname or "")
    path = unquote(url.path or "/")
    return same_scheme and same_port and same_host and _is_below(posixpath.normpath(path), unquote(entry.path or "/"))


def _is_below(path: str, root: str) -> bool:
    root = root.rstrip("/")
    return path == root or path.startswith(f"{root}/")


def _family(uri: str) -> str:
    scheme = uri.partition("://")[0].lower() if _is_scheme(uri) else uris.scheme(uri)
    return _SAME.get(scheme, scheme)


def _canonical_host(host: str) -> str:
    """Return a host in one form: addresses as systems write them, names in lower case."""
    host = host.lower().rstrip(".")
    return numeric(host) or host


def _listed(allowed: tuple[str, ...]) -> str:
    return ", ".join(uris.redacted(entry) for entry in allowed[:5]) + (", …" if len(allowed) > 5 else "") or "nothing"


def _advice(uri: str) -> str:
    path = uris.local_path(uri)
    if path is not None:
        place = str(Path(os.path.realpath(path)).parent)
    else:
        place = "/".join(uris.redacted(uri).split("/")[:3]) + "/"
    return (
        f"if it may, allow it: --allow-input {place}, a deployment's parameter allow_input "
        f"(--param 'allow_input=[\"{place}\"]', or in prefect.yaml), or {POLICY_FILE} of the store"
    )
