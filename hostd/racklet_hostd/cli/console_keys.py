"""What the escape key of a console leads to, besides the way out."""

from racklet.v1 import rack_pb2
from racklet_client.errors import RackError
from racklet_client.names import short_name
from racklet_client.rack import Rack
from racklet_hostd.cli import units
from racklet_hostd.cli.raw_terminal import KeyAction
from racklet_hostd.cli.tables import supply_word

HINT = "Ctrl-] q leaves, Ctrl-] ? helps."
HELP = """\
after Ctrl-]:
  q leaves                  w tells who is here       t takes over the typing
  o switches on             s shuts down, then cuts   i blinks the HAT's LED
  f cuts at once            c cuts and switches on    (o, s, f and c ask first)
  Ctrl-] types one Ctrl-]   ? shows this              any other key is typed with it"""
_DEEDS = {
    KeyAction.POWER_ON: ("switch on {}", rack_pb2.POWER_ACTION_ON),
    KeyAction.SHUT_DOWN: ("shut down {} and switch it off", rack_pb2.POWER_ACTION_OFF),
    KeyAction.FORCE_OFF: ("cut the supply of {} at once", rack_pb2.POWER_ACTION_FORCE_OFF),
    KeyAction.CYCLE: ("cut the supply of {} at once, and switch it on again", rack_pb2.POWER_ACTION_CYCLE),
}
_BLINK_S = 10


def question(action: KeyAction, node: str) -> str:
    """Return what is asked before the supply is moved."""
    return f"{_DEEDS[action][0].format(short_name(node))}? y does it, any other key does not"


async def carry_out(rack: Rack, node: str, action: KeyAction) -> str:
    """Move the supply, or blink the LED; return in a sentence what came of it. Never raises RackError."""
    name = short_name(node)
    try:
        if action is KeyAction.IDENTIFY:
            await rack.identify(node, _BLINK_S)
            return f"{name} blinks for {_BLINK_S} s"
        done = await rack.set_power(rack_pb2.SetPowerRequest(name=node, action=_DEEDS[action][1]))
    except RackError as error:
        return str(error)
    took = units.short_span(done.duration.ToMilliseconds())
    return f"{name} is {supply_word(done.supply_state)} at {units.volts(done.supply_uv)} V after {took}"
