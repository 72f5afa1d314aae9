// The byte kernels for a HAT's chip: plain C on plain memory. module.c makes MicroPython functions of them.
//
// `racklet_link/kernels_host.py` states what each does; the names are the same. No function keeps anything, allocates, or
// needs a library: gcc's own for ARMv6-M has neither division nor 64-bit shifts inline, so there are none that need it.

#include <stdint.h>

enum kind { UNSIGNED, SIGNED, UNSIGNED_64, BOOL, MESSAGE, BYTES };

enum {
    CRC_SIZE = 4,
    SEAL_SIZE = 14,  // tag, length, a number of four bytes, eight bytes of the HMAC
    SEAL_TAG = 0x62,
    SEAL_LENGTH = 12,
    MAC_SIZE = 8,
    BLOCK = 64,  // of SHA-256, bytes
};

typedef struct {
    uint32_t inner[8], outer[8];  // the hash after the key's block, xor 0x36 and xor 0x5c: RFC 2104
} hmac_key_t;

static void put_word(uint8_t *to, uint32_t word) {
    for (int index = 0; index < 4; index++, word >>= 8) {
        to[index] = word;
    }
}

// --- CRC-32 (IEEE 802.3, reflected), a nibble at a time: a table for bytes would take 1 KiB of RAM.

static uint32_t crc32(const uint8_t *buf, const uint8_t *end) {
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    uint32_t crc = ~0u;
    while (buf < end) {
        crc ^= *buf++;
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

static int crc32_matches(const uint8_t *buf, uint32_t end) {
    uint8_t wanted[CRC_SIZE];
    put_word(wanted, crc32(buf, buf + end));
    uint32_t differ = 0;
    for (int index = 0; index < CRC_SIZE; index++) {
        differ |= wanted[index] ^ buf[end + index];
    }
    return differ == 0;
}

// --- COBS.

static uint32_t cobs_encode(const uint8_t *src, const uint8_t *end, uint8_t *dst) {
    uint8_t *code_at = dst;
    uint8_t *out = dst + 1;
    while (src < end) {
        uint8_t byte = *src++;
        if (byte != 0) {
            *out++ = byte;
            if (out - code_at < 255 || src == end) {
                continue;
            }
        }
        *code_at = out - code_at;
        code_at = out++;
    }
    *code_at = out - code_at;
    *out = 0;
    return out + 1 - dst;
}

static int32_t cobs_decode(uint8_t *buf, uint32_t size) {
    const uint8_t *in = buf, *end = buf + size;
    uint8_t *out = buf;
    while (in < end) {
        uint32_t code = *in++;
        const uint8_t *stop = in + code - 1;
        if (code == 0 || stop > end) {
            return -1;
        }
        while (in < stop) {
            uint8_t byte = *in++;
            if (byte == 0) {
                return -1;
            }
            *out++ = byte;
        }
        if (code < 255 && in < end) {
            *out++ = 0;
        }
    }
    return out - buf;
}

// --- SHA-256 (FIPS 180-4) and HMAC (RFC 2104).

static inline uint32_t turned(uint32_t word, int bits) {
    return word >> bits | word << (32 - bits);
}

static inline uint32_t big_endian(const uint8_t *from) {
    return (uint32_t)from[0] << 24 | from[1] << 16 | from[2] << 8 | from[3];
}

static void sha256_block(uint32_t state[8], const uint8_t *block) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    };
    uint32_t w[64], s[8];
    for (int t = 0; t < 16; t++, block += 4) {
        w[t] = big_endian(block);
    }
    for (int t = 16; t < 64; t++) {
        uint32_t far = w[t - 15], near = w[t - 2];
        w[t] = w[t - 16] + w[t - 7] + (turned(far, 7) ^ turned(far, 18) ^ far >> 3)
            + (turned(near, 17) ^ turned(near, 19) ^ near >> 10);
    }
    for (int index = 0; index < 8; index++) {
        s[index] = state[index];
    }
    // The eight words stay where they are; who is called a, b, … moves by one each round, and is back after eight.
#define ROUND(a, b, c, d, e, f, g, h) { \
    h += w[t] + k[t] + (turned(turned(turned(e, 14) ^ e, 5) ^ e, 6)) + (((f ^ g) & e) ^ g); \
    d += h; \
    h += turned(turned(turned(a, 9) ^ a, 11) ^ a, 2) + ((a & b) | (c & (a | b))); \
    t++; \
}
    for (int t = 0; t < 64;) {
        ROUND(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7])
        ROUND(s[7], s[0], s[1], s[2], s[3], s[4], s[5], s[6])
        ROUND(s[6], s[7], s[0], s[1], s[2], s[3], s[4], s[5])
        ROUND(s[5], s[6], s[7], s[0], s[1], s[2], s[3], s[4])
        ROUND(s[4], s[5], s[6], s[7], s[0], s[1], s[2], s[3])
        ROUND(s[3], s[4], s[5], s[6], s[7], s[0], s[1], s[2])
        ROUND(s[2], s[3], s[4], s[5], s[6], s[7], s[0], s[1])
        ROUND(s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[0])
    }
