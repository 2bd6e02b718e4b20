/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A delivery: one POST, by libcurl. Who submitted the job chose where it goes, and the answer is anybody's, so: the address is looked at where
 * the socket to it is made, which no name can change any more; no proxy, no other protocol, no redirect that webhook.conf does not allow; and of
 * time and answer no more than that allows. */

#include "webhook/webhook.h"

#include "base/log.h"
#include "base/parse.h"

#include <inttypes.h>

void delivery_free(Delivery *d) {
        curl_easy_cleanup(d->easy);
        curl_slist_free_all(d->headers);
        json_object_put(d->job);
        free(d);
}

/* ---- what curl asks ---- */

static curl_socket_t on_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *a) {
        Delivery *d = userdata;
        uint8_t address[16];

        if (purpose != CURLSOCKTYPE_IPCXN || address_from_socket(&a->addr, a->addrlen, address) < 0)
                return CURL_SOCKET_BAD;
        if (!policy_allows(d->policy, address)) {
                address_format(address, d->refused);
                return CURL_SOCKET_BAD;
        }
        d->allowed = true;
        return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t receive(Delivery *d, size_t size) {
        d->received += size;
        d->too_long = d->received > d->policy->response_max;
        return d->too_long ? 0 : size;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
        return receive(userdata, size * n);
}

/* An answer: where a redirect leads to has addresses of its own. */
static size_t on_header(char *data, size_t size, size_t n, void *userdata) {
        Delivery *d = userdata;

        if (n > 5 && memcmp(data, "HTTP/", 5) == 0) {
                d->allowed = false;
                *d->refused = 0;
        }
        return receive(d, size * n);
}

/* ---- beginning ---- */

static void fail(Delivery *d, int status, const char *format, ...) _printf_(3, 4);
static void fail(Delivery *d, int status, const char *format, ...) {
        va_list ap;

        d->status = status;
        va_start(ap, format);
        (void) vsnprintf(d->reason, sizeof(d->reason), format, ap);
        va_end(ap);
}

static json_object *get(json_object *o, const char *key, json_type type) {
        json_object *v = NULL;

        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) && json_object_is_type(v, type) ? v : NULL;
}

