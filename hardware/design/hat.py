"""The HAT, revision A: every part and every net, block by block. `hardware/README.md` has the reasons."""

from __future__ import annotations

from hardware.design.parts import Block, Design, Part, capacitor, flag, ic, resistor, test_point
from hardware.design.symbols import pins

_MCU = "MCU_RaspberryPi:RP2040"
_NMOS_FOOTPRINT = "Package_TO_SOT_SMD:SOT-23"
_POWERPAK = "Package_SO:Vishay_PowerPAK_1212-8_Single"

# The firmware's pins (firmware/racklet_hat/config.py), by GPIO number.
MCU_GPIO = {
    4: "NODE_TX",
    5: "NODE_RX",
    10: "GATE_SET",
    11: "GATE_CLEAR",
    12: "GATE_STATE",
    13: "POWER_GOOD",
    14: "ALERT",
    15: "SOFT_OFF",
    17: "IDENTIFY_LED",
    18: "NODE_HALTED",
    20: "MONITOR_SDA",
    21: "MONITOR_SCL",
    25: "STATUS_LED",
    26: "INPUT_ADC",
}
_MCU_OTHER = {
    "USB_DM": "USB_N",
    "USB_DP": "USB_P",
    "RUN": "RUN",
    "SWCLK": "SWCLK",
    "SWDIO": "SWDIO",
    "XIN": "XIN",
    "XOUT": "XOUT",
    "QSPI_SS": "QSPI_SS",
    "QSPI_SCLK": "QSPI_SCLK",
    "QSPI_SD0": "QSPI_SD0",
    "QSPI_SD1": "QSPI_SD1",
    "QSPI_SD2": "QSPI_SD2",
    "QSPI_SD3": "QSPI_SD3",
    "IOVDD": "+3V3",
    "USB_VDD": "+3V3",
    "ADC_AVDD": "+3V3",
    "VREG_VIN": "+3V3",
    "VREG_VOUT": "DVDD",
    "DVDD": "DVDD",
    "GND": "GND",
    "TESTEN": "GND",
}


def _signal_fet(ref: str, gate: str, drain: str, source: str = "GND", name: str = "2N7002") -> Part:
    mpn = {"2N7002": "2N7002,215", "BSS138": "BSS138LT1G"}[name]
    return ic(ref, f"Transistor_FET:{name}", name, f"1={gate} 2={source} 3={drain}", mpn=mpn)


def _power_fet(ref: str, gate: str, drain: str, source: str) -> Part:
    nets = f"1={source} 2={source} 3={source} 4={gate} 5={drain}"
    return ic(ref, "Transistor_FET:CSD17577Q3A", "CSD17577Q3A", nets, mpn="CSD17577Q3A")


def _diode(ref: str, value: str, cathode: str, anode: str, kind: str = "Zener") -> Part:
    footprint, mpn = {
        "BZT52C12": ("Diode_SMD:D_SOD-123", "BZT52C12-7-F"),
        "BZT52C15": ("Diode_SMD:D_SOD-123", "BZT52C15-7-F"),
        "SMBJ24A": ("Diode_SMD:D_SMB", "SMBJ24A"),
        "SMAJ5.0A": ("Diode_SMD:D_SMA", "SMAJ5.0A"),
        "BAT54WS": ("Diode_SMD:D_SOD-323", "BAT54WS-7-F"),
    }[value]
    return ic(ref, f"Device:D_{kind}", value, f"1={cathode} 2={anode}", footprint=footprint, mpn=mpn, rotation=180)