#undef ROUND
    for (int index = 0; index < 8; index++) {
        state[index] += s[index];
    }
}

// Add the last bytes of a message that had `blocks` whole blocks before `rest`, of which `size` bytes are left.
static void sha256_end(uint32_t state[8], const uint8_t *rest, uint32_t size, uint32_t blocks) {
    uint8_t block[BLOCK];
    uint32_t bits = (blocks * BLOCK + size) << 3;
    uint32_t at = 0;
    while (at < size) {
        block[at] = rest[at];
        at++;
    }
    block[at++] = 0x80;
    if (at > BLOCK - 8) {
        while (at < BLOCK) {
            block[at++] = 0;
        }
        sha256_block(state, block);
        at = 0;
    }
    while (at < BLOCK - 4) {
        block[at++] = 0;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        block[at++] = bits >> shift;
    }
    sha256_block(state, block);
}

static void put_big_endian(uint8_t *to, const uint32_t *words, uint32_t size) {
    for (uint32_t index = 0; index < size; index++) {
        to[index] = words[index >> 2] >> (24 - 8 * (index & 3));
    }
}

static void hmac_key(hmac_key_t *key, const uint8_t *secret, uint32_t size) {
    static const uint32_t start[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    uint8_t block[BLOCK];
    for (int index = 0; index < 8; index++) {
        key->inner[index] = key->outer[index] = start[index];
    }
    for (uint32_t index = 0; index < BLOCK; index++) {
        block[index] = (index < size ? secret[index] : 0) ^ 0x36;
    }
    sha256_block(key->inner, block);
    for (uint32_t index = 0; index < BLOCK; index++) {
        block[index] ^= 0x36 ^ 0x5c;
    }
    sha256_block(key->outer, block);
}

// Write the first `mac_size` bytes, at most 32, of the HMAC-SHA-256 of `buf[start:end]` to `mac`.
static void hmac_sha256(const hmac_key_t *key, const uint8_t *buf, const uint8_t *end, uint8_t *mac, uint32_t mac_size) {
    uint32_t inner[8], outer[8];
    uint8_t digest[32];
    for (int index = 0; index < 8; index++) {
        inner[index] = key->inner[index];
        outer[index] = key->outer[index];
    }
    uint32_t blocks = 1;
    for (; end - buf >= BLOCK; buf += BLOCK, blocks++) {
        sha256_block(inner, buf);
    }
    sha256_end(inner, buf, end - buf, blocks);
    put_big_endian(digest, inner, sizeof digest);
    sha256_end(outer, digest, sizeof digest, 1);
    put_big_endian(mac, outer, mac_size);
}

static int hmac_matches(const hmac_key_t *key, const uint8_t *buf, uint32_t end) {
    uint8_t mac[MAC_SIZE];
    hmac_sha256(key, buf, buf + end, mac, MAC_SIZE);
    uint32_t differ = 0;
    for (int index = 0; index < MAC_SIZE; index++) {
        differ |= mac[index] ^ buf[end + index];
    }
    return differ == 0;
}

// --- Fields of messages.

static uint8_t *put_varint(uint8_t *end, uint64_t value) {
    uint8_t groups[10];
    int count = 0;
    for (; value > 127; value >>= 7) {
        groups[count++] = value | 128;
    }
    *--end = value;
    while (count > 0) {
        *--end = groups[--count];
    }
    return end;
}

static uint8_t *pack_fields(
    const uint8_t *table, uint32_t table_size, const int32_t *slots, const uint8_t *const *blobs, uint8_t *end
) {
    for (const uint8_t *entry = table + table_size; entry > table;) {
        entry -= 4;
        uint32_t kind = entry[2];
        const int32_t *slot = slots + entry[3];
        uint64_t value = (uint32_t)slot[0];
        if (kind == MESSAGE) {
            continue;  // packed by the caller, behind these fields
        }
        if (kind == SIGNED) {
            value = (uint32_t)slot[0] << 1 ^ (uint32_t)(slot[0] >> 31);
        } else if (kind == UNSIGNED_64) {
            value |= (uint64_t)(uint32_t)slot[1] << 32;
        } else if (kind >= BYTES) {
            value = (uint32_t)slot[1];
            if (value != 0) {
                const uint8_t *blob = blobs[kind - BYTES] + slot[0];
                for (uint32_t size = slot[1]; size > 0;) {
                    *--end = blob[--size];
                }
            }
        }
        if (value == 0) {
            continue;
        }
        end = put_varint(end, value);
        if (entry[1] != 0) {
            *--end = entry[1];
        }
        *--end = entry[0];
    }
    return end;
}

// Read a number of at most `bits` bits, in groups of seven; NULL when it is longer, or does not end before `end`.
static const uint8_t *take_varint(const uint8_t *pos, const uint8_t *end, int bits, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < bits; shift += 7) {
        if (pos >= end) {
            return 0;
        }
        uint32_t byte = *pos++;
        // Shifts of 64 bits by a number that is not constant would need gcc's library.
        uint32_t group = byte & 127;
        if (shift < 28) {
            *value |= group << shift;
        } else if (shift == 28) {
            *value |= (uint64_t)group << 28;
        } else {
            *value |= (uint64_t)(group << (shift - 35)) << 35;
        }
        if (byte < 128) {
            return pos;
        }
    }
    return 0;
}

