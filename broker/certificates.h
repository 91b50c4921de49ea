/* certificates.h - whose keys lie in a directory. */
#ifndef CERTIFICATES_H
#define CERTIFICATES_H

#include <stdbool.h>

enum { KEY_TEXT = 40 }; /* characters of a key, Z85 */

/* Below `curve` of one of its files: public-key = "...". false too where it cannot be read. */
bool certificates_have(const char *path, const char key[KEY_TEXT + 1]);

#endif
