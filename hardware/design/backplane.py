"""The backplane, revision A: every part and every net, block by block. `hardware/README.md` has the reasons."""

from __future__ import annotations

from hardware.design.parts import Block, Design, Part, capacitor, flag, ic, resistor, test_point

SLOTS = 5
_SOCKET = "racklet:PinSocket_2x06_Vertical_RowNumbered"
# A slot's port: hub and its port number. Hub 2 hangs on port 4 of hub 1.
PORT_OF_SLOT = {1: ("U1", 1), 2: ("U1", 2), 3: ("U1", 3), 4: ("U2", 1), 5: ("U2", 2)}
_HUB_PINS = {1: ("7", "8"), 2: ("5", "6"), 3: ("3", "4"), 4: ("1", "2")}  # CH334R: DM, DP of each port


def _input() -> Block:
    return Block(
        "1  Power in, 12 to 24 V",
        (
            ic("J6", "Connector:Screw_Terminal_01x02", "12-24V", "1=GND 2=VIN",
               footprint="TerminalBlock_Phoenix:TerminalBlock_Phoenix_MKDS-3-2-5.08_1x02_P5.08mm_Horizontal",
               mpn="1711725"),
            ic("D1", "Device:D_TVS", "SMBJ24CA", "1=VIN 2=GND", footprint="Diode_SMD:D_SMB", mpn="SMBJ24CA",
               rotation=180),
            capacitor("C1", "10uF 50V", "VIN_AUX", size="1206"),
            ic("F6", "Device:Fuse", "3A 63V", "1=VIN 2=VIN_FUSED", rotation=90,
               footprint="Fuse:Fuse_1206_3216Metric", mpn="JFC1206-1300FS"),
            ic("D2", "Device:D_Schottky", "SS34", "1=VIN_AUX 2=VIN_FUSED", footprint="Diode_SMD:D_SMA", mpn="SS34",
               rotation=180),
            flag(1, "VIN"),
            flag(2, "GND"),
            flag(3, "VIN_AUX"),
        ),
        (
            "12.5 A at 12 V for five HATs: a terminal of 24 A, the bus as a pour on both sides.",
            "Reverse: the HATs block it themselves, D2 blocks it here; D1 conducts in neither direction at 24 V.",
            "The supply must limit itself (any brick does): the bus in front of the fuses has none.",
        ),
        height=64,
    )  # fmt: skip


def _standby() -> Block:
    nets = "1=5V_STBY 2=VIN_AUX 3=VIN_AUX 4=GND 5=SW 6=BST"
    return Block(
        "2  5 V standby, 2 A",
        (
            ic("U3", "Regulator_Switching:AP63205WU", "AP63205WU", nets, mpn="AP63205WU-7"),
            ic("L1", "Device:L", "6.8uH", "1=SW 2=5V_STBY", rotation=90,
               footprint="Inductor_SMD:L_Sunlord_SWPA5040S", mpn="SWPA5040S6R8MT"),
            capacitor("C2", "10uF 50V", "VIN_AUX", size="1206"),
            capacitor("C3", "100nF 50V", "VIN_AUX"),
            capacitor("C4", "100nF 50V", "BST", "SW"),
            capacitor("C5", "22uF 10V", "5V_STBY", size="0805"),
            capacitor("C6", "22uF 10V", "5V_STBY", size="0805"),
            resistor("R1", "1k", "5V_STBY", "STBY_LED"),
            ic("D3", "Device:LED", "GREEN", "1=GND 2=STBY_LED", footprint="LED_SMD:LED_0603_1608Metric",
               mpn="KT-0603G", rotation=180),
            flag(4, "5V_STBY"),
        ),
        (
            "3.8 to 32 V in, 40 V for 400 ms: above what D1 lets through (38.9 V).",
            "Five HATs 0.3 A, hubs 0.2 A, two 5 V fans 0.5 A: 1 A of 2 A. D3: standby is there.",
        ),
        height=64,
    )  # fmt: skip


