/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finding the verdict. The bytes are a job's: anything may be in there. So they are scanned here, by the letter of RFC 8259 and without
 * building anything, instead of being given to a parser that forgives.
 *
 * Candidates are tried from the first line on, because the longest is wanted. That is linear: a candidate that is an object, but not
 * the last thing, is passed over as a whole, since what is in it does not reach the end either; and one that is no object ends where it breaks
 * the grammar, which, with strings that hold no line feed, only white space, whole values and at most JSON_SCAN_DEPTH_MAX open
 * brackets can put off. */

#include "queue/verdict.h"

#include "base/parse.h"
#include "queue/json-scan.h"

/* Of a name that comes twice the last one counts, as most parsers have it. */
static void on_member(void *userdata, const char *name, const char *value, const char *end) {
        int *success = userdata;

        if (json_scan_name_is(name, "success"))
                *success = *value == 't' ? 1 : *value == 'f' ? 0 : -1;
}

bool verdict_find(const char *data, size_t n, bool line_start, Verdict *ret) {
        const char *line = data, *end;

        while (n > 0 && (data[n - 1] == ' ' || (data[n - 1] >= '\t' && data[n - 1] <= '\r')))
                n--;
        end = data + n;
        if (n == 0 || end[-1] != '}')
                return false;
        if (!line_start)
                line = memchr(data, '\n', n) ? (const char *) memchr(data, '\n', n) + 1 : end;
        while (line < end) {
                int success = -1;
                JsonScan s = { .p = line, .end = end, .member = on_member, .userdata = &success };
                const char *next = line;

                if (*line == '{' && json_scan_value(&s)) {
                        if (s.p == end && utf8_is_valid(line, end - line)) {
                                *ret = (Verdict) { line - data, end - line, success };
                                return true;
                        }
                        next = s.p == end ? line : s.p;
                }
                next = memchr(next, '\n', end - next);
                line = next ? next + 1 : end;
        }
        return false;
}

char *verdict_tail(const char *data, size_t n, size_t max) {
        static const char replacement[] = "\xef\xbf\xbd";
        char *text, *p;
        size_t l;

        if (n > max) {
                data += n - max;
                n = max;
                /* Not the rest of a character whose begin is cut off. */
                for (unsigned i = 0; i < 3 && n > 0 && ((unsigned char) *data & 0xc0) == 0x80; i++, n--)
                        data++;
        }
        text = p = malloc(n * strlen(replacement) + 1);
        if (!text)
                return NULL;
        for (; n > 0; data += l, n -= l) {
                l = *data ? utf8_character_length(data, n) : 0;
                p = l > 0 ? mempcpy(p, data, l) : stpcpy(p, replacement);
                l = MAX(l, (size_t) 1);
        }
        *p = 0;
        p = realloc(text, p - text + 1);
        return p ?: text;
}

void verdict_judge(Outcome *o, VerifyMode mode) {
        if (o->result == JOB_SUCCESS && o->success == 0)
                o->result = JOB_VERDICT;
        else if (o->result == JOB_SUCCESS && mode == VERIFY_VERDICT && o->success != 1) {
                o->result = JOB_UNVERIFIED;
                if (!o->reason)
                        o->reason = strdup(o->verdict ? "\"success\" of its verdict is neither true nor false" : "it wrote no verdict");
        }
        switch (o->result) {
        case JOB_SUCCESS:
                o->success = 1;
                break;
        case JOB_EXIT_CODE:
        case JOB_VERDICT:
        case JOB_UNVERIFIED:
                o->success = 0;
                break;
        default:
                o->success = -1;
        }
}

int verdict_resolve(JobSpec *s, OutputMode said, const JobSpec *queue, const JobSpec *daemon, char **ret_error) {
        s->verify = s->verify ?: (queue ? queue->verify : VERIFY_UNSET) ?: daemon->verify ?: VERIFY_EXIT;
        s->output = s->output ?: (queue ? queue->output : OUTPUT_UNSET) ?: daemon->output ?: OUTPUT_JOURNAL;
        if (s->verify == VERIFY_VERDICT) {
                if (said == OUTPUT_JOURNAL)
                        return spec_error(ret_error, EINVAL, "stdout: it is 'spool' where verify is 'verdict'");
                if (s->output_file)
                        return spec_error(ret_error, EINVAL, "output_file: standard output is needed where verify is 'verdict'");
                s->output = OUTPUT_SPOOL;
        } else if (s->output == OUTPUT_SPOOL && s->output_file) {
                if (said == OUTPUT_SPOOL)
                        return spec_error(ret_error, EINVAL, "output_file: not together with stdout 'spool'");
                s->output = OUTPUT_JOURNAL;
        }
        return 0;
}