static const char *word(json_object *argv, size_t i) {
        json_object *v = json_object_is_type(argv, json_type_array) ? json_object_array_get_idx(argv, i) : NULL;

        return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static Delivery *delivery_new(Webhook *w, json_object *order) {
        const char *token = json_object_get_string(get(order, "attempt_token", json_type_string));
        json_object *argv;
        Delivery *d;

        d = calloc(1, sizeof(Delivery));
        if (!d)
                return NULL;
        d->policy = &w->policy;
        d->id = json_object_get_uint64(get(order, "id", json_type_int));
        d->attempt = json_object_get_uint64(get(order, "attempt", json_type_int));
        d->owner = (uint32_t) json_object_get_uint64(get(order, "owner", json_type_int));
        (void) snprintf(d->token, sizeof(d->token), "%s", strempty(token));
        d->job = json_object_get(get(order, "job", json_type_object));
        argv = get(d->job, "argv", json_type_array);
        d->event = word(argv, 1);
        d->url = word(argv, 3);
        d->body = json_object_get_string(get(d->job, "payload", json_type_string));
        return d;
}

/* Which queue the job is of that it is about. */
static char *read_queue(const char *body) {
        json_tokener *t = json_tokener_new_ex(64);
        json_object *o = t ? json_tokener_parse_ex(t, body, -1) : NULL;
        char *queue = strdup(strempty(json_object_get_string(get(o, "queue", json_type_string))));

        json_object_put(o);
        if (t)
                json_tokener_free(t);
        return queue;
}

static int add_header(Delivery *d, const char *format, ...) _printf_(2, 3);
static int add_header(Delivery *d, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        struct curl_slist *l;
        va_list ap;

        va_start(ap, format);
        text = vformat(format, ap);
        va_end(ap);
        l = text ? curl_slist_append(d->headers, text) : NULL;
        if (!l)
                return -ENOMEM;
        d->headers = l;
        return 0;
}

/* 0: there is no key. */
static int sign(Webhook *w, Delivery *d) {
        Message m = { .timestamp = (uint64_t) time(NULL), .body = d->body, .size = strlen(d->body) };
        _cleanup_free_ char *queue = read_queue(d->body), *signature = NULL;
        int r;

        r = queue ? message_make_id(&m, d->id) : -ENOMEM;
        if (r >= 0)
                r = message_sign(&m, &w->keys, d->owner, queue, &signature);
        if (r <= 0)
                return r;
        r = add_header(d, "Content-Type: application/json");
        if (r >= 0)
                r = add_header(d, "webhook-id: %s", m.id);
        if (r >= 0)
                r = add_header(d, "webhook-timestamp: %" PRIu64, m.timestamp);
        if (r >= 0)
                r = add_header(d, "webhook-signature: %s", signature);
        if (r >= 0)
                r = add_header(d, "Expect:"); /* at once, without asking first */
        return r < 0 ? r : 1;
}

/* The first option that is not taken is told. */
#define SET(option, value)                                                                                   \
        do {                                                                                                 \
                CURLcode _c = curl_easy_setopt(d->easy, option, value);                                      \
                if (_c != CURLE_OK)                                                                          \
                        return _c;                                                                           \
        } while (false)

static CURLcode set_options(const Webhook *w, Delivery *d) {
        const Policy *p = &w->policy;
        const char *protocols = p->allow_http ? "http,https" : "https";

        SET(CURLOPT_PROTOCOLS_STR, protocols);
        SET(CURLOPT_REDIR_PROTOCOLS_STR, protocols);
        SET(CURLOPT_URL, d->url);
        SET(CURLOPT_PROXY, "");
        SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that does not answer is not waited for beyond the time-out, which would hold up all the others */
        SET(CURLOPT_FORBID_REUSE, 1L); /* each has its own connection, which was looked at for it; one that has died is not a second POST */
        SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_FOLLOWLOCATION, p->redirects_max > 0 ? 1L : 0L);
        SET(CURLOPT_MAXREDIRS, (long) p->redirects_max);
        SET(CURLOPT_POSTREDIR, (long) CURL_REDIR_POST_ALL);
        SET(CURLOPT_TIMEOUT_MS, (long) (p->timeout_usec / USEC_PER_MSEC));
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long) (p->connect_timeout_usec / USEC_PER_MSEC));
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        if (p->ca_file)
                SET(CURLOPT_CAINFO, p->ca_file);
        SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
        SET(CURLOPT_OPENSOCKETDATA, d);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, d);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, d);
        SET(CURLOPT_ERRORBUFFER, d->error);
        SET(CURLOPT_PRIVATE, d);
        SET(CURLOPT_USERAGENT, "jobmill-webhook/" JOBMILL_VERSION);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(d->body));
        SET(CURLOPT_POSTFIELDS, d->body);
        SET(CURLOPT_HTTPHEADER, d->headers);
        return CURLE_OK;
}

/* 1: it is under way; 0: it has failed. */
static int start(Webhook *w, Delivery *d) {
        CURLcode c;
        int r;

        if (!d->url || !d->event || !d->body) {
                fail(d, STATUS_NEVER, "This is no callback of jobmilld");
                return 0;
        }
        if (!w->policy.allow_http && !startswith(d->url, "https://")) {
                fail(d, STATUS_NEVER, "http:// is not allowed, only https:// (AllowHTTP= in webhook.conf)");
                return 0;
        }
        r = sign(w, d);
        if (r < 0)
                return r;
        if (r == 0) {
                fail(d, STATUS_AGAIN, "There is no key to sign it with: jobmill-webhook(8), KEYS");
                return 0;
        }
        d->easy = curl_easy_init();
        if (!d->easy)
                return -ENOMEM;
        c = set_options(w, d);
        if (c == CURLE_OK && curl_multi_add_handle(w->multi, d->easy) == CURLM_OK)
                return 1;
        curl_easy_cleanup(TAKE_PTR(d->easy));
        fail(d, STATUS_AGAIN, "libcurl: %s", c == CURLE_OK ? "it takes no more" : curl_easy_strerror(c));
        return 0;
}

int delivery_begin(Webhook *w, json_object *order) {
        Delivery *d = delivery_new(w, order);
        int r;

        if (!d)
                return -ENOMEM;
        r = start(w, d);
        if (r < 0) {
                delivery_free(d);
                return r;
        }
        if (r > 0)
                TAILQ_INSERT_TAIL(&w->under_way, d, entry);
        else
                TAILQ_INSERT_TAIL(&w->to_report, d, entry);
        return 0;
}

/* ---- its end ---- */

