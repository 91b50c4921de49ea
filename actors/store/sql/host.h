/* host.h - included before all else in what becomes the extension: every call of SQLite goes to the one that loaded it,
 * so that there is one in the process, and its locks on the file are counted once. */
#ifndef SQL_HOST_H
#define SQL_HOST_H

#include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;

/* SQLite is the program's that loads us, and configured by it. */
#define sqlite3_config(...) ((void)0)

#endif
