"""Sizes, times and versions that both ends of a link hold to.

hostd's end imports them. The HAT's end states those it needs, as it does the numbers of link.proto.
"""

PROTOCOL_MIN = 2  # version 1 had no seals
PROTOCOL_MAX = 2

MAX_PAYLOAD = 512  # bytes of one protobuf Frame
CRC_SIZE = 4
MAX_FRAME = 519  # on the wire, without the closing 0x00: payload, CRC and one COBS code byte in 254

SEAL_SIZE = 14  # at a frame's end: tag, length, number, 8 bytes of HMAC-SHA-256
SEAL_NUMBER_MAX = 0x3FFFFFFF  # the largest small integer of a HAT: a month at full rate, then the talk begins anew
NONCE_SIZE = 16
KEY_SIZE = 32

LOG_DATA_MAX = 448  # what fits into a LogRecord when every other field is at its longest
CONSOLE_DATA_MAX = 64  # of one ConsoleInput: a HAT holds one
UPDATE_DATA_MAX = 448  # of one UpdateData
REPLIES_KEPT = 8
REQUESTS_OUTSTANDING_MAX = 4  # fewer than REPLIES_KEPT, so that a repeat always finds its reply

HELLO_EVERY_MS = 1000
KEEPALIVE_EVERY_MS = 1000
LINK_LOST_AFTER_MS = 2500  # two keepalives may be lost; a pulled HAT is offline within 3 s
RESEND_AFTER_MS = 3000  # longer than hostd's slowest store-and-acknowledge period of 2 s

TELEMETRY_PERIOD_MIN_MS = 50
TELEMETRY_PERIOD_MAX_MS = 60000

TICK_MASK = 0x3FFFFFFF  # a HAT's milliseconds wrap at 2**30, the largest span of small integers

OFFSET_MAX = 0x1_0000_0000_0000  # of a boot log: beyond it is nonsense, and sums would leave the 64 bits
SEQUENCE_MAX = 0x8000_0000  # of events, likewise
LOST_BYTES_MAX = 0x100_0000_0000  # told by one record, likewise: 84 days at 1.5 Mbaud
