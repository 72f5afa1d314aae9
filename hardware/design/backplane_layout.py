"""Where the backplane's parts and pours are, seen from the trays. hardware/mechanics.toml has what the case must know.

The bus is along the upper edge, a fuse from it to each socket below; standby runs along the lower half; right of slot 5
is the service area: power in, USB, standby regulator, hubs, fans, controller.
"""

from __future__ import annotations

from hardware.design.layout import Layout, Outline, Print, Track

SLOT_X = (12.0, 42.0, 72.0, 102.0, 132.0)
_BUS_BOTTOM = 9.2
_STRIP_TOP, _STRIP_BOTTOM = 31.5, 33.4


def _box(left: float, top: float, right: float, bottom: float) -> Outline:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _standby() -> Outline:
    """The strip along the lower half, with a tooth up to each slot's fuse, and the trunk up to the regulator."""
    teeth: Outline = []
    for x in SLOT_X:
        left, right = x - 7.8, x - 6.3
        teeth += [(left, _STRIP_TOP), (left, 19.8), (right, 19.8), (right, _STRIP_TOP)]
    trunk = [(140.5, _STRIP_TOP), (140.5, 15.0), (137.0, 15.0), (137.0, 12.1), (142.8, 12.1), (142.9, 15.0),
             (142.2, 15.0), (142.2, _STRIP_TOP), (145.2, _STRIP_TOP)]  # fmt: skip
    return [*teeth, *trunk, (145.2, _STRIP_BOTTOM), (SLOT_X[0] - 7.8, _STRIP_BOTTOM)]


_FIXED: dict[str, tuple[float, float, float]] = {
    "H1": (4.0, 4.0, 0),
    "H2": (174.0, 4.0, 0),
    "H3": (57.0, 40.0, 0),
    "H4": (117.0, 40.0, 0),
    "H5": (4.0, 40.0, 0),
    "H6": (174.0, 40.0, 0),
    "J6": (171.9, 16.54, 90),
    "D1": (163.1, 13.2, 270),
    "F6": (159.6, 9.9, 270),
    "D2": (154.8, 13.1, 0),
    "C1": (157.5, 16.2, 0),
    "C2": (152.4, 16.2, 180),
    "C3": (149.0, 10.65, 180),
    "U3": (149.0, 13.2, 180),
    "L1": (143.9, 13.4, 180),
    "C4": (147.0, 17.0, 180),
    "C5": (139.9, 12.0, 90),
    "C6": (137.8, 12.0, 90),
    "J7": (174.3, 29.0, 90),
    "U4": (166.0, 29.0, 180),
    "U1": (154.6, 28.0, 0),
    "U2": (154.6, 21.4, 0),
    "Y1": (161.6, 27.0, 0),
    "Y2": (161.6, 20.6, 0),
    "J8": (145.2, 38.4, 0),
    "J9": (157.2, 38.4, 0),
    "J10": (144.2, 20.2, 0),
    "JP1": (149.0, 32.3, 270),
    "F7": (155.0, 33.0, 0),
    "R1": (127.0, 37.2, 0),
    "D3": (131.0, 37.2, 180),
    "TP1": (132.0, 5.0, 0),
    "TP2": (126.5, 41.2, 0),
    "TP5": (131.0, 41.2, 0),
    "TP6": (135.5, 41.2, 0),
    "TP7": (140.0, 41.2, 0),
    "TP3": (121.0, 32.45, 0),
    "TP4": (122.0, 41.2, 0),
}
for _number, _x in enumerate(SLOT_X, 1):
    _FIXED |= {
        f"J{_number}": (_x + 1.27, 15.65, 0),
        f"F{_number}": (_x, 9.9, 270),
        f"F{10 + _number}": (_x - 5.6, 20.73, 0),
        f"J{10 + _number}": (_x + 7.5, 22.0, 0),
    }

_BUS = [(8.0, 1.0), (170.0, 1.0), (170.0, 8.0), (175.6, 8.0), (175.6, 13.3), (161.8, 13.3), (161.8, _BUS_BOTTOM),
        (8.0, _BUS_BOTTOM)]  # fmt: skip
