"""What the garbage collector goes over while hostd serves."""

from __future__ import annotations

import gc

from racklet_hostd.__main__ import keep_what_is_loaded


def test_a_collection_passes_over_what_is_loaded() -> None:
    try:
        keep_what_is_loaded()
        came_later = [object()]
        assert gc.get_freeze_count() > 10_000
        assert any(each is came_later for each in gc.get_objects())
        assert len(gc.get_objects()) < 1_000
    finally:
        gc.unfreeze()
