"""The firmware on an emulated RP2040. All times are emulated; nothing depends on the computer's speed."""
