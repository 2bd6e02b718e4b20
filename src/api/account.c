/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "api/account.h"

Account *account_find(Account *all, uint32_t uid) {
        Account *a;

        HASH_FIND(hh, all, &uid, sizeof(uid), a);
        return a;
}

Account *account_get(Account **all, uint32_t uid) {
        Account *a = account_find(*all, uid);

        if (!a) {
                a = new0(Account, 1);
                if (!a)
                        return NULL;
                a->uid = uid;
                HASH_ADD(hh, *all, uid, sizeof(a->uid), a);
        }
        a->n_clients++;
        return a;
}

void account_put(Account **all, Account *a) {
        if (!a || --a->n_clients > 0)
                return;
        HASH_DEL(*all, a);
        free(a);
}
