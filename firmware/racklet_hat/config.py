"""What a HAT is built from: pins, parts, and limits that no request can widen. Names are those of the board's nets."""

from racklet_link.kernels import const

BOARD = b"hat-a"
FIRMWARE = b"0.1.0"

# Pins of a Raspberry Pi Pico, by GPIO number.
NODE_UART = const(1)
NODE_TX = const(4)  # to the node's RXD, GPIO15
NODE_RX = const(5)  # from the node's TXD, GPIO14
GATE_SET = const(10)  # a pulse switches the supply on
GATE_CLEAR = const(11)  # a pulse switches it off
GATE_STATE = const(12)  # what the latch holds: 1 is on
ALERT = const(14)  # open drain of the monitor: low above the fast limit
POWER_GOOD = const(13)  # 1 while the rail is above 4.6 V
SOFT_OFF = const(15)  # open drain to the node's GPIO3: low asks it to shut down
IDENTIFY_LED = const(17)
NODE_HALTED = const(18)  # 1 when the node has halted
MONITOR_I2C = const(0)
MONITOR_SDA = const(20)
MONITOR_SCL = const(21)
STATUS_LED = const(25)
INPUT_ADC = const(26)  # the input voltage through 100 k over 10 k

I2C_HZ = const(400_000)
NODE_BAUD = const(115_200)
UART_RXBUF = const(512)  # 44 ms at 115200 baud: the console task comes every 5 ms
LOG_RING_BYTES = const(32 * 1024)  # 2.8 s at 115200 baud are 32256 bytes and 72 heads of 6
EVENTS_KEPT = const(16)

MONITOR_ADDRESS = const(0x40)
MONITOR_SHUNT_UOHM = const(10_000)
INPUT_UV_PER_COUNT = const(554)  # 3.3 V * 11 / 65535

SUPPLY_MV = const(5_100)

# What the hardware stands. SetLimits is refused beyond.
OVER_CURRENT_MAX_MA = const(6_000)
OVER_VOLTAGE_MAX_MV = const(5_500)
UNDER_VOLTAGE_MIN_MV = const(4_000)
OVER_TEMPERATURE_MAX_MC = const(100_000)
HOLD_MAX_MS = const(10_000)
