"""The virtual rack: Racklet's firmware on this computer's MicroPython, with modelled electronics and nodes."""
