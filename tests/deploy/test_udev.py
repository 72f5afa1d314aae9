"""The udev rules, as udev itself goes by them: over a /sys and a /dev of ours, in a mount namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RULES = ROOT / "deploy/udev/60-racklet.rules"
CONTROLLER = "devices/platform/soc/3f980000.usb"
PICO = ("2e8a", "0005")
SCRIPT = """\
set -e
mount --bind /dev/null "$1/dev/null"
mount --bind "$1/dev" /dev
mount --bind "$1/run" /run
mount --bind "$1/sys" /sys
SYSTEMD_DEVICE_VERIFY_SYSFS=0 exec udevadm test -a "$2" "/sys/$3"
"""


def answer(folder: Path, action: str, device: str) -> str:
    """Return what udev says of a device."""
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", SCRIPT, "sh", folder, action, device],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def computer(tmp_path: Path) -> Path:
    """A folder with the rules and a /sys in which there is a USB controller."""
    if shutil.which("udevadm") is None:
        pytest.skip("there is no udevadm here: install the package udev")
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespace can be made here")
    (tmp_path / "dev").mkdir()  # udev makes the names in it, though it only tests
    (tmp_path / "dev/null").touch()
    (tmp_path / "run/udev/rules.d").mkdir(parents=True)
    shutil.copy(RULES, tmp_path / "run/udev/rules.d")
    for name in ("class/tty", "bus/usb", "bus/platform"):
        (tmp_path / "sys" / name).mkdir(parents=True)
    is_there(tmp_path, CONTROLLER, "bus/platform", "DRIVER=dwc2")
    return tmp_path


def is_there(computer: Path, device: str, subsystem: str, *uevent: str, **attributes: str) -> None:
    """Put a device into /sys."""
    folder = computer / "sys" / device
    folder.mkdir(parents=True)
    (folder / "uevent").write_text("".join(f"{line}\n" for line in uevent))
    (folder / "subsystem").symlink_to(f"/sys/{subsystem}")
    for name, value in attributes.items():
        (folder / name).write_text(f"{value}\n")


def plug_in(computer: Path, tty: str, ids: tuple[str, str], *ports: str) -> str:
    """Plug a device with a serial line in by way of these ports, such as 1-1, 1-1.4; return the place of the line."""
    place = f"{CONTROLLER}/usb1"
    texts = {"serial": "E66", "manufacturer": "MicroPython", "product": "Board", "bcdDevice": "0100"}
    for port in ("", *ports):
        place = f"{place}/{port}" if port else place
        if not (computer / "sys" / place).exists():
            kind = ("DEVTYPE=usb_device", "BUSNUM=001", "DEVNUM=004")
            is_there(computer, place, "bus/usb", *kind, idVendor=ids[0], idProduct=ids[1], **texts)
    place = f"{place}/{ports[-1]}:1.0"
    kinds = {"bInterfaceClass": "02", "bInterfaceSubClass": "02", "bInterfaceNumber": "00"}
    is_there(computer, place, "bus/usb", "DEVTYPE=usb_interface", "DRIVER=cdc_acm", **kinds)
    line = f"{place}/tty/{tty}"
    is_there(computer, line, "class/tty", "MAJOR=166", "MINOR=0", f"DEVNAME={tty}", dev="166:0")
    (computer / "sys" / line / "device").symlink_to("../..")
    return line


def links(said: str) -> list[str]:
    """Return the names under /dev/racklet that a device gets."""
    words = [word for line in said.splitlines() if line.startswith("DEVLINKS=") for word in line[9:].split()]
    return [word for word in words if word.startswith("/dev/racklet/")]


def not_understood(said: str) -> list[str]:
    """Return what udev complains of when it reads the rules; when it goes by them, its lines begin with the device."""
    return [line for line in said.splitlines() if line.startswith("/run/udev/rules.d/60-racklet.rules:")]


def test_udev_understands_every_line_of_the_rules(computer: Path) -> None:
    said = answer(computer, "add", plug_in(computer, "ttyACM0", PICO, "1-1"))
    assert "Reading rules file: /run/udev/rules.d/60-racklet.rules" in said
    assert not not_understood(said)


def test_a_hat_gets_the_name_of_its_slot_whatever_number_its_line_has(computer: Path) -> None:
    first = plug_in(computer, "ttyACM7", PICO, "1-1", "1-1.4")
    second = plug_in(computer, "ttyACM0", PICO, "1-1", "1-1.2", "1-1.2.3")
    said = answer(computer, "add", first)
    assert links(said) == ["/dev/racklet/platform-3f980000.usb-usb-0:1.4:1.0"]
    assert str((computer / "dev/racklet/platform-3f980000.usb-usb-0:1.4:1.0").readlink()) == "../ttyACM7"
    assert "ID_MM_DEVICE_IGNORE=1" in said
    assert links(answer(computer, "add", second)) == ["/dev/racklet/platform-3f980000.usb-usb-0:1.2.3:1.0"]


@pytest.mark.parametrize(
    ("tty", "ids"), [("ttyACM0", ("2341", "0043")), ("ttyACM0", ("2e8a", "0003")), ("ttyUSB0", PICO)]
)
def test_what_is_no_hat_is_left_as_it_is(computer: Path, tty: str, ids: tuple[str, str]) -> None:
    said = answer(computer, "add", plug_in(computer, tty, ids, "1-1"))
    assert f"DEVNAME=/dev/{tty}" in said
    assert links(said) == []
    assert "ID_MM_DEVICE_IGNORE" not in said


def test_a_hat_that_is_pulled_is_told_of_and_gets_no_name(computer: Path) -> None:
    said = answer(computer, "remove", plug_in(computer, "ttyACM0", PICO, "1-1"))
    assert "ACTION=remove" in said
    assert links(said) == []


def test_a_mistake_in_the_rules_would_be_seen(computer: Path) -> None:
    rules = computer / "run/udev/rules.d" / RULES.name
    rules.write_text(RULES.read_text().replace("SYMLINK+=", "SYMLIK+="))
    said = answer(computer, "add", plug_in(computer, "ttyACM0", PICO, "1-1"))
    assert not_understood(said)
    assert links(said) == []
