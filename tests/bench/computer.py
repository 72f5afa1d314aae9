"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from tests.conftest import micropython32_path, micropython_path


def describe() -> str:
    """Return the computer, its load and the interpreters, a line each."""
    load = f"load {os.getloadavg()[0]:.1f}"
    lines = [f"CPU: {_cpu_model()}, {os.cpu_count()} cores, {load}", f"Python: {platform.python_version()}"]
    for width, path in (("64-bit", micropython_path()), ("32-bit", micropython32_path())):
        lines.append(f"MicroPython, {width}: {_version(path) if path else 'none here'}")
    return "\n".join(lines)


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(micropython: str) -> str:
    code = "import sys; print(sys.version.split('; ')[1])"
    done = subprocess.run([micropython, "-c", code], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
