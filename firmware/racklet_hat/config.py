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
NODE_BAUD = const(0)  # bits a second; 0 finds out, of NODE_BAUDS
NODE_BAUDS = (115_200, 921_600, 1_500_000)
UART_ENTRIES = const(4096)  # 27 ms at 1500000 baud: between two looks pass 13 ms when the link is busy
# Of UART1. RP2040 data sheet 4.2.8 and 2.5.3.1. An RP2350 has 0x40078000 and 31; that was not tried yet.
UART_BASE = const(0x40038000)
UART_RX_DREQ = const(23)

# First lines of boot loaders, in the order in which they may come in one boot: each behind its length, with \x01 for
# any character. The kernel's first line is none: `dmesg` prints it at any time.
BANNERS = (
    b"\x1b \x01\x01.\x01\x01 RPi: BOOTSYS release"  # Raspberry Pi 5, with seconds since its start
    b"\x14RPi: BOOTSYS release"
    b"\x1e \x01\x01.\x01\x01 RPi: BOOTLOADER release"
    b"\x17RPi: BOOTLOADER release"
    b"\x15Raspberry Pi Bootcode"  # up to Raspberry Pi 3
    b"\x05DDR V"  # Rockchip
    b"\x0dU-Boot TPL 20"
    b"\x0dU-Boot SPL 20"
    b"\x21NOTICE:  Booting Trusted Firmware"
    b"\x10NOTICE:  BL31: v"
    b"\x17UEFI firmware (version "
    b"\x09U-Boot 20"
    b"\x00"
)
LOG_RING_BYTES = const(64 * 1024)  # 5.6 s at 115200 baud, 430 ms at 1500000: 64512 bytes and 144 heads of 6
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
