/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Standard Webhooks: HMAC-SHA256 over id, time stamp and body. A key is a line of base64, with or without "whsec_" in front. While a key is being
 * replaced its file has two, and each message two signatures: the receiver takes the one that it knows. */

#include "webhook/sign.h"

#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

#define FILE_MAX 4096U
#define APPLICATION SD_ID128_MAKE(6d,0e,5a,5c,31,7b,4d,0d,9f,4c,8a,54,0c,2e,9b,71)
#define DIGEST_SIZE 32U

void keys_done(Keys *k) {
        for (size_t i = 0; i < k->n; i++)
                free(k->keys[i].name);
        if (k->n > 0)
                explicit_bzero(k->keys, k->n * sizeof(Key));
        free(k->keys);
        *k = (Keys) {};
}

/* line: without its end. */
static int decode(const char *line, size_t size, Key *key) {
        char text[KEY_MOST * 4 / 3 + 8];
        uint8_t data[sizeof(text)];
        size_t padding;
        bool good;
        int n;

        if (size > 6 && memcmp(line, "whsec_", 6) == 0)
                line += 6, size -= 6;
        if (size == 0 || size % 4 != 0 || size >= sizeof(text))
                return -EBADMSG;
        memcpy(text, line, size);
        text[size] = 0;
        n = EVP_DecodeBlock(data, (const unsigned char *) text, (int) size);
        padding = (text[size - 1] == '=') + (text[size - 2] == '=');
        good = n >= 0 && (size_t) n - padding >= KEY_LEAST && (size_t) n - padding <= KEY_MOST;
        if (good) {
                key->size = (size_t) n - padding;
                memcpy(key->data, data, key->size);
        }
        explicit_bzero(text, sizeof(text));
        explicit_bzero(data, sizeof(data));
        return good ? 0 : -EBADMSG;
}

static int add_key(Keys *k, const char *name, const char *line, size_t size) {
        Key *l = reallocarray(k->keys, k->n + 1, sizeof(Key)), key = { .name = strdup(name) };
        int r;

        if (l)
                k->keys = l;
        r = l && key.name ? decode(line, size, &key) : -ENOMEM;
        if (r < 0)
                free(key.name);
        else
                k->keys[k->n++] = key;
        explicit_bzero(&key, sizeof(key));
        return r;
}

int keys_parse(Keys *k, const char *name, const char *text, unsigned *ret_line) {
        unsigned n = 0;
        int r;

        *ret_line = 0;
        while (*text) {
                size_t size = strcspn(text, "\n"), begin = strspn(text, " \t"), end = size;

                (*ret_line)++;
                while (end > begin && strchr(" \t\r", text[end - 1]))
                        end--;
                if (begin < end && text[begin] != '#') {
                        if (++n > KEYS_PER_FILE)
                                return -E2BIG;
                        r = add_key(k, name, text + begin, end - begin);
                        if (r < 0)
                                return r;
                }
                text += size + (text[size] == '\n');
        }
        return n > 0 ? 0 : -ENODATA;
}

static int read_file(Keys *k, int folder, const char *file, const char *name) {
        _cleanup_close_ int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        char text[FILE_MAX + 1];
        unsigned line = 0;
        ssize_t n;
        int r;

        n = fd < 0 ? -1 : read(fd, text, FILE_MAX);
        if (n < 0)
                return errno == EISDIR ? 0 : log_error_errno(errno, "Cannot read the key %s: %m", file);
        text[n] = 0;
        r = keys_parse(k, name, text, &line);
        explicit_bzero(text, sizeof(text));
        if (r == -ENODATA) {
                log_warning("The key %s is empty, ignoring.", file);
                return 0;
        }
        if (r == -E2BIG)
                return log_error_errno(r, "The key %s has more than %u lines: the one that holds, and the one before or after it", file,
                                       KEYS_PER_FILE);
        if (r == -EBADMSG)
                return log_error_errno(r, "The key %s, line %u: not %u to %u bytes in base64 (head -c 32 /dev/urandom | base64)", file, line, KEY_LEAST,
                                       KEY_MOST);
        return r;
}

int keys_read(Keys *k, const char *path, const char *prefix) {
        DIR *d = opendir(path);
        struct dirent *e;
        int r = 0;

        if (!d)
                return errno == ENOENT ? 0 : log_error_errno(errno, "Cannot read the keys in %s: %m", path);
        while (r >= 0 && (e = readdir(d))) {
                const char *name = startswith(e->d_name, prefix);

                if (name && *name && *name != '.')
                        r = read_file(k, dirfd(d), e->d_name, name);
        }
        closedir(d);
        return r;
}

/* ---- messages ---- */

int message_make_id(Message *m, uint64_t callback) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        sd_id128_t machine = SD_ID128_NULL;
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        unsigned n = 0;
        bool good;
        int at;

        (void) sd_id128_get_machine_app_specific(APPLICATION, &machine);
        good = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) && EVP_DigestUpdate(c, machine.bytes, sizeof(machine.bytes)) &&
               EVP_DigestUpdate(c, m->body, m->size) && EVP_DigestFinal_ex(c, digest, &n);
        EVP_MD_CTX_free(c);
        if (!good)
                return -ENOMEM;
        at = snprintf(m->id, sizeof(m->id), "%" PRIu64 "-", callback);
        for (unsigned i = 0; i < 12; i++)
                at += snprintf(m->id + at, sizeof(m->id) - at, "%02x", digest[i]);
        return 0;
}

static int sign(const Message *m, const Key *key, unsigned char ret[static DIGEST_SIZE]) {
        OSSL_PARAM parameters[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA256", 0), OSSL_PARAM_construct_end() };
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;
        char head[128];
        size_t n = 0;
        bool good;

        (void) snprintf(head, sizeof(head), "%s.%" PRIu64 ".", m->id, m->timestamp);
        good = c && EVP_MAC_init(c, key->data, key->size, parameters) && EVP_MAC_update(c, (unsigned char *) head, strlen(head)) &&
               EVP_MAC_update(c, (const unsigned char *) m->body, m->size) && EVP_MAC_final(c, ret, &n, DIGEST_SIZE);
        EVP_MAC_CTX_free(c);
        EVP_MAC_free(mac);
        return good && n == DIGEST_SIZE ? 0 : -ENOMEM;
}

static bool holds_for(const Key *k, uint32_t owner, const char *queue) {
        const char *of = startswith(k->name, "queue-");
        char user[16];

        (void) snprintf(user, sizeof(user), "uid-%" PRIu32, owner);
        return streq(k->name, "default") || streq(k->name, user) || (of && streq(of, queue));
}

int message_sign(const Message *m, const Keys *k, uint32_t owner, const char *queue, char **ret) {
        _cleanup_free_ char *all = strdup("");
        unsigned char digest[DIGEST_SIZE], text[DIGEST_SIZE * 2];

        for (size_t i = 0; all && i < k->n; i++) {
                char *more;

                if (!holds_for(k->keys + i, owner, queue))
                        continue;
                if (sign(m, k->keys + i, digest) < 0)
                        return -ENOMEM;
                (void) EVP_EncodeBlock(text, digest, DIGEST_SIZE);
                if (asprintf(&more, "%s%sv1,%s", all, *all ? " " : "", text) < 0)
                        return -ENOMEM;
                free(all);
                all = more;
        }
        if (!all)
                return -ENOMEM;
        if (!*all)
                return 0;
        *ret = TAKE_PTR(all);
        return 1;
}
