/* contracts.h - typed publishing, asking and handling, from TOPIC, SERVICE and LISTING rows.
 *
 *   TOPIC   (topic, "subject", message, policy, "group,group")
 *   SERVICE (service, "subject", query, reply)
 *   LISTING (service, "subject", query, row, end)     a reply of rows and a closing message
 *
 * Each row makes: topic##_contract; publish_topic(); ask_service(); answer_service() for an
 * answer that comes later; row_service() for the rows of a listing; and the type that ON or
 * ANSWER checks a handler against. */
#ifndef CONTRACTS_H
#define CONTRACTS_H

typedef void any_fn(void); /* a function pointer at rest; always cast back to call */

/* What the broker does when a listener is slow: hold the publisher back, keep only the
 * newest per key, or drop the oldest and count it. */
enum policy { LOSSLESS, LATEST, LIVE };

typedef struct rows rows_t; /* where a listing's handler puts its rows; see row_service() */

struct contract {
    const char *subject;
    const struct schema *(*in)(void);   /* a topic's message, a service's query */
    const struct schema *(*out)(void);  /* a service's reply, a listing's end; NULL: a topic */
    const struct schema *(*row)(void);  /* a listing's row; else NULL */
    enum policy policy;                 /* of a topic */
    const char *groups;                 /* of a LOSSLESS topic: the groups that must acknowledge */
    int (*call)(any_fn *, struct self *, actor_t *, const void *in, rows_t *rows, void *out);
    void (*done)(any_fn *, struct self *, actor_t *, int64_t tag, const struct answer *, const void *out);
};

struct handler { const struct contract *contract; any_fn *fn; };

/* The conditional makes the compiler check fn's type against the contract's. */
#define ON(topic, fn)       { &topic##_contract, (any_fn *)(1 ? (fn) : (topic##_fn *)0) }
#define ANSWER(service, fn) { &service##_contract, (any_fn *)(1 ? (fn) : (service##_fn *)0) }

/* Untyped halves, used by the functions made below, and by the gateway. */
int actor_publish(actor_t *, const struct contract *, const void *message);
int actor_ask(actor_t *, const struct contract *, const void *query, int deadline_ms, any_fn *done, int64_t tag);
int actor_answer(actor_t *, const struct contract *, ticket_t, int verdict, const void *reply);
int actor_row(rows_t *, const struct contract *, const void *row);

#define MESSAGE(...)
#define TEXT(...)
#define VIEW(...)
#define JSON(...)
#define BLOB(...)
#define INT(...)
#define REAL(...)
#define FLAG(...)
#define END(...)

#define TOPIC(topic, subject, msg, policy, groups)                                            \
    typedef int topic##_fn(struct self *, actor_t *, const struct msg *);                     \
    extern const struct contract topic##_contract;                                            \
    static inline int publish_##topic(actor_t *a, const struct msg *m)                        \
    { return actor_publish(a, &topic##_contract, m); }
#define SERVICE(service, subject, query, reply)                                               \
    typedef int service##_fn(struct self *, actor_t *, const struct query *, struct reply *); \
    typedef void service##_done_fn(struct self *, actor_t *, int64_t tag, const struct answer *, const struct reply *); \
    extern const struct contract service##_contract;                                          \
    static inline int ask_##service(actor_t *a, const struct query *q, int deadline_ms, service##_done_fn *done, int64_t tag) \
    { return actor_ask(a, &service##_contract, q, deadline_ms, (any_fn *)done, tag); }        \
    static inline int answer_##service(actor_t *a, ticket_t t, int verdict, const struct reply *r) \
    { return actor_answer(a, &service##_contract, t, verdict, r); }
#define LISTING(service, subject, query, item, end)                                           \
    typedef int service##_fn(struct self *, actor_t *, const struct query *, rows_t *, struct end *); \
    typedef void service##_done_fn(struct self *, actor_t *, int64_t tag, const struct answer *, const struct end *); \
    extern const struct contract service##_contract;                                          \
    static inline int ask_##service(actor_t *a, const struct query *q, int deadline_ms, service##_done_fn *done, int64_t tag) \
    { return actor_ask(a, &service##_contract, q, deadline_ms, (any_fn *)done, tag); }        \
    static inline int row_##service(rows_t *rows, const struct item *i)                       \
    { return actor_row(rows, &service##_contract, i); }
#include "all.msg"
#undef TOPIC
#undef SERVICE
#undef LISTING
#include "forget.h"

extern const struct contract *const all_contracts[]; /* ends with NULL */

#endif
