/* fuzz_set.c - anything as a packed attribute set and its base, and as what is packed.
 *
 * What must hold: bytes are read to their end or refused; what was packed comes back. */
#include "packed_set.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct chunk_tools tools;
    if (size < 3)
        return 0;
    size_t base_size = (size_t)data[1] << 8 | data[2];
    base_size = base_size < size - 3 ? base_size : size - 3;
    struct slice base = { data + 3, base_size }, rest = { data + 3 + base_size, size - 3 - base_size };
    msgpack_sbuffer packed = { 0 }, back = { 0 };
    if (data[0] & 1) {
        if (set_unpack(&tools, base, rest, &back) == 0)
            assert(back.size <= SET_BYTES_MAX);
    } else if (rest.size <= SET_BYTES_MAX) {
        set_pack(&tools, base, rest, &packed);
        int rc = set_unpack(&tools, base, (struct slice){ packed.data, packed.size }, &back);
        assert(rc == 0 && back.size == rest.size && (rest.size == 0 || memcmp(back.data, rest.data, rest.size) == 0));
    }
    msgpack_sbuffer_destroy(&packed);
    msgpack_sbuffer_destroy(&back);
    return 0;
}