/* Without what may be secret in it. */
static const char *host_of(const char *url, char buf[static 256]) {
        CURLU *u = curl_url();
        char *host = NULL;

        if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
                (void) curl_url_get(u, CURLUPART_HOST, &host, 0);
        (void) snprintf(buf, 256, "%s", host ?: "the receiver");
        curl_free(host);
        curl_url_cleanup(u);
        return buf;
}

static void judge_status(Delivery *d, long status) {
        char *to = NULL, host[256], next[256];

        host_of(d->url, host);
        (void) curl_easy_getinfo(d->easy, CURLINFO_REDIRECT_URL, &to);
        if (status >= 200 && status < 300)
                d->status = 0;
        else if (status >= 300 && status < 400)
                fail(d, STATUS_AGAIN, "HTTP %ld of %s: it sends us to %s, where we do not go (MaxRedirects= in webhook.conf)", status, host,
                     to ? host_of(to, next) : "nowhere");
        else if (status == 410)
                fail(d, STATUS_NEVER, "HTTP 410 of %s: it does not want them any more", host);
        else
                fail(d, STATUS_AGAIN, "HTTP %ld of %s", status, host);
}

/* What counts is there, however the rest of the answer goes on, or does not. */
static bool has_answered(const Delivery *d, CURLcode c, long status) {
        return c == CURLE_OK || (status >= 200 && status < 300) || (c == CURLE_WRITE_ERROR && d->too_long && status >= 300);
}

/* Who it was sent on to, where it was. */
static void fail_refused(Delivery *d) {
        char host[256], literal[INET6_ADDRSTRLEN + 2], says[INET6_ADDRSTRLEN + 16] = "", *at = NULL;

        (void) curl_easy_getinfo(d->easy, CURLINFO_EFFECTIVE_URL, &at);
        host_of(at ?: d->url, host);
        (void) snprintf(literal, sizeof(literal), "[%s]", d->refused);
        if (!streq(host, d->refused) && !streq(host, literal))
                (void) snprintf(says, sizeof(says), " is %s, which", d->refused);
        fail(d, STATUS_NEVER, "%s%s is no public address: AllowAddresses=%s in webhook.conf allows it", host, says, d->refused);
}

static void judge(Delivery *d, CURLcode c) {
        char host[256];
        long status = 0;

        (void) curl_easy_getinfo(d->easy, CURLINFO_RESPONSE_CODE, &status);
        host_of(d->url, host);
        if (has_answered(d, c, status))
                judge_status(d, status);
        else if (c == CURLE_COULDNT_CONNECT && *d->refused && !d->allowed)
                fail_refused(d);
        else if (c == CURLE_UNSUPPORTED_PROTOCOL)
                fail(d, STATUS_NEVER, "%s sends us to another protocol than https (AllowHTTP= in webhook.conf)", host);
        else if (c == CURLE_URL_MALFORMAT)
                fail(d, STATUS_NEVER, "That is no URL: %s", *d->error ? d->error : curl_easy_strerror(c));
        else
                fail(d, STATUS_AGAIN, "%s: %s", host, d->too_long ? "its answer is too long (ResponseMax= in webhook.conf)" :
                                                      *d->error   ? d->error :
                                                                    curl_easy_strerror(c));
}

static void finish(Webhook *w, Delivery *d) {
        (void) curl_multi_remove_handle(w->multi, d->easy);
        curl_easy_cleanup(TAKE_PTR(d->easy));
        TAILQ_REMOVE(&w->under_way, d, entry);
        TAILQ_INSERT_TAIL(&w->to_report, d, entry);
}

void delivery_cancel(Webhook *w, Delivery *d) {
        if (!d->easy)
                return;
        fail(d, STATUS_AGAIN, "cancelled");
        finish(w, d);
}

void deliveries_perform(Webhook *w) {
        int running, left;
        CURLMsg *m;

        (void) curl_multi_perform(w->multi, &running);
        while ((m = curl_multi_info_read(w->multi, &left))) {
                Delivery *d = NULL;

                if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &d) != CURLE_OK || !d)
                        continue;
                judge(d, m->data.result);
                finish(w, d);
        }
}

static Delivery *find(struct Deliveries *l, uint64_t id, uint64_t attempt) {
        Delivery *d;

        TAILQ_FOREACH(d, l, entry)
                if (d->id == id && d->attempt == attempt)
                        return d;
        return NULL;
}

Delivery *delivery_find(Webhook *w, uint64_t id, uint64_t attempt) {
        return find(&w->under_way, id, attempt) ?: find(&w->to_report, id, attempt) ?: find(&w->reported, id, attempt);
}
