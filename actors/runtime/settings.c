/* settings.c - the settings of one process: its own section and `suite`, from every source. */
#include "settings.h"
#include "settings_yaml.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 1024 * 1024, SECRET_FILE_MAX = 64 * 1024, ROWS_MAX = 256 };

struct section_at { const char *name; const struct schema *schema; void *to; bool said[ROWS_MAX]; };

struct reading {
    const struct settings_input *input;
    struct section_at own, suite;
    const char *file;   /* being read */
    char *why;
    size_t size;
};

/* Where a value came from, for the error text. */
struct origin { const char *source, *name; size_t line; };

static int __attribute__((format(printf, 2, 3))) refuse(struct reading *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->why, r->size, format, arguments);
    va_end(arguments);
    return -1;
}

static void describe_range(const struct field *f, char *to, size_t size)
{
    switch (f->kind) {
    case INT_KIND:  snprintf(to, size, " (%lld to %lld)", (long long)f->low, (long long)f->high); return;
    case REAL_KIND: snprintf(to, size, " (%g to %g)", f->least, f->most); return;
    case FLAG_KIND: snprintf(to, size, " (true or false)"); return;
    default:        snprintf(to, size, " (at most %zu bytes)", f->max); return;
    }
}

static int refuse_value(struct reading *r, const struct section_at *section, const struct field *f,
    struct slice value, const struct origin *origin, const char *why)
{
    char range[80], shown[80] = "", line[32] = "";
    describe_range(f, range, sizeof range);
    if (!(f->flags & SECRET))
        snprintf(shown, sizeof shown, "\"%.*s\" ", (int)(value.size < 60 ? value.size : 60), (const char *)value.data);
    for (char *c = shown; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    if (origin->line)
        snprintf(line, sizeof line, " line %zu", origin->line);
    return refuse(r, "%s.%s, from %s (%s%s): %s%s%s", section->name, f->name, origin->source, origin->name, line,
        shown, why, range);
}

static int put(struct reading *r, struct section_at *section, const struct field *f, struct slice value,
    const struct origin *origin)
{
    struct fault fault;
    if (value.size == 0)
        return 0;
    if (memchr(value.data, '\0', value.size))
        return refuse_value(r, section, f, value, origin, "holds a NUL byte");
    if (schema_set_text(f, value.data, value.size, section->to, &fault))
        return refuse_value(r, section, f, value, origin, fault.why);
    return 0;
}

/* --- files ------------------------------------------------------------------------------- */

/* The text of a file, to be freed; NULL with errno set. */
static char *read_file(const char *path, size_t max, size_t *size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char *text = malloc(max + 1);
    assert(text);
    *size = fread(text, 1, max + 1, file);
    int error = ferror(file) ? errno : *size > max ? EFBIG : 0;
    fclose(file);
    if (!error)
        return text;
    free(text);
    errno = error;
    return NULL;
}

static bool is_variable(const char *section, const struct field *f, struct slice key)
{
    char name[128];
    settings_variable(section, f, name, sizeof name);
    size_t size = strlen(name);
    if (size != key.size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (tolower((unsigned char)name[i]) != ((const char *)key.data)[i])
            return false;
    return true;
}

static const struct field *find_variable(const struct section_at *section, struct slice key)
{
    for (size_t i = 0; section->schema && i < section->schema->count; i++)
        if (is_variable(section->name, &section->schema->fields[i], key))
            return &section->schema->fields[i];
    return NULL;
}

static int put_once(struct reading *r, struct section_at *section, const struct field *f, const struct setting *setting)
{
    struct origin origin = { "the file", r->file, setting->line };
    size_t row = (size_t)(f - section->schema->fields);
    assert(row < ROWS_MAX);
    if (!setting->is_scalar)
        return refuse_value(r, section, f, slice_of("a list, a mapping or an alias"), &origin, "is no plain value");
    if (section->said[row])
        return refuse_value(r, section, f, setting->value, &origin, "is given twice");
    section->said[row] = true;
    return put(r, section, f, setting->value, &origin);
}

static bool is_named(const struct section_at *section, struct slice name)
{
    return section->schema && strcmp(section->name, name.data) == 0;
}

static int on_setting(void *owner, const struct setting *setting)
{
    struct reading *r = owner;
    struct section_at *section = &r->own;
    const struct field *f;
    if (setting->section.size == 0) {
        f = find_variable(section, setting->key);
        if (!f)
            f = find_variable(section = &r->suite, setting->key);
        return f ? put_once(r, section, f, setting) : 0;
    }
    if (!is_named(section, setting->section) && !is_named(section = &r->suite, setting->section))
        return 0;
    f = schema_field(section->schema, setting->key.data, setting->key.size);
    if (!f)
        return refuse(r, "%s.%s, from the file (%s line %zu): there is no such setting", section->name,
            (const char *)setting->key.data, r->file, setting->line);
    return put_once(r, section, f, setting);
}

static int read_yaml(struct reading *r, struct slice text)
{
    char why[160] = "";
    int rc = yaml_walk(text, on_setting, r, why, sizeof why);
    return rc && *why ? refuse(r, "%s: %s", r->file, why) : rc;
}

/* --- environment ----------------------------------------------------------------------------- */

static const char *variable(const struct reading *r, const char *name)
{
    size_t size = strlen(name);
    for (char *const *e = r->input->environment; *e; e++)
        if (strncmp(*e, name, size) == 0 && (*e)[size] == '=' && (*e)[size + 1])
            return *e + size + 1;
    return NULL;
}

void settings_variable(const char *section, const struct field *f, char *to, size_t size)
{
    if (f->env) {
        snprintf(to, size, "%s", f->env);
        return;
    }
    snprintf(to, size, "%s_%s", section, f->name);
    for (; *to; to++)
        *to = (char)toupper((unsigned char)*to);
}

static int put_secret_file(struct reading *r, struct section_at *section, const struct field *f, const char *name,
    const char *path)
{
    size_t size;
    char *text = read_file(path, SECRET_FILE_MAX, &size);
    if (!text)
        return refuse(r, "%s.%s, from the environment (%s): cannot read %s: %s", section->name, f->name, name, path,
            strerror(errno));
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    struct origin origin = { "the environment", name, 0 };
    int rc = size ? put(r, section, f, (struct slice){ text, size }, &origin)
        : refuse_value(r, section, f, (struct slice){ "", 0 }, &origin, "names a file without a value");
    free(text);
    return rc;
}

static int read_variable(struct reading *r, struct section_at *section, const struct field *f)
{
    char name[128], file_name[136];
    settings_variable(section->name, f, name, sizeof name);
    snprintf(file_name, sizeof file_name, "%s_FILE", name);
    const char *value = variable(r, name), *path = f->flags & SECRET ? variable(r, file_name) : NULL;
    if (value && path)
        return refuse(r, "%s.%s, from the environment: %s and %s are both set", section->name, f->name, name, file_name);
    if (path)
        return put_secret_file(r, section, f, file_name, path);
    return value ? put(r, section, f, slice_of(value), &(struct origin){ "the environment", name, 0 }) : 0;
}

static int read_environment(struct reading *r, struct section_at *section)
{
    for (size_t i = 0; section->schema && i < section->schema->count; i++)
        if (read_variable(r, section, &section->schema->fields[i]))
            return -1;
    return 0;
}

/* --- command line ------------------------------------------------------------------------------ */

/* One argument of the form --key=value or --key value; *at moves on. -1: it has no value. */
static int cut_argument(char *const **at, struct slice *key, struct slice *value)
{
    const char *text = **at + 2, *equals = strchr(text, '=');
    *key = (struct slice){ text, equals ? (size_t)(equals - text) : strlen(text) };
    (*at)++;
    if (!equals && !**at)
        return -1;
    *value = slice_of(equals ? equals + 1 : *(*at)++);
    return 0;
}

static const struct field *find_key(const struct section_at *section, struct slice key)
{
    char name[128];
    if (!section->schema || key.size >= sizeof name)
        return NULL;
    for (size_t i = 0; i < key.size; i++)
        name[i] = ((const char *)key.data)[i] == '-' ? '_' : ((const char *)key.data)[i];
    return schema_field(section->schema, name, key.size);
}

static int read_argument(struct reading *r, char *const **at)
{
    struct slice key, value;
    if (strncmp(**at, "--", 2) != 0 || !(**at)[2])
        return refuse(r, "%s, from the command line: is no --key=value; see --help", **at);
    const char *whole = **at;
    if (cut_argument(at, &key, &value))
        return refuse(r, "%s, from the command line: has no value", whole);
    struct section_at *section = &r->own;
    const struct field *f = find_key(section, key);
    if (!f)
        f = find_key(section = &r->suite, key);
    char name[64];
    snprintf(name, sizeof name, "--%.*s", (int)(key.size < 60 ? key.size : 60), (const char *)key.data);
    if (!f)
        return refuse(r, "%s, from the command line: there is no such setting; see --help", name);
    if (f->flags & SECRET) {
        char variable[128];
        settings_variable(section->name, f, variable, sizeof variable);
        return refuse(r, "%s.%s, from the command line (%s): is a secret, which others could see there; set %s or %s_FILE",
            section->name, f->name, name, variable, variable);
    }
    return put(r, section, f, value, &(struct origin){ "the command line", name, 0 });
}

static int read_arguments(struct reading *r)
{
    for (char *const *at = r->input->arguments; *at;)
        if (read_argument(r, &at))
            return -1;
    return 0;
}

/* The last --data of the command line; it says where the file is. */
static const char *data_argument(const struct reading *r)
{
    const char *data = NULL;
    for (char *const *at = r->input->arguments; *at && strncmp(*at, "--", 2) == 0;) {
        struct slice key, value;
        if (!cut_argument(&at, &key, &value) && key.size == 4 && memcmp(key.data, "data", 4) == 0 && value.size)
            data = value.data;
    }
    return data;
}

/* --- all of them --------------------------------------------------------------------------------- */

static void data_directory(const struct reading *r, char *to, size_t size)
{
    const char *data = data_argument(r), *state = variable(r, "XDG_STATE_HOME"), *home = variable(r, "HOME");
    if (!data)
        data = variable(r, "HA_INGESTOR_DATA");
    if (data)
        snprintf(to, size, "%s", data);
    else if (state)
        snprintf(to, size, "%s/ha-ingestor", state);
    else
        snprintf(to, size, "%s/.local/state/ha-ingestor", home ? home : "");
}

/* The file that is named must be there; the one in the data directory may. */
static int read_config_file(struct reading *r, const char *data)
{
    char path[PATH_MAX];
    const char *named = variable(r, "HA_INGESTOR_CONFIG");
    snprintf(path, sizeof path, "%s", named ? named : data);
    if (!named && (size_t)snprintf(path, sizeof path, "%s/config.yaml", data) >= sizeof path)
        return refuse(r, "suite.data: the path is too long");
    size_t size;
    char *text = read_file(path, FILE_MAX, &size);
    if (!text && !named && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (!text)
        return refuse(r, "%s: cannot read it: %s", path, strerror(errno));
    r->file = path;
    int rc = read_yaml(r, (struct slice){ text, size });
    free(text);
    return rc;
}

static int check_words(struct reading *r)
{
    static const struct { const char *key, *words; } rows[] = {
        { "log_level", "debug info warn error" }, { "log_format", "text json" }, { "sync", "always interval never" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char value[16], word[20], words[64];
        schema_get_text(schema_field(r->suite.schema, rows[i].key, strlen(rows[i].key)), r->suite.to, value, sizeof value);
        snprintf(word, sizeof word, " %s ", value);
        snprintf(words, sizeof words, " %s ", rows[i].words);
        if (strchr(value, ' ') || !strstr(words, word))
            return refuse(r, "suite.%s: \"%s\" is none of: %s", rows[i].key, value, rows[i].words);
    }
    const struct suite_config *suite = r->suite.to;
    for (const char *c = suite->instance; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_", *c))
            return refuse(r, "suite.instance: \"%s\" may hold letters, digits, - and _ only", suite->instance);
    return 0;
}

static int check_address(struct reading *r)
{
    const char *field, *why = suite_address_fault(r->suite.to, &field);
    char name[128];
    if (!why)
        return 0;
    settings_variable("suite", schema_field(r->suite.schema, field, strlen(field)), name, sizeof name);
    return refuse(r, "suite.%s (%s): %s", field, name, why);
}

static int make_absolute(struct reading *r)
{
    struct suite_config *suite = r->suite.to;
    char path[PATH_MAX + sizeof suite->data], here[PATH_MAX];
    if (*suite->data != '/') {
        if (!getcwd(here, sizeof here))
            return refuse(r, "suite.data: \"%s\" is relative and the current directory is unknown", suite->data);
        snprintf(path, sizeof path, "%s/%s", here, suite->data);
    } else {
        snprintf(path, sizeof path, "%s", suite->data);
    }
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    return SET_TEXT(suite, data, path, size) ? refuse(r, "suite.data: the path is too long") : 0;
}

static int fall_back(struct reading *r, const struct section_at *section)
{
    if (!section->schema)
        return 0;
    schema_clear(section->schema, section->to);
    for (size_t i = 0; i < section->schema->count; i++) {
        const struct field *f = &section->schema->fields[i];
        struct fault fault;
        if (f->fallback && schema_set_text(f, f->fallback, strlen(f->fallback), section->to, &fault))
            return refuse(r, "%s.%s: its own default %s", section->name, f->name, fault.why);
    }
    return 0;
}

static int check_whole(struct reading *r, const struct section_at *section)
{
    struct fault fault;
    if (!section->schema || schema_check(section->schema, section->to, &fault) == 0)
        return 0;
    char name[128];
    const struct field *f = schema_field(section->schema, fault.field, strlen(fault.field));
    settings_variable(section->name, f, name, sizeof name);
    return refuse(r, "%s.%s: %s; set it in the file, as %s, or with --%s=...", section->name, f->name, fault.why, name, f->name);
}

static int finish(struct reading *r)
{
    return check_whole(r, &r->suite) || check_whole(r, &r->own) || check_words(r) || check_address(r) || make_absolute(r);
}

static struct reading begin(const struct settings_input *input, struct suite_config *suite, void *own, char *why, size_t size)
{
    *why = '\0';
    return (struct reading){ .input = input, .own = { .name = input->actor, .schema = input->schema, .to = own },
        .suite = { .name = "suite", .schema = suite_config_schema(), .to = suite }, .file = "the file", .why = why, .size = size };
}

static bool is_told(const struct settings_input *input)
{
    for (char *const *at = input->arguments; *at; at++) {
        if (strcmp(*at, "--version") == 0)
            return printf("%s %s\n", input->actor, SUITE_VERSION) > 0;
        if (strcmp(*at, "--help") == 0 || strcmp(*at, "-h") == 0) {
            msgpack_sbuffer text;
            msgpack_sbuffer_init(&text);
            settings_help(input, &text);
            fwrite(text.data, 1, text.size, stdout);
            msgpack_sbuffer_destroy(&text);
            return true;
        }
    }
    return false;
}

enum settings_result settings_read(const struct settings_input *input, struct suite_config *suite, void *own,
    char *why, size_t size)
{
    struct reading r = begin(input, suite, own, why, size);
    char data[PATH_MAX];
    if (is_told(input))
        return SETTINGS_TOLD;
    data_directory(&r, data, sizeof data);
    if (fall_back(&r, &r.suite) || fall_back(&r, &r.own))
        return SETTINGS_WRONG;
    const struct field *row = schema_field(r.suite.schema, "data", strlen("data"));
    if (put(&r, &r.suite, row, slice_of(data), &(struct origin){ "the default", "data directory", 0 }))
        return SETTINGS_WRONG;
    return read_config_file(&r, data) || read_environment(&r, &r.suite) || read_environment(&r, &r.own) ||
        read_arguments(&r) || finish(&r) ? SETTINGS_WRONG : SETTINGS_READY;
}

enum settings_result settings_read_yaml(const struct settings_input *input, struct slice text, struct suite_config *suite,
    void *own, char *why, size_t size)
{
    struct reading r = begin(input, suite, own, why, size);
    if (fall_back(&r, &r.suite) || fall_back(&r, &r.own))
        return SETTINGS_WRONG;
    SET_TEXT(suite, data, "/", 1);
    return read_yaml(&r, text) || finish(&r) ? SETTINGS_WRONG : SETTINGS_READY;
}