def _backplane() -> Block:
    grounds = " ".join(f"{pin}=GND" for pin in (5, 6, 10, 11, 12))
    header = ic(
        "J2",
        "Connector_Generic:Conn_02x06_Top_Bottom",
        "BACKPLANE",
        f"1=VIN 7=VIN 3=USB_BP_N 4=USB_BP_P 9=5V_STBY_IN {grounds}",
        footprint="racklet:PinHeader_2x06_Horizontal_RowNumbered",
        mpn="PH2RA-12-UA",
    )
    esd = "1=USB_BP_P 6=USB_ESD_P 3=USB_BP_N 4=USB_ESD_N 5=5V_STBY 2=GND"
    return Block(
        "1  Backplane header, USB full speed",
        (
            header,
            ic("U8", "Power_Protection:USBLC6-2SC6", "USBLC6-2SC6", esd, mpn="USBLC6-2SC6"),
            resistor("R1", "27R", "USB_ESD_P", "USB_P"),
            resistor("R2", "27R", "USB_ESD_N", "USB_N"),
            flag(1, "VIN_PROT"),
            flag(2, "GND"),
        ),
        (
            "Pins as every Racklet: 1, 7 = +12 V (12 to 24 V); 2, 8 = +5 V bus, not used here;",
            "3 = USB D-; 4 = USB D+; 9 = +5 V standby; 5, 6, 10, 11, 12 = GND.",
            "Pin 7 faces pin 1. U8 passes each line from pin to pin, so ESD currents end at it.",
        ),
        height=66,
    )


def _input() -> Block:
    reverse = "1=VIN_PROT 2=VIN_PROT 3=VIN_PROT 4=Q1_GATE 5=VIN_FUSED"
    return Block(
        "2  Input: fuse, reverse polarity, surge",
        (
            ic(
                "F1",
                "Device:Fuse",
                "5A 63V",
                "1=VIN 2=VIN_FUSED",
                rotation=90,
                footprint="Fuse:Fuse_1206_3216Metric",
                mpn="0685F5000-01",
            ),
            ic("Q1", "Transistor_FET:SiS443DN", "SiS443DN", reverse, mpn="SIS443DN-T1-GE3"),
            resistor("R3", "100k", "Q1_GATE", "GND"),
            _diode("D1", "BZT52C12", "VIN_PROT", "Q1_GATE"),
            _diode("D2", "SMBJ24A", "VIN_PROT", "GND"),
            ic(
                "C1",
                "Device:C_Polarized",
                "100uF 35V",
                "1=VIN_PROT 2=GND",
                rotation=90,
                footprint="Capacitor_SMD:CP_Elec_6.3x7.7",
                mpn="EEEFK1V101XP",
            ),
            resistor("R4", "100k", "VIN_PROT", "INPUT_ADC"),
            resistor("R5", "10k", "INPUT_ADC", "GND"),
            capacitor("C2", "100nF 50V", "INPUT_ADC"),
        ),
        (
            "Reverse: Q1 blocks (40 V), no current. Surge: D2 holds 38.9 V at 15 A, U1 stands 42 V.",
            "Short behind F1: it opens. 26 W at 9 V and 88 % are 3.3 A: F1 runs at 66 %.",
            "C1 damps the ringing of the cable at hot-plug. INPUT_ADC = VIN_PROT / 11.",
        ),
        height=58,
    )