def _slot(number: int) -> Block:
    grounds = " ".join(f"{pin}=GND" for pin in (5, 6, 10, 11, 12))
    usb, standby = f"USB_{number}", f"5V_STBY_{number}"
    nets = f"1=VIN_{number} 7=VIN_{number} 3={usb}_N 4={usb}_P 9={standby} {grounds}"
    return Block(
        f"{2 + number}  Slot {number}",
        (
            ic(f"J{number}", "Connector_Generic:Conn_02x06_Top_Bottom", f"SLOT {number}", nets, footprint=_SOCKET,
               mpn="PM254-2-06-Z-8.5"),
            ic(f"F{number}", "Device:Fuse", "7A 32V", f"1=VIN 2=VIN_{number}", rotation=90,
               footprint="Fuse:Fuse_1206_3216Metric", mpn="JFC1206-1700FS"),
            ic(f"F{10 + number}", "Device:Polyfuse", "0.5A", f"1=5V_STBY 2={standby}", rotation=90,
               footprint="Fuse:Fuse_1206_3216Metric", mpn="SMD1206P050TF"),
            ic(f"J{10 + number}", "Connector_Generic:Conn_01x04", f"USB {number}", f"2={usb}_N 3={usb}_P 4=GND",
               footprint="Connector_PinHeader_2.54mm:PinHeader_1x04_P2.54mm_Vertical", mpn="PZ254V-11-04P",
               fitted=False),
        ),
        (f"J{10 + number} only without the hubs.",),
        height=66,
    )  # fmt: skip


def _upstream() -> Block:
    socket = Part(
        "J7",
        "Connector:USB_C_Receptacle_USB2.0_16P",
        "USB",
        {"A6": "USB_UP_P", "B6": "USB_UP_P", "A7": "USB_UP_N", "B7": "USB_UP_N", "A5": "CC1", "B5": "CC2",
         "A4": "USB_VBUS", "A9": "USB_VBUS", "B4": "USB_VBUS", "B9": "USB_VBUS", "A1": "GND", "A12": "GND",
         "B1": "GND", "B12": "GND", "S1": "GND"},
        "Connector_USB:USB_C_Receptacle_GCT_USB4105-xx-A_16P_TopMnt_Horizontal",
        "USB4105-GF-A",
    )  # fmt: skip
    return Block(
        "8  USB to the controller",
        (
            socket,
            resistor("R2", "5k1", "CC1", "GND"),
            resistor("R3", "5k1", "CC2", "GND"),
            ic("U4", "Power_Protection:USBLC6-2SC6", "USBLC6-2SC6",
               "1=USB_UP_N 6=USB_HUB_N 3=USB_UP_P 4=USB_HUB_P 5=ESD_STORE 2=GND", mpn="USBLC6-2SC6"),
            capacitor("C7", "100nF", "ESD_STORE", size="0402"),
        ),
        (
            "High speed to hub 1. VBUS goes nowhere: neither",
            "side powers the other. C7 takes what U4 catches.",
        ),
        height=66,
    )  # fmt: skip


def _hub(block: int, ref: str, upstream: str, ports: dict[int, str], crystal: str, first: int) -> Block:
    letter = ref[1:]
    nets = {"10": f"{upstream}_N", "11": f"{upstream}_P", "12": "5V_STBY", "13": f"HUB{letter}_3V3", "14": "GND",
            "15": f"HUB{letter}_XO", "16": f"HUB{letter}_XI"}  # fmt: skip
    for port, net in ports.items():
        minus, plus = _HUB_PINS[port]
        nets |= {minus: f"{net}_N", plus: f"{net}_P"}
    shown = ", ".join(
        f"{port}: {net.replace('USB_LINK', 'hub 2').replace('USB_', 'slot ')}" for port, net in sorted(ports.items())
    )
    spare = [Part(f"C{first + 3 + place}", "Device:C", "15pF", {"1": f"HUB{letter}_{pin}", "2": "GND"},
                  "Capacitor_SMD:C_0402_1005Metric", "CL05C150JB5NNNC", rotation=90, fitted=False)
             for place, pin in enumerate(("XI", "XO"))]  # fmt: skip
    return Block(
        f"{block}  USB hub {letter}",
        (
            Part(ref, "Interface_USB:CH334R", "CH334R", nets, mpn="CH334R"),
            ic(crystal, "Device:Crystal_GND24", "12MHz", f"1=HUB{letter}_XI 2=GND 3=HUB{letter}_XO 4=GND",
               mpn="X322512MSB4SI", footprint="Crystal:Crystal_SMD_3225-4Pin_3.2x2.5mm"),
            capacitor(f"C{first}", "1uF", "5V_STBY", size="0402"),
            capacitor(f"C{first + 1}", "1uF", f"HUB{letter}_3V3", size="0402"),
            capacitor(f"C{first + 2}", "100nF", f"HUB{letter}_3V3", size="0402"),
            *spare,
        ),
        (f"Ports {shown}.", "The chip has the crystal's capacitors inside; places for more."),
        height=66,
    )  # fmt: skip


