/* certificates.c - a directory of public certificates as ZeroMQ writes them (ZPL): is a key in one of them?
 *
 * It is read at each question: who connects is rare, and who has been put there or taken away counts at once. */
#include "certificates.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 8192 };

/* public-key = "..." */
static bool has_key(const char *line, const char key[KEY_TEXT + 1])
{
    static const char name[] = "public-key";
    line += strspn(line, " \t");
    if (strncmp(line, name, sizeof name - 1) != 0)
        return false;
    line += sizeof name - 1;
    line += strspn(line, " \t");
    if (*line++ != '=')
        return false;
    line += strspn(line, " \t");
    char quote = *line++;
    return (quote == '"' || quote == '\'') && strncmp(line, key, KEY_TEXT) == 0 && line[KEY_TEXT] == quote;
}

/* Only what stands below `curve` counts. */
static bool is_certificate_of(char *text, const char key[KEY_TEXT + 1])
{
    bool is_curve = false;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        size_t name = strcspn(line, " \t\r#");
        if (name)
            is_curve = name == 5 && memcmp(line, "curve", 5) == 0;
        else if (is_curve && has_key(line, key))
            return true;
    }
    return false;
}

static bool is_in_file(int folder, const char *name, const char key[KEY_TEXT + 1])
{
    char text[FILE_MAX + 1];
    struct stat status;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? read(fd, text, FILE_MAX) : -1;
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return is_certificate_of(text, key);
}

bool certificates_have(const char *path, const char key[KEY_TEXT + 1])
{
    DIR *folder = opendir(path);
    bool is_there = false;
    if (!folder)
        return false;
    for (struct dirent *one; !is_there && (one = readdir(folder));)
        is_there = is_in_file(dirfd(folder), one->d_name, key);
    closedir(folder);
    return is_there;
}
