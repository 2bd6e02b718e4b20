# SPDX-License-Identifier: LGPL-2.1-or-later

import jobmill


def work(task):
    for done, word in enumerate(task.argv, 1):
        task.check()  # ends here if it was cancelled, or takes too long
        task.progress("%d%%" % (100 * done // len(task.argv)))
    return {"success": True, "words": len(task.argv)}


jobmill.Worker("words", slots=4).run(work)
