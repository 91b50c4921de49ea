/* packed_set.c - an attribute set as its difference to another one that it resembles. */
#include "packed_set.h"

#include "pack.h"

#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 6 /* measured, see docs/store-format.md */, MAGIC = 4 /* bytes that every frame begins with: left out */ };
static const uint8_t magic[MAGIC] = { 0x28, 0xb5, 0x2f, 0xfd };

void set_pack(struct chunk_tools *tools, struct slice base, struct slice whole, msgpack_sbuffer *out)
{
    size_t room = ZSTD_compressBound(whole.size);
    uint8_t *frame = malloc(room);
    assert(frame && base.size <= SET_BYTES_MAX && whole.size <= SET_BYTES_MAX);
    if (!tools->packing)
        tools->packing = ZSTD_createCCtx();
    assert(tools->packing);
    ZSTD_CCtx_reset(tools->packing, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(tools->packing, ZSTD_c_compressionLevel, LEVEL);
    if (base.size > 0)
        ZSTD_CCtx_refPrefix(tools->packing, base.data, base.size);
    size_t size = ZSTD_compress2(tools->packing, frame, room, whole.data, whole.size);
    assert(!ZSTD_isError(size) && size > MAGIC);
    pack_bytes(out, frame + MAGIC, size - MAGIC);
    free(frame);
}

int set_unpack(struct chunk_tools *tools, struct slice base, struct slice packed, msgpack_sbuffer *out)
{
    buffer_clear(out);
    if (packed.size > ZSTD_compressBound(SET_BYTES_MAX))
        return -1;
    size_t size = MAGIC + packed.size;
    uint8_t *frame = malloc(size);
    assert(frame);
    memcpy(frame, magic, MAGIC);
    if (packed.size > 0)
        memcpy(frame + MAGIC, packed.data, packed.size);
    unsigned long long whole = ZSTD_getFrameContentSize(frame, size); /* not known, or no frame: huge numbers */
    if (whole <= SET_BYTES_MAX) {
        char *bytes = malloc((size_t)whole + 1);
        assert(bytes);
        if (!tools->unpacking)
            tools->unpacking = ZSTD_createDCtx();
        assert(tools->unpacking);
        ZSTD_DCtx_reset(tools->unpacking, ZSTD_reset_session_only);
        ZSTD_DCtx_refPrefix(tools->unpacking, base.data, base.size);
        size_t unpacked = ZSTD_decompressDCtx(tools->unpacking, bytes, (size_t)whole, frame, size);
        ZSTD_DCtx_refPrefix(tools->unpacking, NULL, 0); /* also where it was damaged */
        pack_bytes(out, bytes, unpacked == whole ? (size_t)whole : 0);
        whole = unpacked == whole ? whole : ZSTD_CONTENTSIZE_ERROR;
        free(bytes);
    }
    free(frame);
    return whole <= SET_BYTES_MAX ? 0 : -1;
}