def _buck() -> Block:
    nets = "1=BST 2=VIN_PROT 3=BUCK_EN 4=BUCK_RT 5=BUCK_FB 6=BUCK_SS 7=GND 8=SW 9=GND"
    return Block(
        "3  Buck: 9 to 26 V to 5.2 V, 5 A",
        (
            ic("U1", "racklet:AP64502", "AP64502", nets, mpn="AP64502QSP-13"),
            ic(
                "L1",
                "Device:L",
                "6.8uH",
                "1=SW 2=5V_BUCK",
                rotation=90,
                footprint="Inductor_SMD:L_Sunlord_MWSA1004S",
                mpn="MWSA1004S-6R8MT",
            ),
            capacitor("C3", "10uF 50V", "VIN_PROT", size="1206"),
            capacitor("C4", "10uF 50V", "VIN_PROT", size="1206"),
            capacitor("C5", "100nF 50V", "VIN_PROT"),
            capacitor("C6", "100nF 50V", "BST", "SW"),
            capacitor("C7", "22nF", "BUCK_SS"),
            resistor("R6", "100k", "VIN_PROT", "BUCK_EN"),
            resistor("R7", "15k", "BUCK_EN", "GND"),
            capacitor("C45", "10nF", "BUCK_EN", size="0402"),
            resistor("R8", "200k", "BUCK_RT", "GND"),
            resistor("R9", "110k", "5V_BUCK", "BUCK_FB"),
            resistor("R10", "20k", "BUCK_FB", "GND"),
            capacitor("C8", "22uF 25V", "5V_BUCK", size="1206"),
            capacitor("C9", "22uF 25V", "5V_BUCK", size="1206"),
            capacitor("C10", "22uF 25V", "5V_BUCK", size="1206"),
            capacitor("C11", "22uF 25V", "5V_BUCK", size="1206"),
        ),
        (
            "R9, R10: 0.8 V * (1 + 110/20) = 5.20 V. R6, R7: starts at 9.0 V. R8: 500 kHz. C7: 4 ms soft start.",
            "C45 keeps U1 on through the 30 us in which a neighbour's hot-plug halves the bus (simulated).",
            "Hot loop: C5, C3, C4 to pins 2 and 7 of U1, as short as can be. FB starts at C11.",
        ),
        height=82,
    )


def _gate() -> Block:
    diode = "1=VCAP 2=GND 3=5V_BUCK 4=5V_DIODE 5=Q3_GATE 6=5V_BUCK"
    return Block(
        "6  Gate with soft start, ideal diode, bleeder",
        (
            _power_fet("Q2", "GATE_DRV", "5V_DIODE", "5V_SUPPLY"),
            _power_fet("Q3", "Q3_GATE", "5V_DIODE", "5V_BUCK"),
            ic("U3", "Power_Management:LM74700", "LM74700", diode, mpn="LM74700QDBVRQ1"),
            capacitor("C12", "100nF 50V", "VCAP", "5V_BUCK"),
            resistor("R11", "47k", "VIN_PROT", "GATE_DRV"),
            capacitor("C13", "470nF 50V", "GATE_DRV", size="0805"),
            _diode("D3", "BZT52C15", "GATE_DRV", "GND"),
            resistor("R12", "22R", "GATE_DRV", "GATE_PULL"),
            _signal_fet("Q4", "GATE_OFF", "GATE_PULL"),
            resistor("R13", "100k", "VIN_PROT", "GATE_OFF"),
            resistor("R14", "100k", "GATE_OFF", "GND"),
            _signal_fet("Q5", "LATCH_Q", "GATE_OFF"),
            resistor("R15", "100k", "LATCH_Q", "GND"),
            resistor("R16", "150R", "5V_NODE", "BLEED", "1206"),
            _signal_fet("Q6", "GATE_OFF", "BLEED"),
            capacitor("C14", "1uF 50V", "5V_DIODE", size="0805"),
            capacitor("C15", "22uF 25V", "5V_SUPPLY", size="1206"),
            flag(3, "5V_BUCK"),
        ),
        (
            "Off is what happens without a signal: VIN itself holds GATE_OFF up and Q4 holds the gate down.",
            "C13 goes from the gate to GND: an edge on 5V_BUCK cannot lift the gate. On: the gate rises",
            "with R11 * C13 and the node follows as a source does: 0.5 A (12 V) to 1.1 A (24 V) into 1,000 uF.",
            "Q3 with U3 lets no current back; it comes first, so it is wide open before the gate is.",
            " Q6 with R16 empties 1,000 uF to 0.3 V in 0.43 s.",
        ),
        height=84,
    )


