"""What a run has to keep to: what its request asks for, and the policy of its store."""

from __future__ import annotations

from dataclasses import dataclass, field

from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.store.policy import StorePolicy

__all__ = ["RunPolicy"]


@dataclass(frozen=True)
class RunPolicy:
    """What a run has to keep to, read once for the run.

    Attributes:
        inputs: which inputs may be read.
        store: the policy of the store.
        require_consent: whether the request asks for permissions, as the policy of the store may do anyway.
        signer: key of the signer of the films; empty for none.
    """

    inputs: InputPolicy = PUBLIC
    store: StorePolicy = field(default_factory=StorePolicy)
    require_consent: bool = False
    signer: str = ""
