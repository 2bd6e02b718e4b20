/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See pool.h. */

#include "queue/pool.h"

#include "queue/spec-credential.h"
#include "queue/spec-check.h"

void pool_unit_name(const char *queue, uint32_t owner, char ret[static POOL_UNIT_MAX]) {
        (void) snprintf(ret, POOL_UNIT_MAX, POOL_UNIT_PREFIX "%s-%" PRIu32 ".service", queue, owner);
}

int pool_check_properties(const UnitPropertyList *l, char **ret_error) {
        for (size_t i = 0; i < l->n_values; i++) {
                const UnitProperty *p = unit_property_of_value(l->values + i);

                if (p && !(p->flags & UNIT_PROPERTY_POOL))
                        return spec_error(ret_error, EPERM, "%s= cannot be set where jobs have no unit of their own (Executor=pool)", p->name);
        }
        return 0;
}

int pool_check_spec(const JobSpec *s, char **ret_error) {
        int r = spec_refuse_credentials(s, "a job without a unit of its own cannot have them (Executor=pool)", ret_error);

        if (r < 0)
                return r;
        return s->freezable ? spec_error(ret_error, EPERM, "freezable: a job without a unit of its own cannot be frozen (Executor=pool)") : 0;
}
