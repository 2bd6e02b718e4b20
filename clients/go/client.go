// SPDX-License-Identifier: LGPL-2.1-or-later

package jobmill

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// DefaultTimeout is how long a call takes at most whose context has no deadline.
const DefaultTimeout = 60 * time.Second

// Client makes calls. Any goroutine may call at any time: each call under way has a connection of its own, and those that are not needed
// are kept for the next ones.
type Client struct {
	Path    string        // of the daemon's socket
	Timeout time.Duration // of calls whose context has no deadline; 0: none. Not of Wait and Events

	lock   sync.Mutex
	idle   []*conn
	closed bool
}

// NewClient returns a client of the system's daemon. It connects when it is called.
func NewClient() *Client { return &Client{Path: DefaultPath(), Timeout: DefaultTimeout} }

// Close closes the connections that are kept. Calls under way go on, and are not made again.
func (c *Client) Close() error {
	c.lock.Lock()
	c.closed = true
	c.lock.Unlock()
	c.drop()
	return nil
}

// drop closes the connections that are kept.
func (c *Client) drop() {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, k := range c.idle {
		k.Close()
	}
	c.idle = nil
}

// Call makes any call, and reads the reply's parameters into result, unless that is nil. One that changes nothing by being made twice is made
// until it is answered, or ctx ends; any other fails with ErrDisconnected where the connection breaks.
func (c *Client) Call(ctx context.Context, method string, parameters, result any) error {
	if _, ok := ctx.Deadline(); !ok && c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	parameters, err := requested(method, parameters)
	if err != nil {
		return err
	}
	return c.call(ctx, method, parameters, result)
}

// requested gives what makes jobs a request_id, so that the same ones are made when it is sent again. It stands in the first of several.
func requested(method string, parameters any) (any, error) {
	key := map[string]string{"Submit": "job", "SubmitMany": "jobs", "SubmitFlow": "flow"}[method]
	if key == "" {
		return parameters, nil
	}
	text, err := json.Marshal(parameters)
	if err != nil {
		return nil, fmt.Errorf("jobmill: %s: %w", method, err)
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return parameters, nil // the daemon says what is wrong with it
	}
	var one map[string]json.RawMessage
	var many []json.RawMessage
	if json.Unmarshal(all[key], &many) == nil && len(many) > 0 {
		json.Unmarshal(many[0], &one)
	} else {
		json.Unmarshal(all[key], &one)
	}
	if id := string(one["request_id"]); one == nil || (id != "" && id != "null" && id != `""`) {
		return parameters, nil
	}
	one["request_id"] = json.RawMessage(`"` + newRequestID() + `"`)
	if len(many) > 0 {
		if many[0], err = json.Marshal(one); err == nil {
			all[key], err = json.Marshal(many)
		}
	} else {
		all[key], err = json.Marshal(one)
	}
	return all, err
}

func (c *Client) call(ctx context.Context, method string, parameters, result any) error {
	message, err := encode(method, parameters, false)
	if err != nil {
		return err
	}
	backoff := backoffFirst
	for {
		r, sent, err := c.try(ctx, message, !repeatable[method])
		switch {
		case err == nil && r.Error != "":
			return r.err()
		case err == nil && (result == nil || len(r.Parameters) == 0):
			return nil
		case err == nil:
			return json.Unmarshal(r.Parameters, result)
		case ctx.Err() != nil:
			return ctx.Err()
		case c.isClosed() || (sent && !repeatable[method]):
			return fmt.Errorf("%w: %s: %v", ErrDisconnected, method, err)
		}
		if err := pause(ctx, &backoff); err != nil {
			return err
		}
	}
}

// try makes the call once. fresh: a connection that is kept may turn out to be closed only after something was sent.
func (c *Client) try(ctx context.Context, message []byte, fresh bool) (r *reply, sent bool, err error) {
	k, err := c.get(ctx, fresh)
	if err != nil {
		return nil, false, err
	}
	over := k.guard(ctx)
	if _, err = k.Write(message); err == nil {
		r, err = k.read()
	}
	over()
	if err != nil && ctx.Err() == nil {
		c.drop() // the daemon is gone, and so is what else is kept
	}
	if err != nil || ctx.Err() != nil { // an answer that nobody waits for must not be the next one's
		k.Close()
		return r, true, err
	}
	c.put(k)
	return r, true, nil
}

func (c *Client) get(ctx context.Context, fresh bool) (*conn, error) {
	c.lock.Lock()
	if n := len(c.idle); n > 0 && !fresh {
		k := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.lock.Unlock()
		return k, nil
	}
	c.lock.Unlock()
	return dial(ctx, c.Path)
}

func (c *Client) put(k *conn) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.closed {
		k.Close()
	} else {
		c.idle = append(c.idle, k)
	}
}

func (c *Client) isClosed() bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.closed
}

// Submit stores a job, and returns its id: exactly one job, whatever happens to the connection.
func (c *Client) Submit(ctx context.Context, spec Spec) (int64, error) {
	var r struct{ ID int64 }
	err := c.Call(ctx, "Submit", map[string]any{"job": spec}, &r)
	return r.ID, err
}

