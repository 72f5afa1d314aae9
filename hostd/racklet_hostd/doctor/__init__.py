"""The boot doctor: which phases a boot went through, and what in its log tells why it failed. Bytes and times in."""