static void store(int32_t *slot, uint32_t kind, uint64_t value, uint32_t start) {
    uint32_t low = value;
    if (kind >= MESSAGE) {
        slot[0] = start;
        slot[1] = low;
        return;
    }
    if (kind == SIGNED) {
        low = low >> 1 ^ -(low & 1);
    } else if (kind == BOOL) {
        low = value != 0;
    } else if (kind == UNSIGNED_64) {
        slot[1] = value >> 32;
    }
    slot[0] = low;
}

static int unpack_fields(
    const uint8_t *table, uint32_t table_size, int32_t *slots, const uint8_t *buf, uint32_t start, uint32_t stop
) {
    const uint8_t *pos = buf + start, *end = buf + stop;
    while (pos < end) {
        uint64_t number, value = 0;
        pos = take_varint(pos, end, 70, &number);
        if (pos == 0 || number >> 32 != 0 || number < 8) {
            return 0;  // a tag has 32 bits, and there is no field 0
        }
        uint32_t tag = number, wire = tag & 7, skipped = 0;
        if (wire == 5) {
            skipped = 4;
        } else if (wire == 1) {
            skipped = 8;
        } else if (wire & 5) {
            return 0;  // a group
        } else {
            pos = take_varint(pos, end, 70, &value);
            if (pos == 0) {
                return 0;
            }
            if (wire == 2) {
                if (value > (uint32_t)(end - pos)) {
                    return 0;
                }
                skipped = value;
            }
        }
        if (skipped > (uint32_t)(end - pos)) {
            return 0;
        }
        // A table has the tag's bytes as the wire has them: at most two.
        uint32_t first = tag < 128 ? tag : (tag & 127) | 128, second = tag >> 7;
        for (const uint8_t *entry = table; entry < table + table_size && (wire & 5) == 0; entry += 4) {
            if (entry[0] == first && entry[1] == second) {
                store(slots + entry[3], entry[2], value, pos - buf);
                break;
            }
        }
        pos += skipped;
    }
    return 1;
}

// --- Frames.

// Make the frame of a message in `wire`, packed from its end and stuffed from its start: the one never reaches the other.
// `key` is NULL for one without a seal.
static uint32_t frame_message(
    const uint8_t *table, uint32_t table_size, const int32_t *slots, const uint8_t *const *blobs, uint32_t tag,
    const hmac_key_t *key, uint32_t number, uint8_t *wire, uint32_t wire_size
) {
    uint8_t *end = wire + wire_size - CRC_SIZE;
    uint8_t *body_end = key ? end - SEAL_SIZE : end;
    uint8_t *start = pack_fields(table, table_size, slots, blobs, body_end);
    start = put_varint(start, body_end - start);
    *--start = tag;
    if (key) {
        body_end[0] = SEAL_TAG;
        body_end[1] = SEAL_LENGTH;
        put_word(body_end + 2, number);
        hmac_sha256(key, start, body_end + 6, body_end + 6, MAC_SIZE);
    }
    put_word(end, crc32(start, end));
    return cobs_encode(start, end + CRC_SIZE, wire);
}