_POURS: list[tuple[str, Outline]] = [
    ("VIN", _BUS),
    ("5V_STBY", _standby()),
    ("VIN_FUSED", [(155.6, 11.7), (158.9, 10.6), (160.6, 10.6), (160.6, 14.4), (155.6, 14.4)]),
    ("VIN_AUX", [(149.8, 10.0), (154.2, 10.0), (154.2, 15.0), (156.9, 15.0), (156.9, 18.4), (153.0, 18.4),
                 (153.0, 14.6), (149.8, 13.6)]),
    ("SW", [(145.0, 12.2), (148.3, 12.85), (148.3, 13.6), (146.8, 14.6), (145.0, 14.6)]),
    ("FAN_IN", [(145.5, 30.3), (151.4, 30.3), (152.6, 31.4), (153.6, 31.4), (153.6, 34.0),
                (152.2, 34.0), (151.0, 31.2), (147.3, 31.2), (147.3, 33.2), (145.5, 33.2)]),
    ("FAN_V", [(156.2, 31.2), (158.0, 31.2), (158.0, 34.9), (160.6, 34.9), (160.6, 39.3), (158.9, 39.3), (158.9, 36.0),
               (156.2, 36.0), (153.0, 35.6), (148.6, 35.6), (148.6, 39.3), (146.9, 39.3), (146.9, 34.95),
               (156.2, 34.95)]),
]  # fmt: skip
for _number, _x in enumerate(SLOT_X, 1):
    _POURS += [
        (f"VIN_{_number}", _box(_x - 2.6, 10.5, _x + 2.6, 16.7)),
        (f"5V_STBY_{_number}", _box(_x - 5.0, 20.0, _x - 0.8, 21.45)),
    ]


def _pin_names() -> list[Print]:
    found = []
    for number, x in enumerate(SLOT_X, 1):
        found.append(Print(f"SLOT {number}", x, 30.7, 1.0))
        found += [Print(words, x + 4.4, y, 0.8) for words, y in
                  (("VIN", 15.65), ("D-", 20.73), ("D+", 23.27), ("GND", 27.0))]  # fmt: skip
        found += [Print(words, x - 4.5, y, 0.8) for words, y in (("VIN", 15.65), ("5V SB", 18.6), ("GND", 27.0))]
    return found


LAYOUT = Layout(
    width=178.0,
    height=44.0,
    corner=2.0,
    layers=2,
    fixed=_FIXED,
    near={"C10": "U1.12", "C11": "U1.13", "C12": "U1.13", "C20": "U2.12", "C21": "U2.13", "C22": "U2.13", "C7": "U4.5",
          "R6": "Q1.1"},
    first=("C10", "C11", "C20", "C21", "C12", "C22", "C7", "R2", "R3", "Q1"),
    pours=tuple(_POURS),
    back_pours=(
        ("VIN", _BUS),
        ("VIN_AUX", [(143.1, 17.6), (149.8, 17.6), (149.8, 15.6), (156.9, 15.6), (156.9, 18.8), (151.4, 18.8),
                     (151.4, 33.4), (148.0, 33.4), (148.0, 31.2), (149.8, 31.2), (149.8, 19.2), (145.3, 19.2),
                     (145.3, 21.3), (143.1, 21.3)]),
    ),
    vias={
        "USB_VBUS": [(169.4, 25.9), (169.4, 32.1)],
        "VIN": [(x, y) for x in range(16, 168, 10) for y in (2.5, 6.2)],
        "VIN_AUX": [(154.0, 17.8), (154.8, 17.8), (155.6, 17.8), (156.4, 17.8)],
        "GND": [(x + dx, y) for x in SLOT_X for dx, y in ((4.6, 13.0), (-5.0, 13.0), (12.0, 36.5), (-9.5, 27.0))]
        + [(147.4, 10.4), (146.6, 10.4), (139.9, 10.2), (137.8, 10.2), (163.1, 17.0), (160.4, 16.2), (149.3, 14.9)],
    },
    prints=(
        Print("Racklet backplane A", 87.0, 36.3, 1.6),
        Print("CERN-OHL-P v2   not yet tested", 87.0, 39.6, 1.0),
        Print("VIN 12-24 V", 117.0, 5.0, 1.6),
        *_pin_names(),
        Print("+", 170.6, 7.4, 1.4),
        Print("-", 170.6, 20.5, 1.4),
        Print("STANDBY", 129.0, 35.2, 0.8),
        Print("FAN 1", 149.0, 42.9, 0.9),
        Print("FAN 2", 161.0, 42.9, 0.9),
        Print("fan 5V    VIN", 146.4, 34.6, 0.7),
        Print("CONTROLLER", 141.9, 24.5, 0.8, 90),
        Print("USB", 176.0, 35.2, 0.9),
    ),
    blocked=(
        (0.0, 0.0, 161.4, 9.6),  # the bus is for copper
        *[(x - 7.0, 10.0, x + 6.0, 31.4) for x in SLOT_X],
    ),
    tracks=(
        Track("USB_VBUS", "F.Cu", 0.2, [(170.62, 26.6), (169.6, 26.6), (169.4, 26.4), (169.4, 25.9)]),
        Track("USB_VBUS", "B.Cu", 0.2, [(169.4, 25.9), (169.4, 32.1)]),
        Track("USB_VBUS", "F.Cu", 0.2, [(169.4, 32.1), (169.4, 31.6), (169.6, 31.4), (170.62, 31.4)]),
    ),
    spoke=0.8,
)  # fmt: skip