def _latch() -> Block:
    flip_flop = "3=+3V3 1=GATE_SET 6=GATE_CLEAR_N 4=LATCH_Q 5=+3V3 2=GND"
    return Block(
        "7  Latch: keeps the gate's state over any reset of the MCU",
        (
            ic(
                "U4",
                "74xGxx:74LVC1G175",
                "74LVC1G175",
                flip_flop,
                mpn="74LVC1G175GW,125",
                footprint="Package_TO_SOT_SMD:SOT-363_SC-70-6",
            ),
            capacitor("C16", "100nF", "+3V3", size="0402"),
            ic("U5", "racklet:APX803", "APX803-29SA", "1=GND 2=GATE_CLEAR_N 3=+3V3", mpn="APX803-29SAG-7"),
            capacitor("C17", "100nF", "+3V3", size="0402"),
            resistor("R17", "10k", "GATE_SET", "GND"),
            resistor("R18", "10k", "GATE_CLEAR", "GND"),
            capacitor("C43", "1nF", "GATE_SET", size="0402"),
            capacitor("C44", "1nF", "GATE_CLEAR", size="0402"),
            _signal_fet("Q7", "GATE_CLEAR", "GATE_CLEAR_N"),
            resistor("R19", "10k", "+3V3", "GATE_CLEAR_N"),
            resistor("R20", "1k", "LATCH_Q", "GATE_STATE"),
            _diode("D4", "BAT54WS", "ALERT_CUT", "GATE_CLEAR_N", "Schottky"),
            resistor("R21", "0R", "ALERT_CUT", "ALERT"),
        ),
        (
            "A rising GATE_SET stores 1. GATE_CLEAR_N low stores 0 and wins: from GATE_CLEAR (Q7), from the",
            "supervisor (below 2.93 V and 200 ms after: first power is off), from ALERT (D4; lift R21 to part",
            "them), from the over-voltage comparator. R17, R18, C43, C44 keep the floating pins of a resetting MCU",
            "quiet: without the capacitors 5 pF to a switching track would reach 1.6 V (simulated).",
        ),
        height=58,
    )


def _monitor() -> Block:
    nets = "1=GND 2=GND 3=ALERT 4=MONITOR_SDA 5=MONITOR_SCL 6=+3V3 7=GND 8=5V_NODE 9=SENSE_N 10=SENSE_P"
    return Block(
        "4  Monitor: Kelvin shunt, INA228, secure element (not fitted)",
        (
            ic(
                "R22",
                "Device:R_Shunt",
                "10mR 1%",
                "1=5V_SUPPLY 2=SHUNT_P 3=SHUNT_N 4=5V_NODE",
                rotation=90,
                footprint="racklet:R_2512_Kelvin",
                mpn="HoLRS2512-3W-10mR-1%",
            ),
            ic("U6", "Sensor_Energy:INA228", "INA228", nets, mpn="INA228AIDGSR"),
            resistor("R23", "10R", "SHUNT_P", "SENSE_P"),
            resistor("R24", "10R", "SHUNT_N", "SENSE_N"),
            capacitor("C18", "100nF", "SENSE_P", "SENSE_N", size="0402"),
            capacitor("C19", "100nF", "+3V3", size="0402"),
            resistor("R25", "4k7", "+3V3", "MONITOR_SDA"),
            resistor("R26", "4k7", "+3V3", "MONITOR_SCL"),
            resistor("R27", "10k", "+3V3", "ALERT"),
            ic(
                "U7",
                "Security:ATECC608B-SSHDA",
                "ATECC608B",
                "4=GND 5=MONITOR_SDA 6=MONITOR_SCL 8=+3V3",
                mpn="ATECC608B-SSHDA-B",
                fitted=False,
            ),
            Part(
                "C20",
                "Device:C",
                "100nF",
                {"1": "+3V3", "2": "GND"},
                "Capacitor_SMD:C_0402_1005Metric",
                "CL05B104KO5NNNC",
                rotation=90,
                fitted=False,
            ),
        ),
        (
            "5 A make 50 mV and 0.25 W. Address 0x40. INA226 (same pins) fits as a second source.",
            "ALERT interrupts the MCU (GPIO14) and, through D4, clears the latch without it.",
        ),
        height=66,
    )


