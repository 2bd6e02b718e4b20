/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What to run and how: the spec of a job. One field table says for each key its D-Bus signature, where it lies in the
 * struct, its range and how it is checked; D-Bus (api/spec-bus.c), JSON (spec-json.c), store and documents use that
 * table and nothing else, so a key exists everywhere or nowhere (design.md, section 4, "Spec"). */

#include "queue/after.h"

#define SPEC_NAME_MAX 128U
#define SPEC_ARGS_MAX 65536U                    /* words of argv, assignments of environment */
#define SPEC_ARG_MAX (128U * 1024U)             /* one of them with its NUL: the kernel's MAX_ARG_STRLEN */
#define SPEC_ARGV_MAX (1024U * 1024U)           /* all words together, with their NULs */
#define SPEC_ENVIRONMENT_MAX (1024U * 1024U)    /* all assignments together, with their NULs */
#define SPEC_CWD_MAX 4095U
#define SPEC_FILE_MAX 4095U                     /* output_file, error_file */
#define SPEC_REQUEST_ID_MAX 128U
#define SPEC_PAYLOAD_MAX (16U * 1024U * 1024U)
#define SPEC_TAGS_MAX 64U
#define SPEC_TAG_KEY_MAX 64U
#define SPEC_TAG_VALUE_MAX 256U
#define SPEC_PROPERTIES_MAX 128U
#define SPEC_PROPERTY_MAX (8U * 1024U)          /* NAME=VALUE */
#define SPEC_PRIORITY_MIN (-1000)
#define SPEC_PRIORITY_MAX 1000
#define SPEC_SLOTS_MAX 65536U
#define SPEC_ATTEMPTS_MAX 10000U /* ListAttempts tells of all in one message */
#define SPEC_AFTER_MAX 10000U
#define SPEC_UNIQUE_KEY_MAX 256U
#define SPEC_UNITS_MAX 16U                      /* of on_success, of on_failure */
#define SPEC_UNIT_MAX 255U                      /* systemd's UNIT_NAME_MAX */
#define SPEC_ARRAY_MAX 1000000U
#define SPEC_TYPE_MAX 64U                       /* the name of a job type, and its version */
#define SPEC_TYPE_RULES_MAX 1024U

/* In all of these 0 is "not given": the queue's, else the daemon's, else the first word counts. */
typedef enum OutputMode {
        OUTPUT_UNSET,
        OUTPUT_JOURNAL,
        OUTPUT_SPOOL, /* to files of the attempt, in which a verdict is looked for */
} OutputMode;

typedef enum VerifyMode {
        VERIFY_UNSET,
        VERIFY_EXIT,    /* exit status 0 is success, unless a verdict says false */
        VERIFY_VERDICT, /* and a verdict must say true */
} VerifyMode;

typedef enum BackoffMode {
        BACKOFF_UNSET,
        BACKOFF_FIXED,
        BACKOFF_EXPONENTIAL,
} BackoffMode;

typedef enum UniquePolicy {
        UNIQUE_UNSET,
        UNIQUE_REJECT,
        UNIQUE_RETURN,
        UNIQUE_REPLACE,
} UniquePolicy;

typedef struct JobSpec {
        char *name;
        char *type;               /* a job type (queue/job-type.h), NULL: none */
        char *type_version;       /* which one it was when the job was submitted; NULL: it has none */
        char **type_rules;        /* what of it holds for this job to its end: KEY=VALUE as in its file */
        char **argv;
        char *cwd;
        uint32_t umask;           /* UINT32_MAX: not given */
        char **environment;       /* VAR=VALUE */
        uint8_t *payload;
        size_t payload_size;
        char **tags;              /* key, value, key, value, … */
        int32_t priority;
        uint32_t slots;
        bool hold;
        bool has_payload;         /* an empty payload is a payload: an empty file as standard input */
        uint32_t uid;             /* UINT32_MAX: the submitter */
        usec_t not_before_usec;   /* realtime; USEC_INFINITY: at once */
        usec_t delay_usec;        /* the same as a span from the request on; USEC_INFINITY: none */
        usec_t timeout_usec;      /* USEC_INFINITY: none */
        usec_t stop_timeout_usec; /* USEC_INFINITY: the queue's */
        char **properties;        /* NAME=VALUE */
        char *output_file;        /* standard output goes there; NULL: to the journal. Relative: to cwd. %j, %% */
        char *error_file;         /* the same for standard error */
        OutputMode output;        /* "stdout" */
        VerifyMode verify;
        uint32_t max_attempts;    /* 0: not given */
        BackoffMode backoff;
        usec_t backoff_base_usec; /* USEC_INFINITY: not given, both of them */
        usec_t backoff_max_usec;
        double backoff_jitter;    /* 0…1, of the time to wait; < 0: not given */
        char **retry_on;          /* results; NULL: not given */
        bool requeue_lost;
        double memory_growth;     /* ≥ 1; 0: not given */
        usec_t deadline_usec;     /* realtime: started by then, or never; USEC_INFINITY: none */
        usec_t keep_usec;         /* once done; USEC_INFINITY: as the queue says */
        After *after;
        size_t n_after;
        char *unique_key;
        UniquePolicy unique_policy;
        char *unique_scope;       /* "queued", "live", or a span; NULL: not given */
        uint32_t array;           /* so many of them; 0: no array */
        uint32_t array_max_running; /* 0: no limit */
        bool freezable;           /* may be frozen although it has a time-out: its unit then has none of its own */
        unsigned n_refs;          /* spec_ref(): spec_free() does nothing so often */
        char *callback_url;       /* who is to be told (callback.h); NULL: nobody */
        char **callback_events;   /* of what; none: of its end */
        char **on_success, **on_failure; /* units that are started when it is done */
        char **credentials;       /* names (spec-credential.h); and as many of these, from a request to its commit: */
        struct Secret **secrets;  /* NULL: they are stored, or there are none */
        char *request_id;         /* the client's name for this request (queue/receipt.h); not a part of the job */
} JobSpec;

