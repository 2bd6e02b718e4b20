// SPDX-License-Identifier: LGPL-2.1-or-later

package jobmill

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"time"
)

// Events is what becomes of jobs, as it comes: over restarts of the daemon, too, and missing nothing.
type Events struct {
	client *Client
	last   *int64
	come   []Event

	lock   sync.Mutex // of what Close touches
	conn   *conn
	closed bool
}

// Events begins behind the number after, or, if that is nil, with what happens once it has returned.
func (c *Client) Events(ctx context.Context, after *int64) (*Events, error) {
	e := &Events{client: c, last: after}
	if _, ok := ctx.Deadline(); !ok && c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	if err := e.connect(ctx); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Next waits for the next event; net.ErrClosed after Close. ErrEventsLost: list the jobs, and go on behind the number that the error's parameters tell.
func (e *Events) Next(ctx context.Context) (Event, error) {
	for len(e.come) == 0 {
		err := e.read(ctx)
		if _, told := err.(*Error); told {
			return Event{}, err
		}
		if ctx.Err() != nil {
			e.conn.SetDeadline(time.Time{})
			return Event{}, ctx.Err()
		}
		if err != nil {
			if err = e.connect(ctx); err != nil {
				return Event{}, err
			}
		}
	}
	event := e.come[0]
	e.come = e.come[1:]
	e.last = &event.Number
	return event, nil
}

// Last is the number to go on after.
func (e *Events) Last() int64 { return *e.last }

// Close ends the stream, and a Next that waits. Any goroutine may call it.
func (e *Events) Close() error {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.closed = true
	if e.conn == nil {
		return nil
	}
	return e.conn.Close()
}

// take replaces the connection, unless the stream was closed meanwhile.
func (e *Events) take(c *conn) error {
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.conn != nil {
		e.conn.Close()
	}
	if e.closed {
		c.Close()
		return net.ErrClosed
	}
	e.conn = c
	return nil
}

func (e *Events) isClosed() bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	return e.closed
}

// connect goes on until it is answered.
func (e *Events) connect(ctx context.Context) error {
	message, err := encode("Events", struct {
		After *int64 `json:"after,omitempty"`
	}{e.last}, true)
	if err != nil {
		return err
	}
	for backoff := backoffFirst; ; {
		if e.isClosed() {
			return net.ErrClosed
		}
		if c, err := dial(ctx, e.client.Path); err == nil {
			if err := e.take(c); err != nil {
				return err
			}
			if _, err = e.conn.Write(message); err == nil {
				err = e.read(ctx)
			}
			if _, told := err.(*Error); told || err == nil {
				return err
			}
		}
		if err := pause(ctx, &backoff); err != nil {
			return err
		}
	}
}

func (e *Events) read(ctx context.Context) error {
	over := e.conn.guard(ctx)
	r, err := e.conn.read()
	over()
	if err == nil {
		err = r.err()
	}
	if err != nil {
		return err
	}
	var p struct {
		Events []Event
		Last   int64
	}
	if err := json.Unmarshal(r.Parameters, &p); err != nil {
		return err
	}
	if e.come = p.Events; len(e.come) == 0 {
		e.last = &p.Last
	}
	return nil
}
