"""The policy of a store: what every run into it has to keep to. A run may ask for more, never for less."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from catalogs.store.store import Store
from troupe.errors import SettingsError

__all__ = ["POLICY_FILE", "StorePolicy", "policy_from_toml", "policy_to_toml", "read_policy"]

POLICY_FILE = "policy.toml"
"""Key of a store's policy."""


@dataclass(frozen=True)
class StorePolicy:
    """What every run into a store has to keep to.

    Attributes:
        allow_input: folders, buckets and hosts that rows may name, beside what the request names; None: the default.
        require_consent: whether every job needs a permission of the store's register that is valid for it.
        require_signature: whether every published video must have signed Content Credentials.
        label: visible label of every video; `none`: none.
        watermark: whether every picture must have the invisible watermark.
        review: rules that decide about films, see `catalogs.review.rules`.
    """

    allow_input: tuple[str, ...] | None = None
    require_consent: bool = False
    require_signature: bool = False
    label: str = "none"
    watermark: bool = False
    review: tuple[str, ...] = ()

    def changed(self, changes: Mapping[str, Any]) -> StorePolicy:
        """Return the policy with some values changed.

        Raises:
            SettingsError: a name or a value is invalid.
        """
        return replace(self, **_checked(changes, "the policy"))


def read_policy(store: Store) -> StorePolicy:
    """Return the policy of a store; the default where it has none.

    Raises:
        SettingsError: the policy is invalid.
        StoreError: it cannot be read.
    """
    if not store.exists(POLICY_FILE):
        return StorePolicy()
    return policy_from_toml(store.read(POLICY_FILE), store.uri(POLICY_FILE))


def policy_from_toml(content: bytes, where: str) -> StorePolicy:
    """Return the policy that a file says.

    Args:
        where: name of the file, for messages.

    Raises:
        SettingsError: it is invalid.
    """
    try:
        values = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where} is not TOML: {error}") from error
    return StorePolicy(**_checked(values, where))


def policy_to_toml(policy: StorePolicy) -> bytes:
    """Return the file of a policy."""
    # Strings, booleans and lists of strings are written alike in JSON and TOML.
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in asdict(policy).items()
        if value is not None and (name, value) != ("review", ())  # which earlier versions do not know
    ]
    return "\n".join([*lines, ""]).encode()


def _checked(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    known = [field.name for field in fields(StorePolicy)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; use {', '.join(known)}"
            raise SettingsError(f"{where} is invalid: unknown setting {name}{hint}")
    checked = dict(values)
    for name, value in values.items():
        if name == "allow_input":
            if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
                raise SettingsError(
                    f'{where} is invalid; write one list, such as allow_input = ["/data", "https://host/clips"]'
                )
            checked[name] = tuple(value)
        elif name == "review":
            if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
                raise SettingsError(
                    f'{where} is invalid; write one list, such as review = ["approve if identity >= 0.6", '
                    '"review otherwise"]'
                )
            checked[name] = tuple(" ".join(entry.split()) for entry in value)
        elif name == "label":
            if not isinstance(value, str) or not value.strip():
                raise SettingsError(
                    f'{where} is invalid: label is {value!r}; use a text, such as label = "ai-generated"'
                )
        elif not isinstance(value, bool):
            raise SettingsError(f"{where} is invalid: {name} is {value!r}; use true or false")
    return checked
