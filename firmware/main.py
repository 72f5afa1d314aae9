"""Starts the firmware. MicroPython runs this file at every start of a HAT."""

import micropython

# Before the modules are loaded, which takes 0.3 s: hostd may be talking already, and a byte 3 in a frame is no Ctrl-C.
micropython.kbd_intr(-1)

from racklet_hat import app  # noqa: E402 - see above

app.main()
