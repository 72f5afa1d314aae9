# Racklet's recipes. `./just RECIPE` sets up what they need; with `just` installed and set up, `just RECIPE` does the same.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")
python := justfile_directory() / ".venv/bin/python"

# List the recipes.
default:
    @just --list --unsorted

# Install everything into .venv and .cache; does nothing when that is current.
setup:
    @tools/setup
    @tools/micropython32 || true

# Run a virtual rack of five nodes and hostd, with a live screen. `just demo --check` runs it unattended and checks it.
demo *ARGS: setup
    @{{ python }} tools/demo {{ ARGS }}

# Run one HAT on an emulated RP2040, with a serial port, until Ctrl-C. The first time it builds MicroPython.
emulate *ARGS: setup
    @tools/emulator
    @{{ python }} -m racklet_emulator {{ ARGS }}

# Flood the consoles of eight nodes while everything fails, and account for every byte. `--minutes 30` for longer.
soak *ARGS: setup
    @{{ python }} tools/soak {{ ARGS }}

# Show that a promise of power holds, against the truth of a virtual rack. Without a name: which there are.
account *NAME: setup
    @{{ python }} tools/account {{ NAME }}

# Check the boards and write what a board house needs into build/hardware. Installs KiCad 9 where it is missing.
hardware *ARGS: setup
    @hardware/check {{ ARGS }}

# Compute the printable case, prove it and write parts, pictures and bills into build/case. `--set rack.slots=3` changes a value.
cad *ARGS: setup
    @tools/cad-setup
    @PYTHONPATH=cad .cache/cad/bin/python -m racklet_case {{ ARGS }}

# Build the documentation as a web site into build/docs; fails on a link that leads nowhere.
docs: setup
    @{{ python }} tools/make_docs.py

# Put the firmware on a HAT at a serial port, by mpremote; its supply does not move. `--key KEYFILE.pub` names whom it trusts.
flash PORT *ARGS: setup
    @{{ python }} tools/flash {{ PORT }} {{ ARGS }}

# Build a bundle of this checkout's firmware for `racklet firmware sign`, into build/firmware.
firmware *ARGS: setup
    @{{ python }} tools/firmware_build.py {{ ARGS }}

# Run all tests. Arguments go to pytest: `--numprocesses=2` takes two processes, a quarter less time, and a quiet computer.
test *ARGS: setup
    pytest {{ ARGS }}

# Check everything that needs no run: format, lint, types, imports, generated code, sizes.
check: setup
    ruff format --check --quiet .
    ruff check --quiet .
    mypy
    pyright --project firmware/pyrightconfig.json
    lint-imports --no-cache
    cd protocol && buf lint && buf format --diff --exit-code && buf breaking --against baseline.binpb
    {{ python }} protocol/generate.py --check
    {{ python }} firmware/size.py --check
    {{ python }} tools/make_docs.py
    codespell

# Measure what each pure module's own tests cover: every branch, or this fails.
coverage: setup
    @{{ python }} tools/coverage.py

# Measure ours, a peer and the physical limit side by side, as ratios.
bench *ARGS: setup
    @{{ python }} tests/bench {{ ARGS }}

# Promise the API as it is now: what breaks who goes by it is refused by `check` from here on. For a release.
api-baseline: setup
    cd protocol && buf build --exclude-source-info --output baseline.binpb

# Format the sources and generate the code that comes from the .proto files.
generate: setup
    {{ python }} protocol/generate.py
    ruff check --fix --quiet .
    ruff format --quiet .
    cd protocol && buf format --write
