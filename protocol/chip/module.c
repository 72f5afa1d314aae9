// The kernels as a module for MicroPython, `racklet_link.kernels_chip`: `kernels_host.py` states what each does. Built by
// tools/chip-kernels. Offsets and sizes are the caller's to get right, as with the kernels in viper: none is checked.

#include "py/dynruntime.h"
#include "py/stream.h"

#include "kernels.c"

enum { BLOBS_MAX = 4, CTRL_C = 3, CR = 13, USB_PACKET = 64, TOTAL_MASK = 0x7FFFFFF };
enum { PATIENCE = 50 };  // how often a full port is asked, which takes 0.1 ms: it sends a packet in half of that

// MicroPython calls every function with these.
#define FUNCTION(name) static mp_obj_t name##_call(mp_obj_t self, size_t n_args, size_t n_kw, mp_obj_t *args)

static mp_int_t number(mp_obj_t object) {
    return mp_obj_is_small_int(object) ? MP_OBJ_SMALL_INT_VALUE(object) : (mp_int_t)mp_obj_get_int_truncated(object);
}

static void *bytes_of(mp_obj_t object, size_t *size) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(object, &info, MP_BUFFER_READ);
    if (size) {
        *size = info.len;
    }
    return info.buf;
}

#define PTR(index) bytes_of(args[index], NULL)
#define INT(index) number(args[index])

static void find_blobs(mp_obj_t list, const uint8_t **blobs) {
    size_t count;
    mp_obj_t *items;
    mp_obj_get_array(list, &count, &items);
    for (size_t index = 0; index < count && index < BLOBS_MAX; index++) {
        blobs[index] = bytes_of(items[index], NULL);
    }
}

FUNCTION(crc32_append) {
    uint8_t *buf = PTR(0);
    put_word(buf + INT(3), crc32(buf + INT(1), buf + INT(2)));
    return mp_const_none;
}

FUNCTION(crc32_matches) {
    return mp_obj_new_bool(crc32_matches(PTR(0), INT(2)));
}

FUNCTION(cobs_encode) {
    const uint8_t *src = PTR(0);
    return MP_OBJ_NEW_SMALL_INT(cobs_encode(src + INT(1), src + INT(2), PTR(3)));
}

FUNCTION(cobs_decode) {
    return MP_OBJ_NEW_SMALL_INT(cobs_decode(PTR(0), INT(1)));
}

FUNCTION(copy) {
    uint8_t *dst = PTR(0), *src = PTR(2);
    mp_fun_table.memmove_(dst + INT(1), src + INT(3), INT(4));
    return mp_const_none;
}

FUNCTION(find_zero) {
    const uint8_t *buf = PTR(0), *pos = buf + INT(1), *end = buf + INT(2);
    while (pos < end && *pos) {
        pos++;
    }
    return MP_OBJ_NEW_SMALL_INT(pos - buf);
}

FUNCTION(hmac_key) {
    hmac_key_t key;
    size_t size;
    const uint8_t *secret = bytes_of(args[0], &size);
    hmac_key(&key, secret, size);
    return mp_obj_new_bytes((const uint8_t *)&key, sizeof key);
}

FUNCTION(hmac_sha256) {
    uint8_t mac[32];
    const uint8_t *buf = PTR(1);
    hmac_sha256(PTR(0), buf + INT(2), buf + INT(3), mac, sizeof mac);
    return mp_obj_new_bytes(mac, sizeof mac);
}

FUNCTION(hmac_matches) {
    return mp_obj_new_bool(hmac_matches(PTR(0), PTR(1), INT(2)));
}

FUNCTION(put_time) {
    int32_t *slot = (int32_t *)PTR(0) + INT(1);
    uint32_t turns = INT(2);
    slot[0] = INT(3) | turns << 30;
    slot[1] = turns >> 2;
    return mp_const_none;
}

FUNCTION(clear) {
    int32_t *slots = PTR(0);
    for (mp_int_t count = INT(1); count > 0; count--) {
        *slots++ = 0;
    }
    return mp_const_none;
}

FUNCTION(pack_fields) {
    const uint8_t *blobs[BLOBS_MAX];
    uint8_t *buf = PTR(4);
    find_blobs(args[3], blobs);
    return MP_OBJ_NEW_SMALL_INT(pack_fields(PTR(0), INT(1), PTR(2), blobs, buf + INT(5)) - buf);
}

FUNCTION(unpack_fields) {
    return mp_obj_new_bool(unpack_fields(PTR(0), INT(1), PTR(2), PTR(3), INT(4), INT(5)));
}

FUNCTION(frame_message) {
    const uint8_t *blobs[BLOBS_MAX];
    size_t table_size, wire_size;
    const uint8_t *table = bytes_of(args[0], &table_size);
    uint8_t *wire = bytes_of(args[6], &wire_size);
    const hmac_key_t *key = args[4] == mp_const_none ? NULL : PTR(4);
    find_blobs(args[2], blobs);
    return MP_OBJ_NEW_SMALL_INT(
        frame_message(table, table_size, PTR(1), blobs, INT(3), key, INT(5), wire, wire_size)
    );
}

FUNCTION(take_entries) {
    return MP_OBJ_NEW_SMALL_INT(take_entries(PTR(0), PTR(1), INT(2), PTR(3), PTR(4)));
}

