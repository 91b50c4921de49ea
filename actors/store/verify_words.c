/* verify_words.c - snapshots, readings and users are compared with their hash now and then. */
#include "inside.h"

enum { AT_ONCE = 256 };

static const struct { enum word_kind kind; enum statement walk; const char *name; } tables[] = {
    { SNAPSHOT, SNAPSHOT_WALK, "snapshot" }, { READING, READING_WALK, "reading" }, { USER, USER_WALK, "user" },
};
enum { TABLES = sizeof tables / sizeof *tables };

/* Out of the file, not out of the memory of words. */
enum store_result store_verify_words(store_t *store, struct store_looked_words *looked)
{
    int rc = SQLITE_DONE;
    assert(store->writer);
    *looked = (struct store_looked_words){ 0 };
    for (; store->verified_table < TABLES; store->verified_table++, store->verified_word = 0) {
        sqlite3_stmt *walk = statement(store, tables[store->verified_table].walk);
        if (!walk)
            return STORE_TROUBLE;
        sqlite3_bind_int64(walk, 1, store->verified_word);
        while (looked->words < AT_ONCE && looked->bad_count < LOOKED_BAD && (rc = sqlite3_step(walk)) == SQLITE_ROW) {
            store->verified_word = sqlite3_column_int64(walk, 0);
            looked->words++;
            if (hash_bytes(HASH_SEED, column_bytes(walk, 2)) != (uint64_t)sqlite3_column_int64(walk, 1))
                looked->bad[looked->bad_count++] = (struct store_bad_word){ tables[store->verified_table].name, store->verified_word };
        }
        sqlite3_reset(walk);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            return trouble(store, "cannot look at what repeats");
        if (rc == SQLITE_ROW)
            return STORE_OK;
    }
    if (looked->words > 0)
        return STORE_OK;
    store->verified_table = 0;
    store->verified_word = 0;
    return STORE_MISSING;
}
