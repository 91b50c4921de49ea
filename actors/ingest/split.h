/* split.h - what is in one WebSocket frame: a message, or an array of them.
 *
 * The same code cuts a frame when it arrives and when the capture log is read again, so both
 * give the same events in the same order. All slices point into the frame. */
#ifndef SPLIT_H
#define SPLIT_H

#include "json.h"

typedef struct split split_t;

split_t *split_new(void);
void split_destroy(split_t **);

enum { KEY_ID, KEY_TYPE, KEY_EVENT, KEY_SUCCESS, KEY_RESULT, KEY_ERROR, KEY_HA_VERSION, KEY_MESSAGE, MESSAGE_KEYS };

struct message {
    struct slice whole;
    int64_t id;                              /* -1: none */
    struct json_value values[MESSAGE_KEYS];
    const char *why;                         /* not NULL: this is no message, for this reason */
};
typedef void message_fn(void *owner, const struct message *);

/* Hand out the messages one by one. 0, or -1: nothing was handed out, *why says what is wrong. */
int split_messages(split_t *, struct slice frame, message_fn *, void *owner, const char **why);

bool message_is(const struct message *, const char *type);

/* What goes down the chain: events of our subscriptions, and what should have been one. */
struct item {
    struct slice bytes;      /* the event object; bad: all there is */
    const char *why;         /* NULL: an event */
};
struct items { struct item *list; size_t count, room; bool is_starting; /* set by the session */ };

/* In place of the subscriptions' ids: every event message belongs there, also one without an id. */
#define ANY_FIRST_ID 0u
#define ANY_LAST_ID UINT32_MAX

/* Add the message if it belongs there: true if it did. */
bool items_take(struct items *, const struct message *, uint32_t first_id, uint32_t last_id);
void items_add(struct items *, struct slice bytes, const char *why);
void items_free(struct items *);

/* All of a frame's items; a frame that cannot be read is one bad item. */
void split_items(split_t *, struct slice frame, uint32_t first_id, uint32_t last_id, struct items *);

/* An object that begins with its event type, as Home Assistant writes it, or has it anywhere. */
bool event_is_state_changed(struct slice event);
bool event_has(struct slice event, const char *text);

#endif
