"""Starts the firmware. MicroPython runs this file at every start of a HAT."""

from racklet_hat import app

app.main()
