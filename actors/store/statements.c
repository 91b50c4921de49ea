/* statements.c - every SQL text that is asked again and again. */
#include "inside.h"

#include <stdio.h>

#define WORDS(kind, table)                                                          \
    [kind##_FIND] = "SELECT id, bytes FROM " table " WHERE hash = ?",               \
    [kind##_ADD]  = "INSERT INTO " table " (hash, bytes) VALUES (?, ?)",            \
    [kind##_GET]  = "SELECT bytes, hash FROM " table " WHERE id = ?"
#define WALK(kind, table) [kind##_WALK] = "SELECT id, hash, bytes FROM " table " WHERE id > ? ORDER BY id"

#define CHUNK_ENTRY "id, first, last, rows, numbers, min, max, main_bytes, rest_bytes, main_sum, rest_sum, bad"

#define LAST_AT "SELECT max(at) FROM event WHERE series = ?1 AND at <= ?2"

#define BUCKET_COLUMNS "count, seconds, unavailable, gap, mean, min, max, last, increase, state, durations, unit, day"
#define BUCKET_EXCLUDED "excluded.count, excluded.seconds, excluded.unavailable, excluded.gap, excluded.mean, excluded.min, excluded.max, excluded.last," \
    " excluded.increase, excluded.state, excluded.durations, excluded.unit, excluded.day"
static const char *const texts[STATEMENTS] = {
    [BEGIN_READ]    = "BEGIN",
    [BEGIN_WRITE]   = "BEGIN IMMEDIATE",
    [COMMIT]        = "COMMIT",
    [ROLLBACK]      = "ROLLBACK",
    [SERIES_FIND]   = "SELECT id, is_state, name FROM series WHERE hash = ?",
    [SERIES_ADD]    = "INSERT INTO series (hash, is_state, name) VALUES (?, ?, ?)",
    [SERIES_NEWEST] = "SELECT at FROM event WHERE series = ? ORDER BY at DESC LIMIT 1",
    [SERIES_AFTER]  = "SELECT id, hash, is_state, name FROM series WHERE id > ? ORDER BY id",
    [SEEN_ADD]      = "INSERT OR IGNORE INTO seen (series, snapshot) VALUES (?, ?)",
    WORDS(ATTRIBUTE, "attribute"),
    [PACKED_GET]    = "SELECT hash, base, bytes FROM attribute_packed WHERE id = ?",
    [PACKED_FIND]   = "SELECT id FROM attribute_packed WHERE hash = ?",
    [PACKED_ADD]    = "INSERT INTO attribute_packed (id, hash, base, bytes) VALUES (?, ?, ?, ?)",
    [PACKED_DROP]   = "DELETE FROM attribute_packed WHERE id = ?",
    /* The next number follows from the newest one: that stays. */
    [PLAIN_GET]     = "SELECT hash, bytes FROM attribute WHERE id = ? AND id < (SELECT max(id) FROM attribute)",
    [PLAIN_ADD]     = "INSERT INTO attribute (id, hash, bytes) VALUES (?, ?, ?)",
    [PLAIN_DROP]    = "DELETE FROM attribute WHERE id = ?",
    [BASE_OF]       = "SELECT id, hash, bytes FROM attribute_base JOIN attribute USING (id) WHERE series = ? ORDER BY id DESC LIMIT 1",
    [BASE_IS]       = "SELECT 1 FROM attribute_base WHERE id = ?",
    [BASE_ADD]      = "INSERT INTO attribute_base (id, series) VALUES (?, ?)",
    [SETS_WALK]     = "SELECT id, hash, bytes, NULL, EXISTS (SELECT 1 FROM attribute_bad b WHERE b.id = attribute.id) FROM attribute WHERE id > ?1"
                      " UNION ALL SELECT id, hash, bytes, base, EXISTS (SELECT 1 FROM attribute_bad b WHERE b.id = attribute_packed.id) FROM attribute_packed WHERE id > ?1"
                      " ORDER BY 1",
    [SET_BAD_ADD]   = "INSERT OR IGNORE INTO attribute_bad VALUES (?)",
    [SET_BAD_DROP]  = "DELETE FROM attribute_bad WHERE id = ?",
    [SET_BAD_LIST]  = "SELECT id FROM attribute_bad ORDER BY id",
    [PACKING_SPAN]  = "SELECT ifnull((SELECT value FROM meta WHERE name = 'packed_until'), 0), ifnull((SELECT max(id) FROM chunk_data), 0)",
    [PACKING_PUT]   = "INSERT OR REPLACE INTO meta VALUES ('packed_until', ?)",
    [PACKING_WALK]  = "SELECT " CHUNK_ENTRY ", series FROM chunk WHERE (series, first) > (?, ?) AND id > ? ORDER BY series, first LIMIT 1",
    [EVENT_BODIES]  = "SELECT body FROM event WHERE series = ?",
    WORDS(SNAPSHOT,  "snapshot"),
    WALK(SNAPSHOT, "snapshot"),
    WORDS(READING,   "reading"),
    WALK(READING, "reading"),
    WORDS(USER,      "user"),
    WALK(USER, "user"),
    [EVENT_ADD]     = "INSERT INTO event (series, at, rest, shift, place, body) VALUES (?, ?, ?, ?, ?, ?)",
    [EVENTS_ADD]    = "INSERT OR FAIL INTO event SELECT series, at, rest, shift, place, body FROM waiting",
    [TIMES_ADD]     = "INSERT OR FAIL INTO time SELECT time, place, series, back, rest FROM waiting",
    [TIME_DROP]     = "DELETE FROM time WHERE time = ?1 AND place = ?2 AND series = ?3 AND back = ?4 - ?1 AND rest = ?5",
    [EVENT_REPLACE] = "UPDATE event SET shift = ?4, place = ?5, body = ?6 WHERE series = ?1 AND at = ?2 AND rest = ?3",
    [EVENT_TWINS]   = "SELECT rest, at + shift, body, place FROM event WHERE series = ? AND at = ?",
    [LINK_ADD]      = "INSERT OR IGNORE INTO link (kind, value, time, place, series, at, rest) VALUES (?, ?, ?, ?, ?, ?, ?)",
    [LINK_DROP]     = "DELETE FROM link WHERE kind = ? AND value = ? AND time = ? AND place = ? AND series = ? AND at = ? AND rest = ?",
    [EVENT_GET]     = "SELECT at + shift, place, series, at, rest, body FROM event WHERE series = ? AND at = ? AND rest = ?",
    /* The newest, of those the one with the greatest place; ORDER BY both would have SQLite make a table and sort. */
    [EVENT_LAST]    = "SELECT at + shift, place, series, at, rest, body FROM event WHERE series = ?1 AND at = (" LAST_AT ")"
                      " AND place = (SELECT max(place) FROM event WHERE series = ?1 AND at = (" LAST_AT "))",
    [EVENT_BACK]    = "SELECT at + shift, place, at, rest, body FROM event WHERE series = ? AND at <= ? ORDER BY at DESC, rest DESC",
    [SETTLED_PUT]   = "INSERT OR REPLACE INTO settled (source, fate, count) VALUES (?, ?, ?)",
    [PASSED_ADD]    = "INSERT OR IGNORE INTO passed (place) VALUES (?)",
    [PASSED_FIND]   = "SELECT 1 FROM passed WHERE place = ?",
    [PASSED_DROP]   = "DELETE FROM passed WHERE place < min(?1, coalesce((SELECT place FROM passed ORDER BY place LIMIT 1 OFFSET ?2), ?1))",
    [EVENTS_BEFORE] = "SELECT at + shift, place, at, rest FROM event WHERE series = ? AND at < ? ORDER BY at",
    [STATISTIC_LOOK] = "SELECT 1 FROM sqlite_master WHERE name = 'statistic'",
    [STATISTIC_SERIES_FIND] = "SELECT id FROM statistic_series WHERE name = ? AND seconds = ?",
    [STATISTIC_SERIES_ADD]  = "INSERT INTO statistic_series (name, seconds) VALUES (?, ?)",
    [STATISTIC_SERIES_LIST] = "SELECT id, name, seconds FROM statistic_series WHERE id >= ? ORDER BY id",
    [STATISTIC_META_FIND]   = "SELECT id FROM statistic_meta WHERE bytes = ?",
    [STATISTIC_META_ADD]    = "INSERT INTO statistic_meta (bytes) VALUES (?)",
    /* The same period again: what was said last, and no change where it is the same. */
    [STATISTIC_PUT]  = "INSERT INTO statistic (series, start, meta, mean, min, max, state, sum, weight, reset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                       " ON CONFLICT DO UPDATE SET meta = excluded.meta, mean = excluded.mean, min = excluded.min, max = excluded.max,"
                       " state = excluded.state, sum = excluded.sum, weight = excluded.weight, reset = excluded.reset"
                       " WHERE meta <> excluded.meta OR mean IS NOT excluded.mean OR min IS NOT excluded.min OR max IS NOT excluded.max"
                       " OR state IS NOT excluded.state OR sum IS NOT excluded.sum OR weight IS NOT excluded.weight OR reset IS NOT excluded.reset",
    [STATISTIC_LIST] = "SELECT start, bytes, mean, min, max, state, sum, weight, reset FROM statistic JOIN statistic_meta ON id = meta"
                       " WHERE series = ? AND start >= ? AND start < ? ORDER BY start",
    [STATISTIC_ENDS] = "SELECT (SELECT start FROM statistic WHERE series = ?1 ORDER BY start LIMIT 1), start, bytes"
                       " FROM statistic JOIN statistic_meta ON id = meta WHERE series = ?1 ORDER BY start DESC LIMIT 1",
    /* A number is given once, also when its row has gone: somebody may still hold it in his hand. */
    [EVENT_DROP]    = "DELETE FROM event WHERE series = ? AND at = ? AND rest = ?",
    [BAD_ADD]       = "INSERT OR IGNORE INTO bad (id, stage, identity, field, why, place, received_at, bytes) VALUES (1 + max(ifnull((SELECT max(id) FROM bad), 0),"
                      " ifnull((SELECT value FROM meta WHERE name = 'bad_top'), 0)), ?, ?, ?, ?, ?, ?, ?)",
    [BAD_SAY]       = "UPDATE bad SET field = ?3, why = ?4 WHERE stage = ?1 AND identity = ?2 AND (why <> ?4 OR field IS NOT ?3)",
    [BAD_SAY_ID]    = "UPDATE bad SET field = ?2, why = ?3 WHERE id = ?1 AND (why <> ?3 OR field IS NOT ?2)",
    [BAD_LIKE]      = "SELECT 1 FROM bad WHERE stage = ? AND received_at = ? AND bytes = ?",
    [BAD_LIST]      = "SELECT id, stage, field, why, received_at, length(bytes), substr(bytes, 1, 4096) FROM bad"
                      " WHERE id < ?1 AND (?2 = '' OR stage = ?2) AND received_at >= ?3 ORDER BY id DESC LIMIT ?4",
    [BAD_COUNT]     = "SELECT count(*) FROM bad WHERE ?1 = '' OR stage = ?1",
    [BAD_COUNT_SINCE] = "SELECT count(*) FROM bad WHERE (?1 = '' OR stage = ?1) AND received_at >= ?2",
    [BAD_GET]       = "SELECT id, stage, field, why, received_at, length(bytes), bytes FROM bad WHERE id = ?",
    [BAD_NEXT]      = "SELECT bad.id, stage, place, received_at, bytes, provenance FROM bad LEFT JOIN bad_source USING (id)"
                      " WHERE bad.id >= ?1 AND (?2 = '' OR stage = ?2) ORDER BY bad.id LIMIT 1",
    [BAD_LAST]      = "SELECT ifnull(max(id), 0) FROM bad",
    [BAD_DROP]      = "DELETE FROM bad WHERE id = ?",
    [BAD_TOP]       = "INSERT INTO meta VALUES ('bad_top', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)",
    [SOURCE_ADD]    = "INSERT OR REPLACE INTO bad_source VALUES (?, ?)",
    [SOURCE_DROP]   = "DELETE FROM bad_source WHERE id = ?",
    [FILTER_GET]    = "SELECT rules, set_at FROM filter",
    [FILTER_SET]    = "INSERT OR REPLACE INTO filter VALUES (1, ?, ?)",
    [FILTER_COUNT_LIST]  = "SELECT rule, filtered, thinned FROM filter_count",
    [FILTER_COUNT_PUT]   = "INSERT OR REPLACE INTO filter_count VALUES (?, ?, ?)",
    [FILTER_COUNT_CLEAR] = "DELETE FROM filter_count",
    [EVENT_HOT_COUNT] = "SELECT count(*) FROM event WHERE series = ?3 AND at >= ?1 AND at < ?2 AND shift = 0",
    [SHIFTED_COUNT] = "SELECT count(*) FROM link WHERE kind = 4 AND value = 0 AND time >= ?1 AND time < ?2",
    /* Sealed rows. */
    [SEALED_UNTIL_GET] = "SELECT value FROM meta WHERE name = 'sealed_until'",
    [SEALED_UNTIL_PUT] = "INSERT INTO meta VALUES ('sealed_until', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)",
    [CHUNK_BEFORE]  = "SELECT " CHUNK_ENTRY " FROM chunk WHERE series = ? AND first <= ? ORDER BY first DESC LIMIT 1",
    [CHUNK_AFTER]   = "SELECT " CHUNK_ENTRY " FROM chunk WHERE series = ? AND first > ? ORDER BY first LIMIT 1",
    [CHUNK_SUM]     = "SELECT sum(rows) FROM chunk WHERE series = ?1 AND first >= ?2 AND first < ?3 AND last < ?3 AND bad = 0",
    [CHUNK_WALK]    = "SELECT " CHUNK_ENTRY ", series FROM chunk WHERE (series, first) > (?, ?) ORDER BY series, first LIMIT 1",
    [CHUNK_MAIN]    = "SELECT main FROM chunk_data WHERE id = ?",
    [CHUNK_REST]    = "SELECT rest FROM chunk_data WHERE id = ?",
    [CHUNK_IN_FORCE] = "SELECT chunk.id, first, last, rows, main_bytes, main_sum, bad, alone, main FROM chunk LEFT JOIN chunk_data ON chunk_data.id = chunk.id"
                      " WHERE series = ? AND first <= ? ORDER BY first DESC LIMIT 1",
    [CHUNK_ADD]     = "INSERT INTO chunk (id, series, first, last, rows, numbers, min, max, main_bytes, rest_bytes, main_sum, rest_sum, bad, alone)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, NOT EXISTS (SELECT 1 FROM event WHERE series = ?2 AND at >= ?3 AND at <= ?4))",
    [CHUNK_ALONE_LOOK] = "SELECT 1 FROM pragma_table_info('chunk') WHERE name = 'alone'",
    [CHUNK_NOT_ALONE] = "UPDATE chunk SET alone = 0 WHERE series = ?1 AND first = (SELECT max(first) FROM chunk WHERE series = ?1 AND first <= ?2) AND last >= ?2 AND alone",
    [CHUNK_DATA_ADD] = "INSERT INTO chunk_data (main, rest) VALUES (?, ?)",
    [CHUNK_DROP]    = "DELETE FROM chunk WHERE series = ? AND first = ?",
    [CHUNK_DATA_DROP] = "DELETE FROM chunk_data WHERE id = ?",
    [CHUNK_SAY_BAD] = "UPDATE chunk SET bad = ?3 WHERE series = ?1 AND first = ?2",
    [CHUNK_TOTALS]  = "SELECT count(*), ifnull(sum(rows), 0), ifnull(sum(main_bytes + rest_bytes), 0), ifnull(sum(bad), 0) FROM chunk",
    [CHUNK_BAD_LIST] = "SELECT chunk.id, is_state, name, first, last, rows FROM chunk JOIN series ON series.id = series WHERE bad <> 0 ORDER BY chunk.id LIMIT ?",
    [SERIES_IS_STATE] = "SELECT is_state FROM series WHERE id = ?",
    [SERIES_NEXT]   = "SELECT id, is_state FROM series WHERE id > ? ORDER BY id LIMIT 1",
    [EVENT_OLD]     = "SELECT at, shift, place, rest, length(body), body FROM event WHERE series = ? AND at >= ? AND at < ? ORDER BY at, rest",
    [EVENT_MORE]    = "SELECT at FROM event WHERE series = ? AND at >= ? AND at < ? ORDER BY at LIMIT 1 OFFSET ?",
    [EVENT_DROP_RANGE] = "DELETE FROM event WHERE series = ? AND at >= ? AND at <= ?",
    [EVENT_KEYS]    = "SELECT at, rest FROM event WHERE series = ?1 AND (at, rest) >= (?2, ?3) AND at <= ?4 ORDER BY at, rest",
    [TIME_OLD]      = "SELECT time, place, series, time + back, rest FROM time WHERE (time, place, series) > (?1, ?2, ?3) AND time < ?4 ORDER BY time, place, series, back, rest",
    [TIME_RESTORE]  = "INSERT OR IGNORE INTO time (time, place, series, back, rest) VALUES (?1, ?2, ?3, ?4 - ?1, ?5)",
    [TIME_COUNT]    = "SELECT count(*) FROM time WHERE time >= ? AND time < ?",
    [SERIES_COUNT]  = "SELECT count(*) FROM event WHERE series = ? AND at >= ? AND at < ?",
    [TIME_OLDEST]   = "SELECT time FROM time WHERE time >= ? AND time < ? ORDER BY time LIMIT 1",
    [TIME_NEWEST]   = "SELECT time FROM time WHERE time >= ? AND time < ? ORDER BY time DESC LIMIT 1",
    [RUN_LOOK]      = "SELECT 1 FROM sqlite_master WHERE name = 'run'",
    [RUN_ROWS]      = "SELECT at, place, series, at, rest FROM event WHERE series = ?3 AND at >= ?1 AND at <= ?2 AND shift = 0",
    [RUN_SHIFTED]   = "SELECT time, place, series, at, rest FROM link WHERE kind = 4 AND value = 0 AND time >= ?1 AND time <= ?2",
    [TIME_HAS]      = "SELECT 1 FROM time WHERE time = ?1 AND place = ?2 AND series = ?3 AND back = ?4 - ?1 AND rest = ?5",
    [RUN_PUT]       = "INSERT OR REPLACE INTO run (first, last, count, keys, sum) VALUES (?, ?, ?, ?, ?)",
    [RUN_DROP]      = "DELETE FROM run WHERE first = ?",
    [RUN_BEFORE]    = "SELECT * FROM run WHERE first <= ? ORDER BY first DESC LIMIT 1",
    [RUN_AFTER]     = "SELECT * FROM run WHERE first > ? AND first < ? ORDER BY first LIMIT 1",
    [SNAPSHOT_ALL]  = "SELECT id, bytes, hash FROM snapshot",
    [GAP_LOOK]      = "SELECT 1 FROM sqlite_master WHERE name = 'gap'",
    [GAP_LIST]      = "SELECT series, since, until FROM gap WHERE (until > ?1 OR until = 0) AND since < ?2 ORDER BY since",
    [GAP_PUT]       = "INSERT OR REPLACE INTO gap (id, series, since, until) VALUES (?, ?, ?, ?)",
    [GAP_DROP]      = "DELETE FROM gap WHERE id = ? AND series = ?",
    [GAP_ALL]       = "SELECT id, series, since, until FROM gap WHERE id NOT GLOB 'chunk *' ORDER BY id, series", /* those are verify.c's */
    [ZONE_GET]      = "SELECT value FROM meta WHERE name = 'home_zone'",
    [ZONE_PUT]      = "INSERT OR REPLACE INTO meta VALUES ('home_zone', ?)",
    [ROLLED_LOOK]   = "SELECT 1 FROM sqlite_master WHERE name = 'rolled'",
    [ROLLED_LIST]   = "SELECT chunk, until, class, kept, dirty_from, dirty_to, doubt FROM rolled WHERE series = ? AND tier = ? AND chunk >= ? AND chunk <= ? ORDER BY chunk",
    [ROLLED_BEFORE] = "SELECT chunk, until, dirty_from, dirty_to FROM rolled WHERE series = ? AND tier = ? AND chunk <= ? AND class = ? AND doubt = 0 ORDER BY chunk DESC LIMIT 1",
    [ROLLED_MARK]   = "UPDATE rolled SET dirty_from = CASE WHEN dirty_to > 0 THEN min(dirty_from, ?4) ELSE ?4 END, dirty_to = max(dirty_to, ?5)"
                      " WHERE series = ?1 AND tier = ?2 AND chunk >= ?3 AND chunk <= ?6 AND until > ?4",
    /* What a counter says depends on all before. */
    [ROLLED_DOUBT]  = "UPDATE rolled SET doubt = 1 WHERE series = ?1 AND tier = ?2 AND chunk > ?3 AND class IN (3, 4)",
    /* A chunk before others that were made without it. */
    [ROLLED_ADD]    = "INSERT OR IGNORE INTO rolled SELECT ?1, ?2, ?3, 0, 0, 0, 0, 1, 1 WHERE EXISTS (SELECT 1 FROM rolled WHERE series = ?1 AND tier = ?2 AND chunk > ?3)",
    [ROLLED_PUT]    = "INSERT OR REPLACE INTO rolled (series, tier, chunk, until, class, kept, dirty_from, dirty_to, doubt) VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0)",
    /* One that may be gone on with. */
    [ROLLED_CLEAN]  = "SELECT until, kept FROM rolled WHERE series = ? AND tier = ? AND chunk = ? AND class = ? AND dirty_to = 0 AND doubt = 0",
    [ROLLED_SURE]   = "UPDATE rolled SET doubt = 0 WHERE series = ? AND tier = ? AND chunk = ?",
    [ROLLED_LAST]   = "SELECT until, class FROM rolled WHERE series = ? AND tier = ? ORDER BY chunk DESC LIMIT 1",
    [ROLLED_DIRTY]  = "SELECT series, tier, chunk, dirty_to FROM rolled INDEXED BY rolled_dirty WHERE dirty_to > 0 OR doubt > 0 ORDER BY series, tier, chunk LIMIT 1",
    [ROLLED_CLASS]  = "UPDATE rolled SET dirty_from = 0, dirty_to = ?3 WHERE series = ?1 AND class <> ?2 AND class <> 0",
    [ROLLED_SPAN]   = "UPDATE rolled SET dirty_from = CASE WHEN dirty_to > 0 THEN min(dirty_from, ?2) ELSE ?2 END, dirty_to = max(dirty_to, ?3)"
                      " WHERE tier = ?1 AND chunk >= ?4 AND chunk <= ?5 AND until > ?2 AND (?6 = 0 OR series = ?6)",
    [ROLLED_ZONE]   = "UPDATE rolled SET dirty_from = 0, dirty_to = ? WHERE tier = 3",
    [ROLLED_DROP]   = "DELETE FROM rolled WHERE series = ? AND tier = ? AND chunk = ?",
    [ROLLED_PRIOR]  = "SELECT chunk FROM rolled WHERE series = ? AND tier = ? AND chunk < ? ORDER BY chunk DESC LIMIT 1",
    [ROLLED_TOP]    = "SELECT ifnull(max(until), 0) FROM rolled",
    [ROLLUP_GET]    = "SELECT bytes FROM rollup WHERE series = ? AND tier = ? AND chunk = ?",
    [ROLLUP_PUT]    = "INSERT OR REPLACE INTO rollup (series, tier, chunk, bytes) VALUES (?, ?, ?, ?)",
    [ROLLUP_DROP]   = "DELETE FROM rollup WHERE series = ? AND tier = ? AND chunk = ?",
    /* Buckets as rows, where there are any. What has not changed dirties no page. */
    [BUCKET_META_GET] = "SELECT (SELECT value FROM meta WHERE name = 'sql_rollups'), (SELECT 1 FROM sqlite_master WHERE name = 'bucket')",
    [BUCKET_META_PUT] = "INSERT OR REPLACE INTO meta VALUES ('sql_rollups', ?)",
    [BUCKET_META_DROP] = "DELETE FROM meta WHERE name = 'sql_rollups'",
    [BUCKET_PUT]    = "INSERT INTO bucket (series, tier, start, " BUCKET_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                      " ON CONFLICT (series, tier, start) DO UPDATE SET (" BUCKET_COLUMNS ") = (" BUCKET_EXCLUDED ") WHERE (" BUCKET_COLUMNS ") IS NOT (" BUCKET_EXCLUDED ")",
    [BUCKET_DROP]   = "DELETE FROM bucket WHERE series = ? AND tier = ? AND start >= ? AND start < ?",
    [BUCKET_DROP_DAYS] = "DELETE FROM bucket WHERE tier = 3",
    [BUCKET_DROP_SOME] = "DELETE FROM bucket WHERE (series, tier, start) IN (SELECT series, tier, start FROM bucket LIMIT ?)",
    [BUCKET_NEXT]   = "SELECT series, tier, chunk FROM rolled WHERE (series, tier, chunk) > (?, ?, ?) AND tier >= 2 ORDER BY series, tier, chunk LIMIT 1",
    [STATES_NEXT]   = "SELECT id FROM series WHERE id > ? AND is_state <> 0 ORDER BY id LIMIT 1",
    [LINEAGE_LOOK]  = "SELECT 1 FROM sqlite_master WHERE name = 'lineage'",
    /* The nearest moment at which this name's meaning changed. */
    [LINEAGE_BELOW] = "SELECT max(ifnull((SELECT at FROM lineage WHERE after = ?1 AND at < ?2 AND undone_at IS NULL ORDER BY at DESC LIMIT 1), 0),"
                      " ifnull((SELECT at FROM lineage WHERE before = ?1 AND at < ?2 AND undone_at IS NULL ORDER BY at DESC LIMIT 1), 0))",
    [LINEAGE_ABOVE] = "SELECT min(ifnull((SELECT at FROM lineage WHERE after = ?1 AND at > ?2 AND undone_at IS NULL ORDER BY at LIMIT 1), 9223372036854775807),"
                      " ifnull((SELECT at FROM lineage WHERE before = ?1 AND at > ?2 AND undone_at IS NULL ORDER BY at LIMIT 1), 9223372036854775807))",
    [LINEAGE_INTO]  = "SELECT id, kind, before, until FROM lineage WHERE after = ?1 AND at = ?2 AND undone_at IS NULL ORDER BY before IS NULL, id LIMIT 1",
    [LINEAGE_OUT]   = "SELECT id, kind, after, until FROM lineage WHERE before = ?1 AND at = ?2 AND undone_at IS NULL ORDER BY id LIMIT 1",
    [LINEAGE_GET]   = "SELECT id, kind, at, before, after, found, noted_at, undone_at FROM lineage WHERE id = ?1",
    [LINEAGE_LIST]  = "SELECT id, kind, at, before, after, found, noted_at, undone_at FROM lineage WHERE id <= ?1 AND (?2 IS NULL OR before = ?2 OR after = ?2)"
                      " AND (?3 OR undone_at IS NULL) ORDER BY id DESC LIMIT ?4",
    [LINEAGE_ADD]   = "INSERT INTO lineage (kind, at, before, after, found, since, until, noted_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [LINEAGE_LIKE]  = "SELECT 1 FROM lineage WHERE after = ?1 AND before IS ?2 AND at >= ?3 AND at <= ?4 AND (found = ?5 OR ?5 = 0)",
    /* The last that was told live at the beginning of a gap. */
    [LINEAGE_LIVE]  = "SELECT max(at) FROM lineage WHERE found = 1 AND until IS NULL AND at >= ?1 AND at <= ?1 + 2000000",
    /* What was concluded from the registry, where the event itself says it now. */
    [LINEAGE_VAGUE_DROP] = "DELETE FROM lineage WHERE kind = 1 AND since <= ?3 AND undone_at IS NULL"
                      " AND (((before = ?1 OR after = ?2) AND until >= ?3) OR (before = ?1 AND after = ?2 AND until + 2000000 >= ?3" /* between two clocks */
                      " AND NOT EXISTS (SELECT 1 FROM lineage other WHERE other.at > lineage.at AND other.at < ?3 AND (other.before = ?2 OR other.after = ?1))))",
    [LINEAGE_MOVE]  = "UPDATE lineage SET at = ?2, since = NULL, until = NULL, found = 1 WHERE kind = 4 AND after = ?1 AND since <= ?2 AND until >= ?2",
    [LINEAGE_UNDO]  = "UPDATE lineage SET undone_at = ?2 WHERE id = ?1",
    [HOLDER_GET]    = "SELECT name, since FROM holder WHERE registry_id = ?1",
    [HOLDER_OF]     = "SELECT registry_id, unique_id, since, created FROM holder WHERE name = ?1 ORDER BY since DESC LIMIT 1",
    [HOLDER_TWIN]   = "SELECT registry_id, name, since FROM holder WHERE unique_id = ?1 ORDER BY since DESC LIMIT 1",
    [HOLDER_PUT]    = "INSERT INTO holder (registry_id, name, unique_id, since) VALUES (?1, ?2, ?3, ?4)"
                      " ON CONFLICT DO UPDATE SET name = ?2, unique_id = ?3, since = ?4, created = NULL",
    [HOLDER_RENAME] = "UPDATE holder SET name = ?2, since = ?3, created = NULL WHERE registry_id = (SELECT registry_id FROM holder WHERE name = ?1 ORDER BY since DESC LIMIT 1)"
                      " AND since >= ?4 AND since < ?3", /* ?4: since then it is somebody's: who had it before is gone */
    [HOLDER_SINCE]  = "UPDATE holder SET since = ?3 WHERE name = ?2 AND since IN (SELECT at FROM lineage WHERE kind = 1 AND since <= ?3 AND undone_at IS NULL"
                      " AND before = ?1 AND after = ?2 AND until + 2000000 >= ?3)",
    [HOLDER_LATER]  = "SELECT 1 FROM holder WHERE name = ?1 AND since > ?2 AND since < ?3 LIMIT 1",
    [HOLDER_CREATED] = "UPDATE holder SET created = ?2 WHERE name = ?1 AND since < ?2",
    [SEEN_SNAPSHOTS] = "SELECT bytes FROM seen JOIN snapshot ON id = snapshot WHERE series = ?1",
    [SEEN_IDS]      = "SELECT snapshot FROM seen WHERE series = ?",
    [SEEN_SERIES]   = "SELECT series FROM seen WHERE snapshot = ?",
};
#undef WORDS
#undef CHUNK_ENTRY
#undef LAST_AT

sqlite3_stmt *statement(store_t *store, enum statement which)
{
    sqlite3_stmt **ready = &store->ready[which];
    if (*ready) {
        sqlite3_reset(*ready);
        return *ready;
    }
    if (sqlite3_prepare_v3(store->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, ready, NULL) != SQLITE_OK)
        trouble(store, "cannot prepare a statement");
    return *ready;
}

void statements_close(store_t *store)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(store->ready[i]);
        store->ready[i] = NULL;
    }
    sqlite3_finalize(store->samples_ready);
    store->samples_ready = NULL;
}

enum store_result trouble(store_t *store, const char *doing)
{
    snprintf(store->why, sizeof store->why, "%s: %s (%d)", doing, sqlite3_errmsg(store->db), sqlite3_extended_errcode(store->db));
    return sqlite3_errcode(store->db) == SQLITE_INTERRUPT ? STORE_LATE : STORE_TROUBLE;
}

/* An empty one is an empty blob, never NULL. */
void bind_bytes(sqlite3_stmt *stmt, int at, struct slice s)
{
    sqlite3_bind_blob64(stmt, at, s.size ? s.data : "", s.size, SQLITE_STATIC);
}

struct slice column_bytes(sqlite3_stmt *stmt, int at)
{
    const void *data = sqlite3_column_blob(stmt, at);
    return (struct slice){ data ? data : "", (size_t)sqlite3_column_bytes(stmt, at) };
}
