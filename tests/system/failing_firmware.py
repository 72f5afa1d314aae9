# ruff: noqa: ANN001, ANN201, ANN202, PTH116  MicroPython runs this, where there are neither types nor pathlib
"""The firmware with tasks that fail on demand: turn NAME raises while a file fail-NAME is there."""

import os

import micropython

micropython.kbd_intr(-1)  # first, as main.py does: a byte 3 of hostd's is no Ctrl-C

from racklet_hat import app  # noqa: E402 - see above


def failing(name, turn):
    def turn_or_fail(self):
        try:
            os.stat("fail-" + name)
        except OSError:
            return turn(self)
        raise ValueError("on demand")

    return turn_or_fail


app.App._turn_console = failing("console", app.App._turn_console)
app.App._turn_link = failing("link", app.App._turn_link)
app.App._turn_meter = failing("meter", app.App._turn_meter)
app.App._turn_lights = failing("lights", app.App._turn_lights)
app.main()
