// SPDX-License-Identifier: LGPL-2.1-or-later

package jobmill

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Error is an answer of the daemon. errors.Is(err, ErrNoSuchJob) compares names.
type Error struct {
	Name       string          // as on the wire, without the interface
	Message    string          // what is wrong, for people
	Parameters json.RawMessage // all that came with it
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Name
	}
	return e.Name + ": " + e.Message
}

// Is reports whether target is an error of the same name.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Name == e.Name
}

// ErrDisconnected tells that the connection broke while a call was under way that may not be made twice: whether it was heard is not known.
var ErrDisconnected = errors.New("jobmill: the connection broke, and whether the call was heard is not known")

// What may be sent again when its answer did not come: it changes nothing, or the same thing once (request_id).
var repeatable = map[string]bool{
	"Submit": true, "SubmitMany": true, "SubmitFlow": true, "Get": true, "List": true, "Wait": true, "Cancel": true, "Hold": true,
	"Release": true, "ListTypes": true, "Statistics": true, "ListSchedules": true, "GetSchedule": true, "ListFirings": true,
	"ListWorkers": true, "Metrics": true, "Report": true,
}

const (
	protocol     = 1
	page         = 1000 // jobs that List asks for at once
	backoffFirst = 50 * time.Millisecond
	backoffMax   = time.Second
)

// DefaultPath is where the daemon listens: $JOBMILL_RUNTIME_PATH, or /run/jobmill.
func DefaultPath() string {
	run := os.Getenv("JOBMILL_RUNTIME_PATH")
	if run == "" {
		run = "/run/jobmill"
	}
	return filepath.Join(run, "org.jobmill")
}

// UserPath is where "jobmilld --user" listens.
func UserPath() string {
	return filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "jobmill", "org.jobmill")
}

// Ptr makes a pointer to a value, for fields that may be absent.
func Ptr[T any](v T) *T { return &v }

type reply struct {
	Error      string          `json:"error"`
	Parameters json.RawMessage `json:"parameters"`
}

// err is the error that it is, or nil.
func (r *reply) err() error {
	if r.Error == "" {
		return nil
	}
	e := &Error{Name: r.Error[strings.LastIndexByte(r.Error, '.')+1:], Parameters: r.Parameters}
	var p struct{ Message, Parameter, Interface, Method string }
	if json.Unmarshal(r.Parameters, &p) == nil {
		e.Message = p.Message + p.Parameter + p.Interface + p.Method
	}
	return e
}

func encode(method string, parameters any, more bool) ([]byte, error) {
	if !strings.Contains(method, ".") {
		method = "org.jobmill." + method
	}
	if parameters == nil {
		parameters = struct{}{}
	}
	text, err := json.Marshal(struct {
		Method     string `json:"method"`
		Parameters any    `json:"parameters"`
		More       bool   `json:"more,omitempty"`
	}{method, parameters, more})
	if err != nil {
		return nil, fmt.Errorf("jobmill: %s: %w", method, err)
	}
	return append(text, 0), nil
}

type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(ctx context.Context, path string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 1<<18)}, nil
}

func (c *conn) read() (*reply, error) {
	text, err := c.in.ReadSlice(0)
	if errors.Is(err, bufio.ErrBufferFull) { // longer than the buffer
		long := append([]byte(nil), text...)
		text, err = c.in.ReadBytes(0)
		text = append(long, text...)
	}
	if err != nil {
		return nil, err
	}
	r := &reply{}
	return r, json.Unmarshal(text[:len(text)-1], r)
}

// guard makes a context end what waits for the connection, until the function that it returns is called.
func (c *conn) guard(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-ctx.Done():
			c.SetDeadline(time.Unix(1, 0))
		case <-over:
		}
	}()
	return func() {
		close(over)
		<-gone // else it may yet touch a connection that is another call's by then
	}
}

// pause waits for a while that grows; an error when ctx ends first.
func pause(ctx context.Context, d *time.Duration) error {
	t := time.NewTimer(*d)
	defer t.Stop()
	if *d *= 2; *d > backoffMax {
		*d = backoffMax
	}
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newRequestID() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // there is no randomness
	}
	return hex.EncodeToString(b[:])
}
