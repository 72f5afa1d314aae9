"""`just flash`: puts the firmware on a HAT, by mpremote's way to MicroPython."""