// --- Entries of the UART. `job` is as `kernels_host.take_entries` says.

enum { POS, END, TO, TO_END, BEGINS_LINE };

// Tell which banner the entries begin with: 0 none, 2 too few to tell, 3 + n.
static uint32_t banner_at(
    const uint16_t *ring, uint32_t mask, uint32_t pos, uint32_t end, const uint8_t *banners
) {
    for (uint32_t number = 3; *banners != 0; number++) {
        const uint8_t *at = banners + 1, *stop = at + *banners;
        uint32_t then = pos;
        while (at < stop && then != end && (*at == ring[then & mask] || *at == 1)) {
            at++;
            then++;
        }
        if (at == stop) {
            return number;
        }
        if (then == end) {
            return 2;
        }
        banners = stop;
    }
    return 0;
}

// Copy entries that are in one piece, up to the first with something wrong or behind a line feed; return how many.
static uint32_t copy_line(const uint16_t *from, uint32_t count, uint8_t *to) {
    const uint8_t *begin = to;
    for (const uint16_t *end = from + count; from < end;) {
        uint32_t entry = *from++;
        if (entry > 255) {
            break;
        }
        *to++ = entry;
        if (entry == '\n') {
            break;
        }
    }
    return to - begin;
}

static uint32_t take_entries(int32_t *job, const uint16_t *ring, uint32_t ring_size, uint8_t *dst, const uint8_t *banners) {
    uint32_t mask = ring_size - 1, why = 0;
    while (job[POS] != job[END] && job[TO] != job[TO_END]) {
        uint32_t pos = job[POS], at = pos & mask;
        if (ring[at] > 255) {
            why = 1;
            break;
        }
        if (job[BEGINS_LINE]) {
            why = banner_at(ring, mask, pos, job[END], banners);
            if (why) {
                break;
            }
        }
        uint32_t count = job[END] - pos, room = job[TO_END] - job[TO];
        if (count > room) {
            count = room;
        }
        if (count > ring_size - at) {
            count = ring_size - at;
        }
        count = copy_line(ring + at, count, dst + job[TO]);
        job[POS] += count;
        job[TO] += count;
        job[BEGINS_LINE] = dst[job[TO] - 1] == '\n';
    }
    return why;
}

// --- The log ring. `marks` and the records are as `log_ring` says.

enum { SIZE, HEAD, HELD, SENT, OPEN, OPEN_MS };  // of marks
enum { NOW_MS = BEGINS_LINE + 1, TURNS };  // of job, behind what `take_entries` wants
enum { HEAD_SIZE = 6, COUNTS = 6, LOG_DATA_MAX = 448, CHUNK_MS = 40, TICK_MASK = 0x3FFFFFFF };
enum { WRAP, DATA, BOOT, LOST, DAMAGED };  // kinds of records
enum { AT_MS = 3, RECORD_DATA = 10 };  // slots of a LogRecord

static inline uint32_t kind_of(const uint8_t *record) {
    return record[1] >> 4;
}

static inline uint32_t size_of(const uint8_t *record) {
    return record[0] | (record[1] & 15) << 8;
}

static uint32_t log_bytes(const uint8_t *record) {
    uint32_t kind = kind_of(record);
    if (kind == BOOT) {
        return 0;
    }
    if (kind != LOST) {
        return size_of(record) - (kind == DAMAGED ? COUNTS : 0);
    }
    record += HEAD_SIZE;
    return record[0] | record[1] << 8 | record[2] << 16 | (uint32_t)record[3] << 24;
}

static void resize(uint8_t *record, uint32_t size) {
    record[0] = size;
    record[1] = (record[1] & 0xF0) | size >> 8;
}

static uint32_t place(const int32_t *marks, uint32_t distance) {
    uint32_t at = marks[HEAD] + distance;
    return at >= (uint32_t)marks[SIZE] ? at - marks[SIZE] : at;
}

// How many bytes at `at` hold no record because the next stands at the ring's start.
static uint32_t rest_after(const int32_t *marks, const uint8_t *log, uint32_t at) {
    uint32_t rest = marks[SIZE] - at;
    return rest < HEAD_SIZE || kind_of(log + at) == WRAP ? rest : 0;
}

