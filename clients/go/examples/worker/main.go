// SPDX-License-Identifier: LGPL-2.1-or-later

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"jobmill"
)

func work(ctx context.Context, task *jobmill.Task) (any, error) {
	for i := range task.Job.Argv {
		if ctx.Err() != nil { // it was cancelled, or takes too long
			return nil, ctx.Err()
		}
		task.Progress(fmt.Sprintf("%d%%", 100*(i+1)/len(task.Job.Argv)))
	}
	return map[string]any{"success": true, "words": len(task.Job.Argv)}, nil
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	worker := jobmill.Worker{Queues: []string{"words"}, Slots: 4}
	if err := worker.Run(ctx, work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
