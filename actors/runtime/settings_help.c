/* settings_help.c - --help, printed from the rows. */
#include "settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 2, 3))) say(msgpack_sbuffer *out, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        msgpack_sbuffer_write(out, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

static void say_range(const struct field *f, msgpack_sbuffer *out)
{
    if (f->kind == INT_KIND)
        say(out, "; %lld to %lld", (long long)f->low, (long long)f->high);
    else if (f->kind == REAL_KIND)
        say(out, "; %g to %g", f->least, f->most);
    else if (f->kind == FLAG_KIND)
        say(out, "; true or false");
    if (f->fallback)
        say(out, "; default %s", f->fallback);
    else if (f->flags & REQUIRED && strcmp(f->name, "data") != 0)
        say(out, "; required");
}

static void say_section(const char *section, const struct schema *schema, msgpack_sbuffer *out)
{
    say(out, "\nSection `%s`: %s\n", section, schema->doc);
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *f = &schema->fields[i];
        char name[128];
        settings_variable(section, f, name, sizeof name);
        say(out, "  %s%-20s %s%s\n      %s", f->flags & SECRET ? "  " : "--", f->name, name,
            f->flags & SECRET ? " (or a file: ..._FILE)" : "", f->doc);
        say_range(f, out);
        say(out, "\n");
    }
}

void settings_help(const struct settings_input *input, msgpack_sbuffer *out)
{
    say(out, "%s - %s\n\nUsage: %s [--key=value ...] [--help] [--version]\n\n", input->actor, input->doc, input->actor);
    say(out, "A setting comes from (later wins) its default, the YAML file (named by HA_INGESTOR_CONFIG, else\n"
        "config.yaml in the data directory), the environment, the command line.\n");
    if (input->schema)
        say_section(input->actor, input->schema, out);
    say_section("suite", suite_config_schema(), out);
    say(out, "\nThe data directory is $XDG_STATE_HOME/ha-ingestor or ~/.local/state/ha-ingestor by default.\n"
        "Exit codes: 0 asked to stop, 100 wrong settings (do not restart), 111 try again later.\n");
}