static uint32_t log_room(const int32_t *marks, const uint8_t *log, uint32_t now_ms) {
    if (marks[OPEN] < 0 || marks[SENT] == marks[HELD] || ((now_ms - marks[OPEN_MS]) & TICK_MASK) > CHUNK_MS) {
        return 0;
    }
    const uint8_t *record = log + marks[OPEN];
    uint32_t end = place(marks, marks[HELD]), by_end = marks[SIZE] - end;
    uint32_t by_size = LOG_DATA_MAX + (kind_of(record) == DAMAGED ? COUNTS : 0) - size_of(record);
    if (end == 0) {
        return 0;  // the record ends where the ring does
    }
    return by_size < by_end ? by_size : by_end;
}

// Begin a record of the node's bytes, unless the ring has no room for it and the head of another.
static int log_begin(int32_t *marks, uint8_t *log, uint32_t now_ms, uint32_t turns) {
    if (marks[OPEN] >= 0 && size_of(log + marks[OPEN]) == 0) {
        return 0;  // one of which nothing came: rare
    }
    uint32_t at = place(marks, marks[HELD]), rest = marks[SIZE] - at;
    if (rest <= HEAD_SIZE || marks[HELD] + HEAD_SIZE >= marks[SIZE]) {
        return 0;  // it has to run around, or something has to go
    }
    uint8_t *record = log + at;
    record[0] = 0;
    record[1] = DATA << 4;
    put_word(record + 2, now_ms | turns << 30);
    marks[HELD] += HEAD_SIZE;
    marks[OPEN] = at;
    marks[OPEN_MS] = now_ms;
    return 1;
}

// Prepare `job` for as many entries as the open record takes; 0 when the ring must be seen to first.
static int log_prepare(const int32_t *marks, const uint8_t *log, int32_t *job) {
    uint32_t room = log_room(marks, log, job[NOW_MS]), is_free = marks[SIZE] - marks[HELD];
    job[TO] = place(marks, marks[HELD]);
    job[TO_END] = job[TO] + (room < is_free ? room : is_free);
    return job[TO] != job[TO_END];
}

static void log_grow(int32_t *marks, uint8_t *log, uint32_t count) {
    resize(log + marks[OPEN], size_of(log + marks[OPEN]) + count);
    marks[HELD] += count;
}

static int32_t log_next(int32_t *marks, const uint8_t *log, int32_t *slots, uint32_t now_ms, uint32_t turns) {
    if (marks[SENT] == marks[HELD]) {
        return 0;
    }
    uint32_t at = place(marks, marks[SENT]), size = size_of(log + at);
    if ((int32_t)at == marks[OPEN] && (size == 0 || log_room(marks, log, now_ms) != 0)) {
        return 0;
    }
    const uint8_t *record = log + at;
    if (kind_of(record) != DATA) {
        return -1;
    }
    uint32_t ms = record[2] | record[3] << 8 | record[4] << 16 | (record[5] & 63) << 24;
    turns -= (turns - (record[5] >> 6)) & 3;  // a record has their last two bits, and is no older than four of them
    slots[AT_MS] = ms | turns << 30;
    slots[AT_MS + 1] = turns >> 2;
    slots[RECORD_DATA] = at + HEAD_SIZE;
    slots[RECORD_DATA + 1] = size;
    marks[SENT] += HEAD_SIZE + size;
    if (marks[SENT] < marks[HELD]) {
        marks[SENT] += rest_after(marks, log, place(marks, marks[SENT]));
    }
    return size;
}

static void log_drop(int32_t *marks, const uint8_t *log) {
    uint32_t at = marks[HEAD], gone = HEAD_SIZE + size_of(log + at);
    if (marks[OPEN] == (int32_t)at) {
        marks[OPEN] = -1;
    }
    marks[HEAD] = place(marks, gone);
    marks[HELD] -= gone;
    if (marks[HELD] != 0) {
        uint32_t rest = rest_after(marks, log, marks[HEAD]);
        marks[HEAD] = place(marks, rest);
        marks[HELD] -= rest;
        gone += rest;
    }
    marks[SENT] = marks[SENT] > (int32_t)gone ? marks[SENT] - (int32_t)gone : 0;
}

static uint32_t log_free(int32_t *marks, const uint8_t *log, uint32_t count) {
    uint32_t freed = 0;
    while (marks[HELD] != 0) {
        uint32_t at = marks[HEAD], size = size_of(log + at);
        if (kind_of(log + at) != DATA || freed + size > count) {
            break;
        }
        freed += size;
        log_drop(marks, log);
    }
    return freed;
}
