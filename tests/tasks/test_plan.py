"""Shards: every order once, an identity's together, neither too many nor too small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.orders import MotionOrder, PortraitOrder, RenderOrder, TrackOrder
from tasks.plan import shards
from troupe import LARGEST, Job, Settings

MOTION = MotionOrder("m", TrackOrder("t", "c.mp4", 0.0, None, LARGEST))


def order(number: int, identity: int) -> RenderOrder:
    portrait = PortraitOrder(f"p{identity}", "p.png", LARGEST)
    return RenderOrder(f"r{number}", "run", Job(f"j{number}", "p.png", "c.mp4"), portrait, MOTION, Settings())


@given(identities=st.lists(st.integers(0, 60), max_size=300), most=st.integers(1, 20), enough=st.integers(1, 100))
def test_shards(identities: list[int], most: int, enough: int) -> None:
    orders = [order(number, identity) for number, identity in enumerate(identities)]
    groups = shards(orders, most=most, at_once=4, enough=enough)
    assert sorted(o.key for group in groups for o in group) == sorted(o.key for o in orders)
    assert all(groups)
    for identity in set(identities):
        assert sum(any(o.portrait.key == f"p{identity}" for o in group) for group in groups) == 1
    assert len(groups) <= most
    assert len(groups) <= max(4, len(orders) // enough)
    assert len(groups) >= min(most, len(set(identities)), 4)
