"""HATs: new ones, adopted, moved, swapped, replaced, forgotten, and what is none: what docs/hotswap.md promises."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from racklet.v1 import rack_pb2
from racklet_hostd.store import Adoption, Store, StoreLimits
from tests.hostd.pty_hat import PtyHat
from tests.hostd.rig import KEY, TIMEOUT_S, Rig, running_rack, until
from tests.hostd.switching_hat import audit_of, events_of

OTHER_KEY = b"o" * 32
UNADOPTED, ADOPTED = rack_pb2.HAT_STANDING_UNADOPTED, rack_pb2.HAT_STANDING_ADOPTED
FOREIGN, REFUSED = rack_pb2.HAT_STANDING_FOREIGN, rack_pb2.HAT_STANDING_REFUSED
TWO = ("node-1", "node-2")


def by_command(folder: Path) -> dict[str, object]:
    """The section of a rack where HATs are adopted by command, and found in any slot."""
    return {"rack": {"ports": [str(folder / "ports" / "*")], "adopt": "command"}}


def resource(hat: PtyHat) -> str:
    return f"hats/{hat.hat_id.hex()}"


async def hats_of(rig: Rig) -> list[rack_pb2.SeenHat]:
    return list((await rig.rack.ListHats(rack_pb2.ListHatsRequest())).hats)


async def until_hat(rig: Rig, hat: PtyHat, standing: int, slot: str | None = None) -> rack_pb2.SeenHat:
    """Return the HAT as soon as it stands so, in this slot if one is named."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            for seen in await hats_of(rig):
                if (seen.name, seen.standing) == (resource(hat), standing) and slot in {None, seen.slot}:
                    return seen
            await asyncio.sleep(0.01)


async def adopt(rig: Rig, hat: PtyHat, node: str = "node-1", *, replace: bool = False) -> rack_pb2.SeenHat:
    request = rack_pb2.AdoptHatRequest(name=resource(hat), node=f"nodes/{node}", replace=replace)
    return (await rig.rack.AdoptHat(request)).hat