def _fans() -> Block:
    fan, body = "Motor:Fan_4pin", "Connector:FanPinHeader_1x04_P2.54mm_Vertical"
    return Block(
        "11  Fans and controller",
        (
            ic("J10", "Connector_Generic:Conn_02x04_Odd_Even", "CONTROLLER",
               "1=VIN_AUX 2=GND 3=5V_STBY 4=GND 5=FAN_SLOW 7=FAN1_SPEED 8=FAN2_SPEED",
               footprint="Connector_PinHeader_2.54mm:PinHeader_2x04_P2.54mm_Vertical", mpn="PZ254V-12-08P"),
            ic("JP1", "Connector_Generic:Conn_01x03", "FAN VIN/5V", "1=VIN_AUX 2=FAN_IN 3=5V_STBY",
               footprint="Connector_PinHeader_2.54mm:PinHeader_1x03_P2.54mm_Vertical", mpn="PZ254V-11-03P"),
            ic("F7", "Device:Polyfuse", "0.75A 33V", "1=FAN_IN 2=FAN_V", rotation=90,
               footprint="Fuse:Fuse_1812_4532Metric", mpn="SMD1812P075TF/33"),
            ic("J8", fan, "FAN 1", "1=GND 2=FAN_V 3=FAN1_TACHO 4=FAN_PWM", footprint=body, mpn="2510-04"),
            ic("J9", fan, "FAN 2", "1=GND 2=FAN_V 3=FAN2_TACHO 4=FAN_PWM", footprint=body, mpn="2510-04"),
            resistor("R4", "1k", "FAN1_TACHO", "FAN1_SPEED"),
            resistor("R5", "1k", "FAN2_TACHO", "FAN2_SPEED"),
            ic("Q1", "Transistor_FET:2N7002", "2N7002", "1=FAN_SLOW 2=GND 3=FAN_PWM", mpn="2N7002,215"),
            resistor("R6", "10k", "FAN_SLOW", "GND"),
            *[ic(f"H{number}", "Mechanical:MountingHole_Pad", "M3", "1=GND", listed=False,
                 footprint="MountingHole:MountingHole_3.2mm_M3_Pad") for number in range(1, 7)],
            *[test_point(number, net) for number, net in enumerate(TEST_POINTS, 1)],
        ),
        (
            "JP1: fans of the input's voltage (12 V fans only with a 12 V supply), or 5 V fans.",
            "FAN_SLOW high slows the fans down; without a controller they run at full speed.",
            "J10 feeds a controller with 2 A from VIN_AUX or 0.5 A from standby.",
        ),
        height=84,
    )  # fmt: skip


TEST_POINTS = ("VIN", "VIN_AUX", "5V_STBY", "GND", "FAN_V", "HUB1_3V3", "HUB2_3V3")

DESIGN = Design(
    name="backplane",
    title="Racklet backplane",
    revision="A",
    date="2026-11-28",
    paper=("A3", 420.0, 297.0),
    blocks=(
        _input(),
        _standby(),
        *[_slot(number) for number in range(1, SLOTS + 1)],
        _upstream(),
        _hub(9, "U1", "USB_HUB", {1: "USB_1", 2: "USB_2", 3: "USB_3", 4: "USB_LINK"}, "Y1", 10),
        _hub(10, "U2", "USB_LINK", {1: "USB_4", 2: "USB_5"}, "Y2", 20),
        _fans(),
    ),
    wide=("VIN", *[f"VIN_{number}" for number in range(1, SLOTS + 1)], "VIN_FUSED", "VIN_AUX", "SW", "5V_STBY"),
)
