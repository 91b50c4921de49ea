/* tables.c - what CZMQ's tables and lists name beside themselves.
 *
 * We take zhashx, zlistx and zclock out of CZMQ's archive, and these words instead of the rest of it: it is named by
 * zhashx_pack(), _unpack(), _save(), _load(), _refresh(), _comment() and by the self-tests, which we never call. With all of CZMQ each process
 * has systemd, gcrypt and three compressors relocated for itself: 0.2 MB, fifteen times. */
#include <czmq.h>

#include <stdlib.h>

zframe_t *zframe_new(const void *data, size_t size) { (void)data, (void)size; abort(); }
void zframe_destroy(zframe_t **self_p) { (void)self_p; abort(); }
byte *zframe_data(zframe_t *self) { (void)self; abort(); }
size_t zframe_size(zframe_t *self) { (void)self; abort(); }
void zstr_free(char **string_p) { free(*string_p); *string_p = NULL; } /* who frees a key that was copied: this one is called */
int zsys_file_delete(const char *name) { (void)name; abort(); }
time_t zsys_file_modified(const char *name) { (void)name; abort(); }
bool zsys_file_stable(const char *name) { (void)name; abort(); }
char *zsys_vprintf(const char *format, va_list arguments) { (void)format, (void)arguments; abort(); }
void zsys_warning(const char *format, ...) { (void)format; abort(); }