def _comparators() -> Block:
    unit_a = {"1": "POWER_GOOD", "2": "REF_1V65", "3": "RAIL_PG"}
    unit_b = {"7": "GATE_CLEAR_N", "6": "RAIL_OV", "5": "REF_1V65"}
    body = "Package_SO:SOIC-8_3.9x4.9mm_P1.27mm"
    chip = "Comparator:LMV393"
    return Block(
        "8  Power good and over-voltage cut-off",
        (
            Part("U9", chip, "LMV393", unit_a, body, "LMV393IDR", unit=1),
            Part("U9", chip, "LMV393", unit_b, body, "LMV393IDR", unit=2),
            Part("U9", chip, "LMV393", {"8": "+3V3", "4": "GND"}, body, "LMV393IDR", unit=3),
            capacitor("C21", "100nF", "+3V3", size="0402"),
            resistor("R28", "10k", "+3V3", "REF_1V65"),
            resistor("R29", "10k", "REF_1V65", "GND"),
            capacitor("C22", "100nF", "REF_1V65", size="0402"),
            resistor("R30", "18k", "5V_NODE", "RAIL_PG"),
            resistor("R31", "10k", "RAIL_PG", "GND"),
            resistor("R32", "1M", "POWER_GOOD", "RAIL_PG"),
            resistor("R33", "10k", "+3V3", "POWER_GOOD"),
            resistor("R34", "24k", "5V_BUCK", "RAIL_OV"),
            resistor("R35", "10k", "RAIL_OV", "GND"),
        ),
        (
            "POWER_GOOD: 1 above 4.6 V, 60 mV of hysteresis (R32). Cut-off: a buck above 5.6 V (5.45 to 5.77 V",
            "with all tolerances) clears the latch in microseconds: a shorted switch in U1 does not reach the node.",
        ),
        height=66,
    )


def _standby() -> Block:
    return Block(
        "5  3.3 V from the standby rail",
        (
            ic(
                "F2",
                "Device:Polyfuse",
                "0.5A",
                "1=5V_STBY_IN 2=5V_STBY",
                rotation=90,
                footprint="Fuse:Fuse_1206_3216Metric",
                mpn="1206L050YR",
            ),
            _diode("D5", "SMAJ5.0A", "5V_STBY", "GND"),
            capacitor("C23", "10uF", "5V_STBY", size="0805"),
            ic(
                "U2",
                "Regulator_Linear:AP2112K-3.3",
                "AP2112K-3.3",
                "1=5V_STBY 2=GND 3=5V_STBY 5=+3V3",
                mpn="AP2112K-3.3TRG1",
            ),
            capacitor("C24", "10uF", "+3V3", size="0805"),
            flag(4, "5V_STBY"),
        ),
        ("The MCU lives from here, apart from the node. 100 mA: 0.18 W in U2.",),
        height=50,
    )


def _mcu() -> Block:
    nets = {}
    for pin in pins(_MCU):
        name = pin.name.split("/")[0].strip("~{}")
        if name.startswith("GPIO"):
            gpio = int(name.removeprefix("GPIO"))
            if gpio in MCU_GPIO:
                nets[pin.number] = MCU_GPIO[gpio]
        else:
            nets[pin.number] = _MCU_OTHER[name]
    body = "Package_DFN_QFN:QFN-56-1EP_7x7mm_P0.4mm_EP3.2x3.2mm_ThermalVias"
    return Block(
        "9  MCU",
        (Part("U10", _MCU, "RP2040", nets, body, "RP2040"),),
        ("GPIO numbers are those of firmware/racklet_hat/config.py;", "a test compares the two."),
        height=116,
    )


