"""`troupe store policy`, and the audit log of its changes."""

from __future__ import annotations

import json

from tests.flows.cli.conftest import troupe


def test_a_policy_is_shown_as_what_it_means(delivered: str) -> None:
    at = ("--store", delivered)
    shown = dict(line.split("\t") for line in troupe("store", "policy", *at).stdout.splitlines())
    assert shown["watermark"] == "false (not required; every video has it unless its job says off)"
    assert troupe("store", "policy", "watermark=true", *at).exit_code == 0
    shown = dict(line.split("\t") for line in troupe("store", "policy", *at).stdout.splitlines())
    assert shown["watermark"] == "true"
    assert json.loads(troupe("store", "policy", "--json", *at).stdout)["watermark"] is True
    assert troupe("catalog", "audit", *at).stdout.splitlines()[0].split("\t")[1] == "time (UTC)"