async def refusal_of(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value.code(), caught.value.details() or ""


def new_hat(folder: Path, slot: str, number: int = 77, key: bytes = b"") -> PtyHat:
    hat = PtyHat(folder / "ports" / slot, 100 * number, bytes([number]) * 8)
    hat.have_key(key)
    return hat


async def test_a_new_hat_is_listed_and_blinks_and_does_nothing_else(tmp_path: Path) -> None:
    hat = new_hat(tmp_path, "node-1")
    async with running_rack(tmp_path, hats={}, **by_command(tmp_path)) as rig:
        with hat:
            hat.boot()
            hat.say(b"what nobody is to keep\n")
            seen = await until_hat(rig, hat, UNADOPTED)
            assert (seen.slot, seen.node, seen.board, seen.firmware) == ("node-1", "", "hat-a", "0.1.0")
            await rig.rack.IdentifyHat(rack_pb2.IdentifyHatRequest(name=resource(hat)))
            assert hat.identified == [10_000]
            power = rack_pb2.SetPowerRequest(name="nodes/node-1", action=rack_pb2.POWER_ACTION_ON)
            code, words = await refusal_of(rig.rack.SetPower(power))
            assert code is grpc.StatusCode.UNAVAILABLE
            assert f"the HAT {hat.hat_id.hex()} at {hat.port} is not adopted" in words
            assert hat.power_requests == []
            assert (await rig.node()).log_end == 0
            assert not hat.all_acknowledged


async def test_an_adopted_hat_is_served_with_what_it_had_kept_of_the_console(tmp_path: Path) -> None:
    hat = new_hat(tmp_path, "node-1")
    async with running_rack(tmp_path, hats={}, **by_command(tmp_path)) as rig:
        with hat:
            hat.boot()
            hat.say(b"from the first byte\n")
            await until_hat(rig, hat, UNADOPTED)
            await adopt(rig, hat)
            node = await rig.until_node(lambda node: node.last_line == "from the first byte")
            assert node.hat.state == rack_pb2.HAT_STATE_ONLINE
            assert (await until_hat(rig, hat, ADOPTED)).node == "nodes/node-1"
            await adopt(rig, hat)  # again: nothing happens
            kinds = [kind for node, kind, _ in await events_of(rig) if "hat" in kind]
            assert kinds == ["hat_unadopted", "hat_adopted", "hat_online"]
            asked = [entry for entry in await audit_of(rig) if entry.method == "AdoptHat"]
            assert [entry.kind for entry in asked] == ["asked", "ended", "asked", "ended"]
            assert len(hat.key) == 32


async def test_an_adoption_outlasts_hostd_and_its_key_is_for_the_owner_only(tmp_path: Path) -> None:
    hat = new_hat(tmp_path, "node-1")
    with hat:
        for turn in range(2):
            async with running_rack(tmp_path, hats={}, **by_command(tmp_path)) as rig:
                if turn == 0:
                    await until_hat(rig, hat, UNADOPTED)
                    await adopt(rig, hat)
                await rig.until_online("node-1")
    for path in (tmp_path / "state").glob("index.sqlite3*"):
        assert path.stat().st_mode & 0o077 == 0


async def test_a_hat_that_is_moved_while_it_runs_takes_its_node_along(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **by_command(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        hat.boot()
        hat.say(b"before\n")
        await rig.until_node(lambda node: node.last_line == "before")
        hat.unplug()
        hat.port = tmp_path / "ports" / "somewhere-else"
        hat.plug()
        seen = await until_hat(rig, hat, ADOPTED, "somewhere-else")
        hat.say(b"after\n")
        node = await rig.until_node(lambda node: node.last_line == "after")
        assert (seen.node, node.hat.port) == ("nodes/node-1", str(hat.port))
        assert node.boot == "nodes/node-1/boots/1"
        assert node.log_end == len(b"before\nafter\n")
        hat.unplug()
        await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)


async def test_two_hats_that_are_swapped_while_they_run_keep_their_nodes(tmp_path: Path) -> None:
    async with running_rack(tmp_path, TWO, **by_command(tmp_path)) as rig:
        first, second = (rig.hats[name] for name in TWO)
        for hat, word in ((first, b"one"), (second, b"two")):
            hat.boot()
            hat.say(word + b" before\n")
        for name, word in zip(TWO, ("one", "two"), strict=True):
            await rig.until_node(lambda node, word=word: node.last_line == f"{word} before", name)
        energy = [(await rig.node(name)).energy_uj for name in TWO]
        first.unplug()
        second.unplug()
        first.port, second.port = second.port, first.port
        first.restart()  # right after its MCU's reset: the worst case
        first.plug()
        second.plug()
        await until_hat(rig, first, ADOPTED, "node-2")
        await until_hat(rig, second, ADOPTED, "node-1")
        first.say(b"one after\n")
        second.say(b"two after\n")
        for name, word in zip(TWO, ("one", "two"), strict=True):
            node = await rig.until_node(lambda node, word=word: node.last_line == f"{word} after", name)
            assert node.boot == f"nodes/{name}/boots/1"
        logs = [rig.daemon.rack.node(name).store.newest for name in TWO]
        texts = [b"".join(getattr(piece, "data", b"") for piece in log.read(0, 1000)) for log in logs if log]
        assert texts == [b"one before\none after\n", b"two before\ntwo after\n"]
        assert [(await rig.node(name)).energy_uj for name in TWO] >= energy


async def test_a_hat_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    spare = new_hat(tmp_path, "bench")
    async with running_rack(tmp_path, **by_command(tmp_path)) as rig:
        broken = rig.hats["node-1"]
        broken.boot()
        broken.say(b"old\n")
        await rig.until_node(lambda node: node.last_line == "old")
        with spare:
            await until_hat(rig, spare, UNADOPTED)
            code, words = await refusal_of(adopt(rig, spare))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert words.endswith(f"node-1 has the HAT {broken.hat_id.hex()}; with --replace this one takes its place")
            await adopt(rig, spare, replace=True)
            spare.boot()
            spare.say(b"new\n")
            node = await rig.until_node(lambda node: node.last_line == "new")
            assert node.boot == "nodes/node-1/boots/2"
            await until_hat(rig, broken, FOREIGN)
            broken.say(b"nobody hears this\n")
            assert (await rig.node()).last_line == "new"


async def test_a_hat_is_given_to_another_node_without_another_key(tmp_path: Path) -> None:
    async with running_rack(tmp_path, TWO, **by_command(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        rig.hats["node-2"].unplug()
        await adopt(rig, hat, "node-2", replace=True)
        await rig.until_online("node-2")
        assert hat.key == KEY
        assert (await rig.node("node-2")).hat.hat_id == hat.hat_id.hex()
        node = await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        assert node.hat.hat_id == hat.hat_id.hex()
        listed = {(seen.name, seen.node) for seen in await hats_of(rig)}
        assert listed == {(resource(hat), "nodes/node-2")}


async def test_a_rogue_with_a_copied_id_is_refused_and_disturbs_nobody(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **by_command(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        rogue = new_hat(tmp_path, "evil", hat.hat_id[0], OTHER_KEY)
        rogue.hat_id = hat.hat_id
        with rogue:
            rogue.boot()
            rogue.say(b"lies\n")
            seen = await until_hat(rig, rogue, REFUSED, "evil")
            assert "has the id of node-1's HAT and does not prove to have its key" in seen.problem
            hat.boot()
            hat.say(b"truth\n")
            await rig.until_node(lambda node: node.last_line == "truth")
            told = [(node, message) for node, kind, message in await events_of(rig) if kind == "hat_refused"]
            assert len(told) == 1
            assert told[0][0] == "node-1"
            assert rig.daemon.rack.hats.refusals["evil"] == 1
            assert (await rig.node()).boot == "nodes/node-1/boots/1"
            assert (await adopt(rig, rogue, replace=True)).slot == "node-1"  # the HAT that has proved itself stays it
            assert rogue.key == OTHER_KEY


async def test_a_rogue_in_the_place_of_the_hat_takes_nothing_over(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **by_command(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        hat.unplug()
        for key in (OTHER_KEY, b""):
            rogue = new_hat(tmp_path, "node-1", hat.hat_id[0], key)
            rogue.hat_id = hat.hat_id
            with rogue:
                rogue.boot()
                rogue.say(b"lies\n")
                seen = await until_hat(rig, rogue, REFUSED)
                assert "prove" in seen.problem or "lost its key" in seen.problem
                node = await rig.node()
                assert node.hat.state == rack_pb2.HAT_STATE_OFFLINE
                assert "is refused" in node.hat.problem
                assert node.log_end == 0
        hat.plug()
        await rig.until_online()


async def test_a_hat_that_was_reset_gets_another_key_when_that_is_said(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **by_command(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        hat.key = b""
        hat.restart()
        await until_hat(rig, hat, REFUSED)
        code, words = await refusal_of(adopt(rig, hat))
        assert (code, "--replace" in words) == (grpc.StatusCode.FAILED_PRECONDITION, True)
        await adopt(rig, hat, replace=True)
        await until(lambda: hat.key not in {b"", KEY})
        await rig.until_online()


async def test_a_foreign_hat_is_not_adopted(tmp_path: Path) -> None:
    hat = new_hat(tmp_path, "node-1", key=OTHER_KEY)
    async with running_rack(tmp_path, hats={}, **by_command(tmp_path)) as rig:
        with hat:
            await until_hat(rig, hat, FOREIGN)
            code, words = await refusal_of(adopt(rig, hat))
            assert (code, "factory state" in words) == (grpc.StatusCode.FAILED_PRECONDITION, True)
            identify = rack_pb2.IdentifyHatRequest(name=resource(hat))
            assert (await refusal_of(rig.rack.IdentifyHat(identify)))[0] is grpc.StatusCode.FAILED_PRECONDITION
            assert hat.identified == []


async def test_a_forgotten_hat_has_no_key_and_can_be_adopted_again(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **by_command(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        response = await rig.rack.ForgetHat(rack_pb2.ForgetHatRequest(name=resource(hat)))
        assert response.key_forgotten
        assert hat.key == b""
        await until_hat(rig, hat, UNADOPTED)
        await adopt(rig, hat)
        await rig.until_online()


async def test_a_hat_that_is_away_is_forgotten_here_and_holds_its_key(tmp_path: Path) -> None:
    async with running_rack(tmp_path, **by_command(tmp_path)) as rig:
        hat = rig.hats["node-1"]
        hat.unplug()
        await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        (away,) = [seen for seen in await hats_of(rig) if seen.standing == ADOPTED and not seen.slot]
        assert (away.node, away.problem) == ("nodes/node-1", "it is not plugged in")
        response = await rig.rack.ForgetHat(rack_pb2.ForgetHatRequest(name=resource(hat)))
        assert not response.key_forgotten
        hat.plug()
        await until_hat(rig, hat, FOREIGN)


async def test_first_use_adopts_only_for_a_node_that_has_no_hat(tmp_path: Path) -> None:
    first, second = new_hat(tmp_path, "node-1", 1), new_hat(tmp_path, "node-1", 2)
    async with running_rack(tmp_path, hats={}) as rig:  # which adopts at first use
        with first:
            await rig.until_online("node-1")
        await rig.until_node(lambda node: node.hat.state == rack_pb2.HAT_STATE_OFFLINE)
        with second:
            await until_hat(rig, second, UNADOPTED)
            node = await rig.node()
            assert node.hat.state == rack_pb2.HAT_STATE_OFFLINE
            assert second.key == b""


async def test_a_hat_of_a_node_that_the_config_lost_is_told_and_not_served(tmp_path: Path) -> None:
    hat = new_hat(tmp_path, "node-1", key=KEY)
    with closing(Store.open(tmp_path / "state", StoreLimits())) as store:
        store.adoptions.adopt(Adoption(hat.hat_id, "gone", KEY, 0, "test"))
    async with running_rack(tmp_path, (), hats={}, **by_command(tmp_path)) as rig:
        with hat:
            seen = await until_hat(rig, hat, ADOPTED, "node-1")
            assert seen.problem == "it is adopted for gone, which is not in the config"


@pytest.mark.parametrize(
    "name", ["", "hats/", "hats/xyz", "hats/ABCD", "nodes/node-1", "hats/" + "00" * 17, "hats/../x"]
)
async def test_a_name_that_is_none_is_refused_with_its_field(tmp_path: Path, name: str) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        code, words = await refusal_of(rig.rack.GetHat(rack_pb2.GetHatRequest(name=name)))
        assert (code, words.startswith("name: expected hats/ID")) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_who_is_not_there_is_not_found(tmp_path: Path) -> None:
    async with running_rack(tmp_path, hats={}) as rig:
        unknown = rack_pb2.AdoptHatRequest(name="hats/abcd", node="nodes/node-1")
        assert (await refusal_of(rig.rack.AdoptHat(unknown)))[0] is grpc.StatusCode.NOT_FOUND
        unknown = rack_pb2.AdoptHatRequest(name="hats/abcd", node="nodes/no-such")
        assert "there is no node no-such" in (await refusal_of(rig.rack.AdoptHat(unknown)))[1]
        nobody = rack_pb2.AdoptHatRequest(name="hats/abcd")
        assert (await refusal_of(rig.rack.AdoptHat(nobody)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_hats_come_in_pages(tmp_path: Path) -> None:
    hats = [new_hat(tmp_path, f"slot-{number}", number) for number in (1, 2, 3)]
    async with running_rack(tmp_path, hats={}, **by_command(tmp_path)) as rig:
        for hat in hats:
            hat.plug()
        try:
            for hat in hats:
                await until_hat(rig, hat, UNADOPTED)
            names, token = [], ""
            while True:
                page = await rig.rack.ListHats(rack_pb2.ListHatsRequest(page_size=2, page_token=token))
                names += [seen.name for seen in page.hats]
                token = page.next_page_token
                if not token:
                    break
            assert names == [resource(hat) for hat in hats]
        finally:
            for hat in hats:
                hat.unplug()
        await until(lambda: len(list(rig.daemon.rack.slots)) == 1)  # that of the config stays