def _mcu_around() -> Block:
    bypass = [capacitor(f"C{number}", "100nF", "+3V3", size="0402") for number in range(25, 33)]
    core = [capacitor(f"C{number}", "100nF", "DVDD", size="0402") for number in (33, 34)]
    return Block(
        "10  MCU: clock, flash, supply",
        (
            *bypass,
            *core,
            capacitor("C35", "1uF", "+3V3", size="0402"),
            capacitor("C36", "1uF", "DVDD", size="0402"),
            ic(
                "Y1",
                "Device:Crystal_GND24",
                "12MHz",
                "1=XIN 2=GND 3=XTAL 4=GND",
                mpn="ABM8-272-T3",
                footprint="Crystal:Crystal_SMD_3225-4Pin_3.2x2.5mm",
            ),
            resistor("R36", "1k", "XOUT", "XTAL"),
            capacitor("C37", "15pF", "XIN", size="0402"),
            capacitor("C38", "15pF", "XTAL", size="0402"),
            ic(
                "U11",
                "Memory_Flash:W25Q16JVSS",
                "W25Q16JVSS",
                "1=QSPI_SS 2=QSPI_SD1 3=QSPI_SD2 4=GND 5=QSPI_SD0 6=QSPI_SCLK 7=QSPI_SD3 8=+3V3",
                mpn="W25Q16JVSSIQ",
            ),
            capacitor("C39", "100nF", "+3V3", size="0402"),
        ),
        ("C25 to C32: one at each supply pin. C35 at VREG_IN, C36 at VREG_VOUT.",),
        height=96,
    )


def _hands() -> Block:
    button = "Button_Switch_SMD:SW_SPST_EVQP7A"
    lamp = "LED_SMD:LED_Kingbright_APA1606_1.6x0.6mm_Horizontal"
    return Block(
        "13  For hands and eyes, at the front edge",
        (
            ic("SW1", "Switch:SW_Push", "BOOTSEL", "1=BOOTSEL 2=GND", footprint=button, mpn="EVQ-P7A01P", rotation=180),
            resistor("R37", "1k", "QSPI_SS", "BOOTSEL"),
            ic("SW2", "Switch:SW_Push", "RESET", "1=RUN 2=GND", footprint=button, mpn="EVQ-P7A01P", rotation=180),
            resistor("R38", "10k", "+3V3", "RUN"),
            resistor("R39", "1k", "STATUS_LED", "STATUS_A"),
            ic("D6", "Device:LED", "GREEN", "1=GND 2=STATUS_A", footprint=lamp, mpn="APA1606SGC", rotation=180),
            resistor("R40", "470R", "IDENTIFY_LED", "IDENTIFY_A"),
            ic("D7", "Device:LED", "BLUE", "1=GND 2=IDENTIFY_A", footprint=lamp, mpn="APA1606QBC/D", rotation=180),
            ic(
                "J3",
                "Connector_Generic:Conn_01x03",
                "SWD",
                "1=SWCLK 2=GND 3=SWDIO",
                mpn="SM03B-SRSS-TB",
                footprint="Connector_JST:JST_SH_SM03B-SRSS-TB_1x03-1MP_P1.00mm_Horizontal",
            ),
        ),
        ("BOOTSEL held while RESET is pressed starts the USB loader; the node's supply stays as it is.",),
        height=58,
    )


