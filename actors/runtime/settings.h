/* settings.h - the settings of one process: its own section and `suite`, from every source.
 *
 * Rising priority: the rows' fallbacks; one YAML file (HA_INGESTOR_CONFIG, else config.yaml in
 * the data directory if it is there; Home Assistant's options.json is YAML too); the
 * environment; the command line. A file holds sections (mappings of scalars); a scalar outside
 * of them is matched by the row's variable in lower case, such as `home_assistant_url`.
 * Sections of others are ignored; an unknown key in ours is refused. What is empty counts as
 * not set. A SECRET can be read from a file named by its variable with _FILE behind it, and is
 * refused on the command line, where others could see it. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "schemas.h"

struct settings_input {
    const char *actor;            /* its name is its section's */
    const char *doc;
    const struct schema *schema;  /* of its section; NULL: it has none */
    char *const *arguments;       /* behind the program's name; ends with NULL */
    char *const *environment;     /* ends with NULL */
};

enum settings_result {
    SETTINGS_READY = 0,
    SETTINGS_TOLD,   /* --help or --version: it has been printed, exit 0 */
    SETTINGS_WRONG   /* `why` names the key, where it came from and what is wrong with it: exit 100 */
};

/* `own` may be NULL where input->schema is. suite->data is set to an absolute path. */
enum settings_result settings_read(const struct settings_input *, struct suite_config *suite, void *own,
    char *why, size_t size);

/* The same for the text of one YAML file alone, after the fallbacks; for tests. */
enum settings_result settings_read_yaml(const struct settings_input *, struct slice text, struct suite_config *suite,
    void *own, char *why, size_t size);

/* The name of the environment variable of a row of `section`: always NUL-terminated. */
void settings_variable(const char *section, const struct field *, char *to, size_t size);

/* What --help says. */
void settings_help(const struct settings_input *, msgpack_sbuffer *out);

/* NULL, or what is wrong with an address, with the address and the keys of a suite: then *field
 * is the row. Static text. A key is Z85. */
const char *address_fault(const char *address);
const char *suite_address_fault(const struct suite_config *, const char **field);
bool is_curve_key(const char *text);

/* The broker's address: suite->broker, or a socket in the data directory (in /tmp where that
 * path would be too long for a socket). */
enum { ENDPOINT_SIZE = 512 };
void suite_endpoint(const struct suite_config *suite, char to[ENDPOINT_SIZE]);

#endif
