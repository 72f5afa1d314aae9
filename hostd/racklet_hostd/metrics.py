"""What Prometheus reads. The only place with base units."""

from collections import Counter
from collections.abc import Iterator
from platform import python_version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from racklet_hostd.model import HatStanding, HatState, Measurement, SupplyState
from racklet_hostd.node import Node
from racklet_hostd.rack import Rack
from racklet_hostd.rack_budget import RackBudget

_MICRO = 1_000_000
_MILLI = 1_000
_LINK_ERRORS = ("cobs", "crc", "garbage", "malformed", "oversize", "seal", "unexpected")
_UART_ERRORS = ("break", "framing", "overrun", "parity")
_STATES = tuple((state, state.name.lower()) for state in SupplyState if state is not SupplyState.UNSPECIFIED)
_NODE = ("node",)


class Snapshot:
    """The rack's metrics at one moment, as prometheus_client's encoders take them; any thread may encode them.

    Of a HAT that is offline only counters are told: what was measured last is no longer true.
    """

    def __init__(self, rack: Rack) -> None:
        families = _Families()
        for node in rack.nodes:
            families.add(node)
        failures = CounterMetricFamily("racklet_store_failures", _FAILURES_HELP, labels=("reason",))
        for reason, count in sorted(rack.store_failures.items()):
            failures.add_metric((reason,), count)
        build = InfoMetricFamily("racklet_build", "The version of hostd.")
        build.add_metric((), {"version": rack.version, "python": python_version()})
        everything = (*families, failures, build, *_hat_metrics(rack), *_budget_metrics(rack.budget))
        self._metrics = [metric for metric in everything if metric.samples]

    def collect(self) -> list[Metric]:
        """Return the metrics that have samples."""
        return self._metrics


def _hat_metrics(rack: Rack) -> Iterator[Metric]:
    """Yield what is known of HATs, whether they have a node or not."""
    standings = Counter(seen.standing for seen in rack.hats.seen() if seen.slot)
    plugged = GaugeMetricFamily("racklet_hats_plugged", "HATs that are plugged in, by standing.", labels=("standing",))
    for standing in HatStanding:
        plugged.add_metric((standing.name.lower(),), standings[standing])
    yield plugged
    refusals = CounterMetricFamily("racklet_hat_refusals", _REFUSALS_HELP, labels=("slot",))
    for slot, count in rack.hats.refusals.items():
        refusals.add_metric((slot,), count)
    yield refusals


_REFUSALS_HELP = "Times somebody had the id of an adopted HAT and did not prove to be it, by slot."


def _budget_metrics(budget: RackBudget | None) -> Iterator[Metric]:
    """Yield the metrics of the power budget, if there is one."""
    if budget is None:
        return
    plan = budget.plan
    limit = "What the claims of all nodes together may come to."
    yield GaugeMetricFamily("racklet_power_budget_watts", limit, plan.rules.limit_mw / _MILLI)
    claimed = "What the nodes claim of the power budget."
    yield GaugeMetricFamily("racklet_power_claimed_watts", claimed, plan.reserved_mw / _MILLI)
    yield GaugeMetricFamily("racklet_power_queue_length", "Starts that wait for the power budget.", len(plan.queue))
    shed = CounterMetricFamily("racklet_power_shed", "Times a node was switched off to keep the budget.", labels=_NODE)
    for node, count in budget.shed_count.items():
        shed.add_metric((node,), count)
    yield shed


_FAILURES_HELP = "Times the disk did not take something, by reason."
_UART_HELP = "Characters of the console that came damaged, and times the HAT came too late to them, by kind."
_ERRORS_HELP = "Frames that were dropped, and stretches of 2048 bytes without a frame, by reason."


class _Families:
    """The metrics of nodes."""

    def __init__(self) -> None:
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        self._online = gauge("racklet_hat_online", "Whether the HAT talks.", labels=_NODE)
        self._volts = gauge("racklet_supply_volts", "Mean voltage over the telemetry period.", labels=_NODE)
        self._amperes = gauge("racklet_supply_amperes", "Mean current over the telemetry period.", labels=_NODE)
        self._watts = gauge("racklet_supply_watts", "Mean power over the telemetry period.", labels=_NODE)
        celsius = "Temperature of the HAT's power monitor."
        self._celsius = gauge("racklet_hat_temperature_celsius", celsius, labels=_NODE)
        state = "1 for the state the supply is in, 0 for the others."
        self._state = gauge("racklet_supply_state", state, labels=("node", "state"))
        self._hat = InfoMetricFamily("racklet_hat", "The HAT of the node, and the slot it is in.", labels=_NODE)
        self._joules = counter("racklet_energy_joules", "Energy the node took, over all restarts.", labels=_NODE)
        self._coulombs = counter("racklet_charge_coulombs", "Charge the node took, over all restarts.", labels=_NODE)
        self._boots = counter("racklet_boots", "Boots of the node that were recorded.", labels=_NODE)
        self._log = counter("racklet_boot_log_bytes", "Bytes of boot logs that were stored.", labels=_NODE)
        self._lost = counter("racklet_boot_log_lost_bytes", "Bytes of boot logs that are lost.", labels=_NODE)
        frames = "Good frames on the link, by direction as hostd sees it."
        self._frames = counter("racklet_link_frames", frames, labels=("node", "direction"))
        self._errors = counter("racklet_link_errors", _ERRORS_HELP, labels=("node", "reason"))
        self._uart = counter("racklet_uart_errors", _UART_HELP, labels=("node", "kind"))

    def __iter__(self) -> Iterator[Metric]:
        yield from vars(self).values()

    def add(self, node: Node) -> None:
        """Add the samples of one node."""
        label = (node.name,)
        is_online = node.hat.state is HatState.ONLINE
        self._online.add_metric(label, int(is_online))
        if is_online:
            for state, word in _STATES:
                self._state.add_metric((node.name, word), int(node.supply_state is state))
        if node.measurement is not None:
            self._add_measurement(label, node.measurement)
        if node.hat.hat_id:
            slot = node.port.name if is_online and node.port else ""
            about = {"hat_id": node.hat.hat_id, "slot": slot, "board": node.hat.board, "firmware": node.hat.firmware}
            self._hat.add_metric(label, about)
        totals = node.store.totals
        self._joules.add_metric(label, totals.energy_uj / _MICRO)
        self._coulombs.add_metric(label, totals.charge_uc / _MICRO)
        self._boots.add_metric(label, totals.boots)
        self._log.add_metric(label, totals.log_bytes)
        self._lost.add_metric(label, totals.log_lost_bytes)
        counters = node.link_counters
        self._frames.add_metric((node.name, "received"), counters.frames_received)
        self._frames.add_metric((node.name, "sent"), counters.frames_sent)
        for reason in _LINK_ERRORS:
            self._errors.add_metric((node.name, reason), counters.errors[reason])
        for kind in _UART_ERRORS:
            self._uart.add_metric((node.name, kind), node.log.uart_errors[kind])

    def _add_measurement(self, label: tuple[str], measured: Measurement) -> None:
        self._volts.add_metric(label, measured.supply_uv / _MICRO)
        self._amperes.add_metric(label, measured.supply_ua / _MICRO)
        self._watts.add_metric(label, measured.supply_uw / _MICRO)
        self._celsius.add_metric(label, measured.temperature_mc / _MILLI)
