/* contracts.c - the contract table itself. */
#include "actor.h"

#define MESSAGE(...)
#define TEXT(...)
#define VIEW(...)
#define JSON(...)
#define BLOB(...)
#define INT(...)
#define REAL(...)
#define FLAG(...)
#define END(...)

#define TOPIC(topic, subject_, msg, policy_, groups_)                                         \
    static int topic##_call(any_fn *fn, struct self *s, actor_t *a, const void *in, rows_t *rows, void *out) \
    { (void)rows, (void)out; return ((topic##_fn *)fn)(s, a, in); }                           \
    const struct contract topic##_contract = { .subject = subject_, .in = msg##_schema,       \
        .policy = policy_, .groups = groups_, .call = topic##_call };
#define SERVICE(service, subject_, query, reply)                                              \
    static int service##_call(any_fn *fn, struct self *s, actor_t *a, const void *in, rows_t *rows, void *out) \
    { (void)rows; return ((service##_fn *)fn)(s, a, in, out); }                               \
    static void service##_done(any_fn *fn, struct self *s, actor_t *a, int64_t tag, const struct answer *answer, const void *out) \
    { ((service##_done_fn *)fn)(s, a, tag, answer, out); }                                    \
    const struct contract service##_contract = { .subject = subject_, .in = query##_schema,   \
        .out = reply##_schema, .call = service##_call, .done = service##_done };
#define LISTING(service, subject_, query, item, end)                                          \
    static int service##_call(any_fn *fn, struct self *s, actor_t *a, const void *in, rows_t *rows, void *out) \
    { return ((service##_fn *)fn)(s, a, in, rows, out); }                                     \
    static void service##_done(any_fn *fn, struct self *s, actor_t *a, int64_t tag, const struct answer *answer, const void *out) \
    { ((service##_done_fn *)fn)(s, a, tag, answer, out); }                                    \
    const struct contract service##_contract = { .subject = subject_, .in = query##_schema,   \
        .out = end##_schema, .row = item##_schema, .call = service##_call, .done = service##_done };
#include "all.msg"
#undef TOPIC
#undef SERVICE
#undef LISTING

#define TOPIC(topic, ...)     &topic##_contract,
#define SERVICE(service, ...) &service##_contract,
#define LISTING(service, ...) &service##_contract,
const struct contract *const all_contracts[] = {
#include "all.msg"
    NULL
};
