// SPDX-License-Identifier: LGPL-2.1-or-later

// The driver of the conformance suite (clients/conformance/README.md).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"jobmill"
)

type args struct {
	ID          int64
	N           int
	Spec        jobmill.Spec
	Specs       []jobmill.Spec
	Document    map[string]any
	Filter      *jobmill.Filter
	Timeout     float64
	MaxAttempts int     `json:"max_attempts"`
	Delay       float64 // s
	After       *int64
	Count       int
	Method      string
	Parameters  json.RawMessage
	Queues      []string
	Slots       *int
	Name        string
}

type request struct {
	N    int
	Op   string
	Args args
}

var (
	client  = jobmill.NewClient()
	lock    sync.Mutex
	out     = json.NewEncoder(os.Stdout)
	cancels = map[int]context.CancelFunc{}
	stop    context.CancelFunc
)

func tell(line map[string]any) {
	lock.Lock()
	defer lock.Unlock()
	if err := out.Encode(line); err != nil {
		os.Exit(1)
	}
}

func tellError(n int, err error) {
	line := map[string]any{"n": n, "message": err.Error()}
	var told *jobmill.Error
	switch {
	case errors.As(err, &told):
		line["error"], line["message"], line["parameters"] = told.Name, told.Message, told.Parameters
	case errors.Is(err, context.DeadlineExceeded):
		line["error"] = "DeadlineExceeded"
	case errors.Is(err, context.Canceled):
		line["error"] = "Cancelled"
	case errors.Is(err, jobmill.ErrDisconnected):
		line["error"] = "Disconnected"
	default:
		line["error"] = "Unknown"
	}
	tell(line)
}

func do(ctx context.Context, r request) (any, error) {
	a := r.Args
	if a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(a.Timeout*float64(time.Second)))
		defer cancel()
	}
	switch r.Op {
	case "submit":
		return client.Submit(ctx, a.Spec)
	case "submit_many":
		return client.SubmitMany(ctx, a.Specs)
	case "submit_flow":
		return client.SubmitFlow(ctx, a.Document)
	case "get":
		return client.Get(ctx, a.ID)
	case "list":
		jobs := []jobmill.Job{}
		err := client.List(ctx, a.Filter, func(j jobmill.Job) bool { jobs = append(jobs, j); return true })
		return jobs, err
	case "wait":
		return client.Wait(ctx, a.ID)
	case "cancel":
		return nil, client.Cancel(ctx, a.ID)
	case "hold":
		return nil, client.Hold(ctx, a.ID)
	case "release":
		return nil, client.Release(ctx, a.ID)
	case "retry":
		return nil, client.Retry(ctx, a.ID, a.MaxAttempts, time.Duration(a.Delay*float64(time.Second)))
	case "events":
		return events(ctx, r)
	case "call":
		var result json.RawMessage
		err := client.Call(ctx, a.Method, a.Parameters, &result)
		return result, err
	case "abandon":
		lock.Lock()
		defer lock.Unlock()
		cancels[a.N]()
		return nil, nil
	case "work":
		return work(a)
	case "stop":
		stop()
		return nil, nil
	}
	return nil, &jobmill.Error{Name: "Unsupported"}
}

func events(ctx context.Context, r request) (any, error) {
	stream, err := client.Events(ctx, r.Args.After)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	tell(map[string]any{"n": r.N, "ready": true})
	come := []jobmill.Event{}
	for len(come) < r.Args.Count {
		e, err := stream.Next(ctx)
		if err != nil {
			return nil, err
		}
		come = append(come, e)
	}
	return come, nil
}

// What a payload says is to be done.
type orders struct {
	Progress       *string
	Sleep          float64
	UntilCancelled any `json:"until_cancelled"`
	Raise          *string
	Return         any
	Echo           any
}

func work(a args) (any, error) {
	w := jobmill.Worker{Queues: a.Queues, Name: a.Name}
	if a.Slots != nil {
		if w.Slots = *a.Slots; w.Slots == 0 {
			w.Slots = -1 // 0 is one
		}
	}
	var ctx context.Context
	lock.Lock()
	ctx, stop = context.WithCancel(context.Background())
	lock.Unlock()
	var begun int64
	err := w.Run(ctx, func(ctx context.Context, t *jobmill.Task) (any, error) {
		atomic.AddInt64(&begun, 1)
		return obey(ctx, t)
	})
	return map[string]int64{"jobs": begun}, err
}

func obey(ctx context.Context, t *jobmill.Task) (any, error) {
	var o orders
	if json.Unmarshal(t.Payload(), &o) != nil {
		return nil, nil
	}
	if o.Progress != nil {
		t.Progress(*o.Progress)
	}
	time.Sleep(time.Duration(o.Sleep * float64(time.Second)))
	if o.UntilCancelled != nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(30 * time.Second):
		}
	}
	if o.Raise != nil {
		return nil, errors.New(*o.Raise)
	}
	if o.Return != nil {
		return o.Return, nil
	}
	if o.Echo != nil {
		inputs := t.Inputs
		if inputs == nil {
			inputs = json.RawMessage("[]")
		}
		return map[string]any{"success": true, "id": t.ID, "attempt": t.Attempt, "queue": t.Queue, "name": t.Name, "argv": t.Job.Argv,
			"payload_base64": t.Payload(), "inputs": inputs}, nil
	}
	return nil, nil
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<26)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		lock.Lock()
		cancels[r.N] = cancel
		lock.Unlock()
		go func() {
			value, err := do(ctx, r)
			if err != nil {
				tellError(r.N, err)
			} else {
				tell(map[string]any{"n": r.N, "value": value})
			}
		}()
	}
}
