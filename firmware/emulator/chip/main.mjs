// One emulated Pico: takes commands on stdin, answers on stdout, a JSON object on a line each. `racklet_emulator.chip` is
// at the other end, and keeps the time: nothing runs here but during a `run`.
//
// While it runs, the chip asks the world: a line {"ask": …} goes out, and a line with the answer comes back.

import { createHash } from 'node:crypto';
import { readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';

import { Chip } from './chip.mjs';
import { NorFlash, PowerCut } from './flash.mjs';

const STDIN = 0;
const STDOUT = 1;
const CHUNK_BYTES = 65536;

let waiting = '';
const chunk = Buffer.alloc(CHUNK_BYTES);

function hear() {
  let end;
  while ((end = waiting.indexOf('\n')) < 0) {
    const count = readSync(STDIN, chunk);
    if (count === 0) process.exit(0); // nobody is there any more
    waiting += chunk.toString('latin1', 0, count);
  }
  const line = waiting.slice(0, end);
  waiting = waiting.slice(end + 1);
  return JSON.parse(line);
}

function say(message) {
  let bytes = Buffer.from(`${JSON.stringify(message)}\n`, 'latin1');
  while (bytes.length) bytes = bytes.subarray(writeSync(STDOUT, bytes));
}

function ask(what, ...about) {
  chip.hasNews = true; // whoever is asked looks at the world, and may find that something comes sooner than was thought
  say({ ask: what, at: chip.nanos, about });
  return hear().answer;
}

const [bootromFile, flashFile, uniqueId, core] = process.argv.slice(2);
const bootrom = readFileSync(bootromFile);
const flash = new NorFlash(new Uint8Array(readFileSync(flashFile)), Buffer.from(uniqueId, 'hex'));
let events = [];
const words = new Uint32Array(bootrom.buffer.slice(bootrom.byteOffset, bootrom.byteOffset + bootrom.length));
const world = {
  address: (address) => ask('address', address),
  read: (address, register) => ask('read', address, register),
  write: (address, bytes) => ask('write', address, ...bytes),
  sample: (pin) => ask('sample', pin),
  moved: (nanos, news) => events.push([nanos, ...news]),
};
const chip = new Chip(words, flash, world, core === 'slow');

const COMMANDS = {
  run: ({ until, pins = [], received = [], usb }) => {
    for (const [pin, level] of pins) chip.drive(pin, level);
    if (received.length) chip.receive(received);
    if (usb) chip.writeUsb(Buffer.from(usb, 'base64'));
    let cut = false;
    try {
      chip.run(until);
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      cut = true;
      chip.powerDown();
    }
    const happened = events;
    const output = Buffer.from(chip.usbOutput).toString('base64');
    events = [];
    chip.usbOutput = [];
    return { at: chip.nanos, events: happened, usb: output, cut };
  },
  power: ({ on }) => {
    if (on) chip.powerUp();
    else chip.powerDown();
  },
  reset: () => chip.reset(),
  open: ({ on }) => chip.openUsb(on),
  room: ({ bytes }) => chip.setUsbRoom(bytes),
  read_flash: ({ file }) => writeFileSync(file, flash.memory),
  cut: ({ after, how }) => {
    flash.cut = how ? { at: flash.operations + after, how } : null;
  },
  digest: () => ({ digest: createHash('sha256').update(chip.rp2040.sram).update(chip.rp2040.core.registers).digest('hex') }),
  counts: () => ({ hertz: chip.rp2040?.clkSys ?? 0, cycles: chip.cycles, operations: flash.operations }),
};

for (;;) {
  const command = hear();
  say(COMMANDS[command.do](command) ?? {});
}
