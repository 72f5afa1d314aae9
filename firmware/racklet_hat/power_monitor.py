"""What every power monitor offers.

`configure()`, `sample()`, `sample_temperature()` and `take_energy_mj()`, each of which raises MonitorError when the
part does not answer or is another part; and the newest values in `supply_uv`, `supply_ua`, `supply_uw` and
`temperature_mc`. `racklet_hat.ina228` is one.
"""


class MonitorError(Exception):
    """The power monitor does not answer, or is not the part it should be."""
