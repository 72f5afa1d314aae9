"""An emulated HAT: the RP2040 with the real MicroPython, in the electronics of the virtual rack."""