JobSpec *spec_new(void); /* all defaults; NULL: out of memory */
JobSpec *spec_free(JobSpec *s);
JobSpec *spec_ref(JobSpec *s); /* one more owner, who changes nothing of it */
DEFINE_TRIVIAL_CLEANUP_FUNC(JobSpec *, spec_free);

typedef enum SpecType {
        SPEC_STRING, /* s: char* */
        SPEC_STRV,   /* as: char** */
        SPEC_BYTES,  /* ay: uint8_t* followed by size_t; JSON: NAME as string or NAME_base64 */
        SPEC_BOOL,   /* b: bool */
        SPEC_I32,    /* i: int32_t */
        SPEC_U32,    /* u: uint32_t */
        SPEC_USEC,   /* t: usec_t */
        SPEC_TAGS,   /* a{ss}: char** pairs; JSON object of strings */
        SPEC_ENUM,   /* s: one of f->words; 0, the empty text: not given */
        SPEC_DOUBLE, /* d: double, f->min to f->max; what is not given lies below */
        SPEC_EDGES,  /* a(ts): After* followed by size_t; JSON [[ID, "CONDITION"], …] */
        SPEC_CREDENTIALS, /* a{say}: credentials and secrets; JSON an object of strings, or NAME_base64. Stored and told: the names (char**) */
} SpecType;

typedef enum SpecFieldFlags {
        SPEC_NOT_STORED = 1 << 0, /* has a column or a table of its own: spec_to_json() leaves it out unless asked */
        /* When it may be changed (spec-change.h). None of them: never. */
        SPEC_EDIT_QUEUED = 1 << 1, /* while the job has not started */
        SPEC_EDIT_LIVE = 1 << 2,
        SPEC_EDIT_ALWAYS = 1 << 3, /* also when it has ended */
        SPEC_INHERIT = 1 << 5,     /* what is not given is taken from the queue, when the job is submitted */
        SPEC_OURS = 1 << 6,    /* no caller may give it: it is read from the store only */
        SPEC_OF_OWNER = 1 << 4,    /* decides what is done with the owner's rights: who only orders others' jobs must not touch it */
} SpecFieldFlags;

typedef struct SpecField {
        const char *name;
        SpecType type;
        size_t offset;
        int64_t min, max; /* numbers: the range; max 0: none. Lists: max entries (of TAGS: pairs), bytes: max size */
        int (*check)(const struct SpecField *f, const JobSpec *s, char **ret_error); /* may be NULL */
        SpecFieldFlags flags;
        const char *const *words; /* of ENUM: "" and what there is, up to NULL */
} SpecField;

const SpecField *spec_field_find(const char *name); /* NULL: unknown key */
const SpecField *spec_field_of_caller(const char *name); /* the same without those that are ours */
const SpecField *spec_field_table(size_t *ret_n);
const char *spec_type_signature(SpecType t);
int spec_field_word(const SpecField *f, const char *word); /* of ENUM: its value; -EINVAL: none of f->words */

/* Set one field; of STRING and ENUM by its text. Each takes the value over only on success, except strv/bytes/edges which are always consumed. The same key
 * twice: the later wins. -EINVAL, -ERANGE, -E2BIG, -ENOMEM; *ret_error names the key and what is allowed. */
int spec_set_string(JobSpec *s, const SpecField *f, const char *value, char **ret_error);
int spec_set_strv(JobSpec *s, const SpecField *f, char **consumed, char **ret_error); /* STRV and TAGS (flat pairs) */
int spec_set_bytes(JobSpec *s, const SpecField *f, uint8_t *consumed, size_t size, char **ret_error);
int spec_set_integer(JobSpec *s, const SpecField *f, int64_t value, char **ret_error); /* BOOL, I32, U32; USEC below 2^63 */

int spec_set_double(JobSpec *s, const SpecField *f, double value, char **ret_error);
int spec_set_edges(JobSpec *s, const SpecField *f, After *consumed, size_t n, char **ret_error);

/* Everything that can be said without knowing queue and caller: argv there, words clean, sizes, environment names,
 * control characters. Called once after all fields are set. */
int spec_validate(const JobSpec *s, char **ret_error);

/* The value of a field that is the default: not written to JSON. */
bool spec_field_is_default(const JobSpec *s, const SpecField *f);

/* Where the value of a field lies: spec_field_ptr(char *, s, f) is the char * itself. */
#define spec_field_ptr(type, s, f) (*(type *) ((uint8_t *) (s) + (f)->offset))

/* A text for *ret_error (may be NULL); returns -|error|, or -ENOMEM. */
int spec_error(char **ret_error, int error, const char *format, ...) _printf_(3, 4);
/* What a user wrote, fit for a message: short, valid UTF-8, no control characters. Returns buf. */
#define SPEC_QUOTE_MAX 80
const char *spec_quote(char buf[static SPEC_QUOTE_MAX], const char *s, size_t n);
int spec_error_unknown_key(char **ret_error, const char *key); /* "unknown key 'x'", -EINVAL */