// SubmitMany stores all of them, or none.
func (c *Client) SubmitMany(ctx context.Context, specs []Spec) ([]int64, error) {
	if specs == nil {
		specs = []Spec{}
	}
	var r struct{ IDs []int64 }
	err := c.Call(ctx, "SubmitMany", map[string]any{"jobs": specs}, &r)
	return r.IDs, err
}

// Flow is what SubmitFlow has made: its id, and those of its jobs by name.
type Flow struct {
	Flow int64            `json:"flow"`
	Jobs map[string]int64 `json:"jobs"`
}

// SubmitFlow stores jobs that wait for one another: the document of "jobmill submit --flow".
func (c *Client) SubmitFlow(ctx context.Context, document map[string]any) (Flow, error) {
	var flow Flow
	err := c.Call(ctx, "SubmitFlow", map[string]any{"flow": document}, &flow)
	return flow, err
}

// Get returns a job as it is now.
func (c *Client) Get(ctx context.Context, id int64) (Job, error) {
	var r struct{ Job Job }
	err := c.Call(ctx, "Get", byID{id}, &r)
	return r.Job, err
}

type byID struct {
	ID int64 `json:"id"`
}

// List calls f for each job that matches, a page at a time, until f returns false. filter: nil for all.
func (c *Client) List(ctx context.Context, filter *Filter, f func(Job) bool) error {
	p := struct {
		Filter *Filter `json:"filter,omitempty"`
		Cursor string  `json:"cursor,omitempty"`
		Limit  int     `json:"limit"`
	}{filter, "", page}
	for {
		var r struct {
			Jobs []Job
			Next string
		}
		if err := c.Call(ctx, "List", p, &r); err != nil {
			return err
		}
		for _, job := range r.Jobs {
			if !f(job) {
				return nil
			}
		}
		if p.Cursor = r.Next; p.Cursor == "" {
			return nil
		}
	}
}

// Outcome is how a job has ended, and its last attempt.
type Outcome struct {
	State   string  `json:"state"`
	Result  string  `json:"result"`
	Outcome Attempt `json:"outcome"`
}

// Wait returns when the job has ended, over restarts of the daemon, too. It takes as long as ctx allows.
func (c *Client) Wait(ctx context.Context, id int64) (Outcome, error) {
	var o Outcome
	err := c.call(ctx, "Wait", byID{id}, &o)
	return o, err
}

// Cancel ends a job, or takes care that it does not begin.
func (c *Client) Cancel(ctx context.Context, id int64) error {
	return c.Call(ctx, "Cancel", byID{id}, nil)
}

// Hold keeps a job from starting.
func (c *Client) Hold(ctx context.Context, id int64) error { return c.Call(ctx, "Hold", byID{id}, nil) }

// Release undoes Hold.
func (c *Client) Release(ctx context.Context, id int64) error {
	return c.Call(ctx, "Release", byID{id}, nil)
}

// Retry has a job that has ended tried again: so many times (0: once), after a while. It is not made twice by itself: ErrDisconnected.
func (c *Client) Retry(ctx context.Context, id int64, maxAttempts int, delay time.Duration) error {
	return c.Call(ctx, "Retry", struct {
		ID          int64 `json:"id"`
		MaxAttempts int   `json:"max_attempts,omitempty"`
		DelayUSec   int64 `json:"delay_usec,omitempty"`
	}{id, maxAttempts, delay.Microseconds()}, nil)
}

// Types lists the job types.
func (c *Client) Types(ctx context.Context) ([]JobType, error) {
	var r struct{ Types []JobType }
	err := c.Call(ctx, "ListTypes", nil, &r)
	return r.Types, err
}

// Schedules lists the schedules.
func (c *Client) Schedules(ctx context.Context) ([]Schedule, error) {
	var r struct{ Schedules []Schedule }
	err := c.Call(ctx, "ListSchedules", nil, &r)
	return r.Schedules, err
}

// Workers lists the workers.
func (c *Client) Workers(ctx context.Context) ([]WorkerInfo, error) {
	var r struct{ Workers []WorkerInfo }
	err := c.Call(ctx, "ListWorkers", nil, &r)
	return r.Workers, err
}

// Statistics tells how many jobs are in which state, and of the daemon.
func (c *Client) Statistics(ctx context.Context) (DaemonStatistics, error) {
	var r struct{ Statistics DaemonStatistics }
	err := c.Call(ctx, "Statistics", nil, &r)
	return r.Statistics, err
}

// Report sums up, by queue, type, owner, day, hour or minute, with commas between.
func (c *Client) Report(ctx context.Context, filter *Filter, groupBy string) ([]ReportRow, error) {
	var r struct{ Rows []ReportRow }
	err := c.Call(ctx, "Report", struct {
		Filter  *Filter `json:"filter,omitempty"`
		GroupBy string  `json:"group_by,omitempty"`
	}{filter, groupBy}, &r)
	return r.Rows, err
}
