"""Answers questions about the link core, one a line, in whatever interpreter runs it: CPython or MicroPython.

A line is an operation and its arguments; bytes are hex, `-` when empty. The answer is one line.
"""

import binascii
import sys
from array import array

import log_script

from racklet_link import kernels, messages
from racklet_link.framing import FrameEncoder
from racklet_link.message import Message
from racklet_link.seal import Seal, agreed_key, talk_seals


def text(data):
    return binascii.hexlify(data).decode() or "-"


def data(word):
    return binascii.unhexlify("" if word == "-" else word)


def new(name):
    _, slots, blobs = getattr(messages, name)
    message = Message(slots, blobs)
    message.begin(getattr(messages, name))
    return message


def padded(word, room):
    raw = data(word)
    buf = bytearray(len(raw) + room)
    buf[: len(raw)] = raw
    return buf, len(raw)


def crc32(word):
    buf, size = padded(word, 8)
    kernels.crc32_append(buf, 0, size, size)
    answer = text(buf[size : size + 4]) + " " + str(int(kernels.crc32_matches(buf, 0, size)))
    buf[size] ^= 1
    return answer + " " + str(int(kernels.crc32_matches(buf, 0, size)))


def cobs_encode(word):
    buf, size = padded(word, 0)
    out = bytearray(size + size // 254 + 3)
    return text(out[: kernels.cobs_encode(buf, 0, size, out)])


def cobs_decode(word):
    buf, size = padded(word, 1)
    size = kernels.cobs_decode(buf, size)
    return "bad" if size < 0 else text(buf[:size])


def find_zero(word, pos):
    return str(kernels.find_zero(data(word), int(pos), len(data(word))))


def repack(name, word):
    """Unpack a message and all it holds, pack it again; -1 when it is none."""
    buf, size = padded(word, 0)
    message = new(name)
    if not message.unpack(getattr(messages, name), buf, 0, size):
        return "bad"
    out = bytearray(2 * size + 64)
    start = pack(name, message, buf, out)
    return "bad" if start < 0 else text(out[start:])


def pack(name, message, buf, out):
    end = len(out)
    table, slot_count, _ = getattr(messages, name)
    for entry in range(len(table) - 4, -1, -4):
        tag, tag_more, kind, slot = table[entry : entry + 4]
        start, size = message.slots[slot], message.slots[slot + 1] if slot + 1 < slot_count else 0
        if kind == 4 and start:
            child_name = CHILDREN[name + "." + str((tag & 127 | tag_more << 7) >> 3)]
            child = new(child_name)
            if not child.unpack(getattr(messages, child_name), buf, start, start + size):
                return -1
            inner = bytearray(2 * size + 64)
            at = pack(child_name, child, buf, inner)
            if at < 0:
                return -1
            end -= len(inner) - at
            out[end : end + len(inner) - at] = inner[at:]
            header = bytes([tag, tag_more] if tag_more else [tag]) + varint(len(inner) - at)
            end -= len(header)
            out[end : end + len(header)] = header
    for index in range(len(message.blobs)):
        message.blobs[index] = buf
    return message.pack(out, end)


def varint(size):
    return bytes([size] if size < 128 else [size & 127 | 128, size >> 7])


def frame(name, number, word, key="", seal_number="0"):
    """Unpack a Frame, and let the encoder frame its body again, sealed with a key and number if these are given."""
    name = constant(name)
    buf, size = padded(word, 0)
    frame = new("FRAME")
    frame.unpack(messages.FRAME, buf, 0, size)
    slot = slot_of(messages.FRAME[0], int(number))
    body = new(name)
    body.unpack(getattr(messages, name), buf, frame.slots[slot], frame.slots[slot] + frame.slots[slot + 1])
    for index in range(len(body.blobs)):
        body.blobs[index] = buf
    encoder = FrameEncoder()
    seal = None
    if key:
        seal = Seal(data(key))
        seal.number = int(seal_number) - 1
    return text(encoder.wire[: encoder.frame(body, int(number) << 3 | 2, seal)])


def hmac(key, word, start, end):
    buf, _ = padded(word, 0)
    return text(kernels.hmac_sha256(kernels.hmac_key(data(key)), buf, int(start), int(end)))


def opens(key, number, word):
    """Tell whether a payload is sealed with a key, and the seal's number afterwards."""
    buf, size = padded(word, 0)
    seal = Seal(data(key))
    seal.number = int(number)
    return f"{int(seal.opens(buf, size))} {seal.number}"


def talk(key, host_nonce, hat_nonce, hat_id):
    """Seal 40 zeros with each of the seals of a talk, and a key that is agreed on."""
    seals = talk_seals(data(key), data(host_nonce), data(hat_nonce), data(hat_id))
    said = []
    for seal in seals:
        buf = bytearray(40 + 14)
        seal.put(buf, 0, 40)
        said.append(text(buf))
    return " ".join(said) + " " + text(agreed_key(data(key), data(host_nonce), data(hat_id)))


def slot_of(table, number):
    for entry in range(0, len(table), 4):
        if (table[entry] & 127 | table[entry + 1] << 7) >> 3 == number:
            return table[entry + 3]
    raise ValueError(number)


def constant(name):
    out = ""
    for index in range(len(name)):
        letter = name[index]
        out += "_" + letter if letter.isupper() and index else letter
    return out.upper()


def slots(name, word):
    buf, size = padded(word, 0)
    message = new(name)
    if not message.unpack(getattr(messages, name), buf, 0, size):
        return "bad"
    return " ".join(str(value & 0xFFFFFFFF) for value in message.slots)


def numbers(name, slot, value):
    message = new(name)
    message.put_number(int(slot), int(value))
    return str(message.number(int(slot)))


def put_time(turns, now_ms):
    message = new("TELEMETRY")
    kernels.put_time(message.slots, 1, int(turns), int(now_ms))
    return str(message.number(1))


def take_entries(ring, pos, end, room, begins_line, banners):
    """Take from a ring of entries, which `ring` holds with their low bytes first."""
    ring = data(ring)
    ring = array("H", [ring[at] | ring[at + 1] << 8 for at in range(0, len(ring), 2)])
    job = array("i", [int(pos), int(end), 1, 1 + int(room), int(begins_line)])
    dst = bytearray(2 + int(room))
    why = kernels.take_entries(job, ring, len(ring), dst, data(banners))
    kept = [job[1] == int(end), job[3] == 1 + int(room), dst[0] == 0, bytes(dst[job[2] :]) == bytes(len(dst) - job[2])]
    return f"{why} {job[0]} {job[4]} {text(dst[1 : job[2]])} {int(all(kept))}"


def log_bytes(record, at):
    return str(kernels.log_bytes(bytearray(int(at)) + data(record), int(at)))


CHILDREN = {}
OPERATIONS = {
    "crc32": crc32,
    "cobs_encode": cobs_encode,
    "cobs_decode": cobs_decode,
    "find_zero": find_zero,
    "repack": repack,
    "frame": frame,
    "hmac": hmac,
    "opens": opens,
    "talk": talk,
    "slots": slots,
    "numbers": numbers,
    "put_time": put_time,
    "take_entries": take_entries,
    "log": log_script.run,
    "log_bytes": log_bytes,
}


def main():
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        words = line.split()
        if words[0] == "child":
            CHILDREN[words[1]] = words[2]
            print("ok")
        else:
            print(OPERATIONS[words[0]](*words[1:]))
        if hasattr(sys.stdout, "flush"):
            sys.stdout.flush()


main()