def _node() -> Block:
    grounds = {str(pin): "GND" for pin in (6, 9, 14, 20, 25, 30, 34, 39)}
    nets = grounds | {
        "1": "NODE_3V3", "17": "NODE_3V3", "2": "5V_NODE", "4": "5V_NODE", "5": "NODE_GPIO3", "8": "NODE_TXD",
        "10": "NODE_RXD", "27": "ID_SD", "28": "ID_SC", "37": "NODE_GPIO26",
    }  # fmt: skip
    header = Part(
        "J1",
        "Connector_Generic:Conn_02x20_Odd_Even",
        "NODE",
        nets,
        "Connector_PinSocket_2.54mm:PinSocket_2x20_P2.54mm_Vertical",
        "DS1023-2*20SF11",
    )
    buffer = "74xGxx:74LVC1G17"
    body = "Package_TO_SOT_SMD:SOT-23-5"
    return Block(
        "11  Node: console, soft power button, halt",
        (
            header,
            Part(
                "U12",
                buffer,
                "74LVC1G17",
                {"2": "NODE_TX", "4": "TX_BUF", "5": "NODE_3V3", "3": "GND"},
                body,
                "74LVC1G17GV,125",
            ),
            resistor("R41", "330R", "TX_BUF", "NODE_RXD"),
            capacitor("C40", "100nF", "NODE_3V3", size="0402"),
            Part(
                "U13",
                buffer,
                "74LVC1G17",
                {"2": "RX_BUF", "4": "NODE_RX", "5": "+3V3", "3": "GND"},
                body,
                "74LVC1G17GV,125",
            ),
            resistor("R42", "330R", "NODE_TXD", "RX_BUF"),
            resistor("R43", "100k", "+3V3", "RX_BUF"),
            capacitor("C41", "100nF", "+3V3", size="0402"),
            resistor("R44", "100k", "+3V3", "SOFT_OFF"),
            _signal_fet("Q8", "+3V3", "NODE_GPIO3", "SOFT_OFF", "BSS138"),
            resistor("R45", "10k", "NODE_GPIO26", "NODE_HALTED"),
            resistor("R46", "100k", "NODE_HALTED", "GND"),
            flag(5, "NODE_3V3"),
        ),
        (
            "No side feeds the other: U12 lives from the node's 3.3 V, U13 from ours; both stand 5.5 V without",
            "supply (Ioff). Into a dead node flow 33 uA each (R43, R44); into a dead HAT 0.3 mA (R45).",
            "GPIO14/15 console; GPIO3 power button and wake; GPIO26 high = halted (dtoverlay=gpio-poweroff).",
        ),
        height=112,
    )


def _eeprom() -> Block:
    nets = "1=GND 2=GND 3=GND 4=GND 5=ID_SD 6=ID_SC 7=ID_WP 8=NODE_3V3"
    return Block(
        "12  HAT+ EEPROM, holes, test points",
        (
            ic("U14", "Memory_EEPROM:24LC32", "CAT24C32", nets, mpn="CAT24C32WI-GT3",
                footprint="Package_SO:SOIC-8_3.9x4.9mm_P1.27mm"),
            capacitor("C42", "100nF", "NODE_3V3", size="0402"),
            resistor("R47", "3k9", "NODE_3V3", "ID_SD"),
            resistor("R48", "3k9", "NODE_3V3", "ID_SC"),
            resistor("R49", "1k", "NODE_3V3", "ID_WP"),
            ic("JP1", "Jumper:SolderJumper_2_Open", "WRITE", "1=GND 2=ID_WP", listed=False, rotation=180,
                footprint="Jumper:SolderJumper-2_P1.3mm_Open_Pad1.0x1.5mm"),
            *[ic(f"H{number}", "Mechanical:MountingHole_Pad", "M2.5", "1=GND", listed=False,
                  footprint="MountingHole:MountingHole_2.7mm_M2.5_Pad") for number in (1, 2, 3, 4)],
            *[test_point(number, net) for number, net in enumerate(TEST_POINTS, 1)],
        ),
        ("Write-protected until JP1 is closed. current_supply tells a Pi 5 that 5 A are there.",),
        height=74,
    )  # fmt: skip


TEST_POINTS = ("VIN_PROT", "5V_BUCK", "5V_NODE", "+3V3", "GND", "LATCH_Q", "GATE_DRV", "GATE_CLEAR_N", "ALERT", "DVDD")


DESIGN = Design(
    name="hat",
    title="Racklet HAT",
    revision="A",
    date="2026-11-28",
    paper=("A2", 594.0, 420.0),
    blocks=(
        _backplane(),
        _input(),
        _buck(),
        _monitor(),
        _standby(),
        _gate(),
        _latch(),
        _comparators(),
        _mcu(),
        _mcu_around(),
        _node(),
        _eeprom(),
        _hands(),
    ),
    wide=(
        "VIN",
        "VIN_FUSED",
        "VIN_PROT",
        "SW",
        "5V_BUCK",
        "5V_DIODE",
        "5V_SUPPLY",
        "5V_NODE",
        "5V_STBY_IN",
        "5V_STBY",
    ),
)