// The entries count only when `total`, which is asked behind every copy, says that none was overwritten meanwhile.
FUNCTION(log_take) {
    int32_t *marks = PTR(0), *job = PTR(2);
    uint8_t *log = PTR(1);
    const uint16_t *ring = PTR(3);
    const uint8_t *banners = PTR(5);
    mp_int_t ring_size = INT(4), most = INT(7);
    uint32_t why = 0;
    while (job[POS] != job[END] && why == 0) {
        if (!log_prepare(marks, log, job)
            && !(log_begin(marks, log, job[NOW_MS], job[TURNS]) && log_prepare(marks, log, job))) {
            return MP_OBJ_NEW_SMALL_INT(-1);
        }
        int32_t pos = job[POS], begins_line = job[BEGINS_LINE];
        why = take_entries(job, ring, ring_size, log, banners);
        mp_int_t total = number(mp_call_function_n_kw(args[6], 0, 0, NULL));
        if (((total - pos) & TOTAL_MASK) > most) {
            job[POS] = pos;
            job[BEGINS_LINE] = begins_line;
            return MP_OBJ_NEW_SMALL_INT(-2);
        }
        log_grow(marks, log, job[POS] - pos);
    }
    return MP_OBJ_NEW_SMALL_INT(why);
}

FUNCTION(log_room) {
    return MP_OBJ_NEW_SMALL_INT(log_room(PTR(0), PTR(1), INT(2)));
}

FUNCTION(log_grow) {
    log_grow(PTR(0), PTR(1), INT(2));
    return mp_const_none;
}

FUNCTION(log_rest_after) {
    return MP_OBJ_NEW_SMALL_INT(rest_after(PTR(0), PTR(1), INT(2)));
}

FUNCTION(log_next) {
    return MP_OBJ_NEW_SMALL_INT(log_next(PTR(0), PTR(1), PTR(2), INT(3), INT(4)));
}

FUNCTION(log_bytes) {
    return mp_obj_new_int_from_uint(log_bytes((const uint8_t *)PTR(0) + INT(1)));
}

FUNCTION(log_drop) {
    log_drop(PTR(0), PTR(1));
    return mp_const_none;
}

FUNCTION(log_free) {
    return MP_OBJ_NEW_SMALL_INT(log_free(PTR(0), PTR(1), INT(2)));
}

static bool is_ready(const mp_stream_p_t *stream, mp_obj_t object, mp_uint_t flag) {
    int error;
    return stream->ioctl(object, MP_STREAM_POLL, flag, &error) & flag;
}

FUNCTION(read_waiting) {
    const mp_stream_p_t *stream = mp_get_stream_raise(args[0], MP_STREAM_OP_READ | MP_STREAM_OP_IOCTL);
    size_t size, count = 0;
    uint8_t *buf = bytes_of(args[1], &size);
    mp_int_t last = INT(2);
    int error;
    while (count < size && is_ready(stream, args[0], MP_STREAM_POLL_RD)) {
        if (stream->read(args[0], buf + count, 1, &error) != 1) {
            break;
        }
        mp_int_t byte = buf[count++];
        if (byte == CTRL_C && last == CR) {
            break;
        }
        last = byte;
    }
    return MP_OBJ_NEW_SMALL_INT(count);
}

FUNCTION(write_ready) {
    const mp_stream_p_t *stream = mp_get_stream_raise(args[0], MP_STREAM_OP_WRITE | MP_STREAM_OP_IOCTL);
    const uint8_t *buf = PTR(1);
    mp_int_t start = INT(2), end = INT(3);
    int error;
    for (int asked = 0; start < end && asked < PATIENCE; asked++) {
        if (!is_ready(stream, args[0], MP_STREAM_POLL_WR)) {
            continue;
        }
        mp_uint_t taken = stream->write(args[0], buf + start, MIN(end - start, USB_PACKET), &error);
        if (taken == MP_STREAM_ERROR || taken == 0) {
            break;
        }
        start += taken;
        asked = 0;
    }
    return MP_OBJ_NEW_SMALL_INT(start);
}

static void add(mp_obj_fun_bc_t *self, qstr name, void *function) {
    mp_raw_code_truncated_t code;  // what is not set here is not read; an initializer would call memset
    code.proto_fun_indicator[0] = MP_PROTO_FUN_INDICATOR_RAW_CODE_0;
    code.proto_fun_indicator[1] = MP_PROTO_FUN_INDICATOR_RAW_CODE_1;
    code.kind = MP_CODE_NATIVE_VIPER;
    code.is_generator = 0;
    code.fun_data = function;
    mp_store_global(name, mp_make_function_from_proto_fun((mp_proto_fun_t)&code, self->context, NULL));
}

#define ADD(name) add(self, MP_QSTR_##name, name##_call)

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    ADD(clear);
    ADD(cobs_decode);
    ADD(cobs_encode);
    ADD(copy);
    ADD(crc32_append);
    ADD(crc32_matches);
    ADD(find_zero);
    ADD(frame_message);
    ADD(hmac_key);
    ADD(hmac_matches);
    ADD(hmac_sha256);
    ADD(log_bytes);
    ADD(log_drop);
    ADD(log_free);
    ADD(log_grow);
    ADD(log_next);
    ADD(log_rest_after);
    ADD(log_room);
    ADD(log_take);
    ADD(pack_fields);
    ADD(put_time);
    ADD(read_waiting);
    ADD(take_entries);
    ADD(unpack_fields);
    ADD(write_ready);
    MP_DYNRUNTIME_INIT_EXIT
}
