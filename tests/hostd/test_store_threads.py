"""The store goes on while a sync waits for the disk."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from racklet_hostd.store import Store
from tests.hostd.store_rig import begun_log, data_of, fill, opened, read_all

WINDOW_BYTES = 100_000  # as much as a HAT sends without an acknowledgement, and more


def test_appends_and_reads_go_on_during_syncs(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=20_000) as store, ThreadPoolExecutor(1) as disk:
        node = store.node("node-1")
        log = begun_log(node)
        data = b""
        syncing = disk.submit(sync_often, store, 60)
        while not syncing.done():
            if log.end - node.positions().log_offset < WINDOW_BYTES:
                data += fill(log, 4000)
            offset = max(0, len(data) - 9000)
            assert data_of(read_all(log, offset)) == data[offset:]
        syncing.result()
        assert data_of(read_all(log, max_bytes=60_000)) == data


def sync_often(store: Store, times: int) -> None:
    for _ in range(times):
        report = store.sync()
        assert not report.failures
        assert not report.index_problem
