// SPDX-License-Identifier: LGPL-2.1-or-later

package jobmill

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a daemon: each message goes to answer, and what that returns goes back; nil breaks the connection.
type fake struct {
	path  string
	l     net.Listener
	lock  sync.Mutex
	conns []net.Conn
}

type asked struct {
	Method     string
	Parameters map[string]any
}

func serve(t *testing.T, path string, answer func(c net.Conn, a asked) []string) *fake {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{path: path, l: l}
	var one sync.Mutex // answers come one after another, but for those that wait for others
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.lock.Lock()
			f.conns = append(f.conns, c)
			f.lock.Unlock()
			go func() {
				in := bufio.NewReader(c)
				for {
					text, err := in.ReadBytes(0)
					if err != nil {
						return
					}
					var a asked
					json.Unmarshal(text[:len(text)-1], &a)
					a.Method = strings.TrimPrefix(a.Method, "org.jobmill.")
					if a.Method != "Get" {
						one.Lock()
					}
					replies := answer(c, a)
					if a.Method != "Get" {
						one.Unlock()
					}
					if replies == nil {
						c.Close()
						return
					}
					for _, r := range replies {
						fmt.Fprintf(c, "%s\x00", r)
					}
				}
			}()
		}
	}()
	t.Cleanup(f.kill)
	return f
}

func (f *fake) kill() {
	f.l.Close()
	f.lock.Lock()
	defer f.lock.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
	f.conns = nil
}

func socket(t *testing.T) string { return filepath.Join(t.TempDir(), "s") }

func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s: not within %v", what, d)
	}
}

func TestRequestIDIsKept(t *testing.T) {
	var ids []any
	f := serve(t, socket(t), func(c net.Conn, a asked) []string {
		ids = append(ids, a.Parameters["job"].(map[string]any)["request_id"])
		if len(ids) < 3 {
			return nil
		}
		return []string{`{"parameters":{"id":7}}`}
	})
	id, err := (&Client{Path: f.path, Timeout: 5 * time.Second}).Submit(context.Background(), Spec{})
	if id != 7 || err != nil || len(ids) != 3 || ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Fatal(id, err, ids)
	}
}

func TestRequestIDByName(t *testing.T) {
	var heard []string
	f := serve(t, socket(t), func(c net.Conn, a asked) []string {
		text, _ := json.Marshal(a.Parameters)
		if heard = append(heard, string(text)); len(heard)%2 == 1 {
			return nil
		}
		return []string{`{"parameters":{}}`}
	})
	client := &Client{Path: f.path, Timeout: 5 * time.Second}
	spec := map[string]any{"argv": []string{"true"}, "timeout_usec": json.Number("9007199254740993")}
	for method, parameters := range map[string]any{"Submit": map[string]any{"job": spec}, "SubmitFlow": map[string]any{"flow": map[string]any{"jobs": []any{spec}}},
		"SubmitMany": map[string]any{"jobs": []any{spec, spec}}} {
		heard = nil
		if err := client.Call(context.Background(), method, parameters, nil); err != nil || len(heard) != 2 || heard[0] != heard[1] {
			t.Fatal(method, err, heard)
		}
		if strings.Count(heard[0], "request_id") != 1 || len(spec) != 2 {
			t.Fatal(method, heard[0], spec)
		}
	}
}

func TestNotTwice(t *testing.T) {
	f := serve(t, socket(t), func(net.Conn, asked) []string { return nil })
	if err := (&Client{Path: f.path, Timeout: 5 * time.Second}).Retry(context.Background(), 1, 0, 0); !errors.Is(err, ErrDisconnected) {
		t.Fatal(err)
	}
}

func TestErrorByName(t *testing.T) {
	f := serve(t, socket(t), func(net.Conn, asked) []string {
		return []string{`{"error":"org.jobmill.NoSuchJob","parameters":{"message":"none"}}`}
	})
	_, err := (&Client{Path: f.path, Timeout: 5 * time.Second}).Get(context.Background(), 1)
	if !errors.Is(err, ErrNoSuchJob) || errors.Is(err, ErrJobLive) {
		t.Fatal(err)
	}
}

func TestEmptyReply(t *testing.T) {
	f := serve(t, socket(t), func(net.Conn, asked) []string { return []string{`{}`} })
	var r struct{}
	if err := (&Client{Path: f.path, Timeout: 5 * time.Second}).Call(context.Background(), "Hold", nil, &r); err != nil {
		t.Fatal(err)
	}
}

// Connections that were kept over a restart must not cost the next call a pause each.
func TestManyIdleOverRestart(t *testing.T) {
	path := socket(t)
	gate := make(chan struct{})
	var n int32
	f := serve(t, path, func(net.Conn, asked) []string {
		if atomic.AddInt32(&n, 1) == 100 {
			close(gate)
		}
		<-gate
		return []string{`{"parameters":{"job":{}}}`}
	})
	c := &Client{Path: path, Timeout: 5 * time.Second}
	var all sync.WaitGroup
	for i := 0; i < 100; i++ {
		all.Add(1)
		go func() { defer all.Done(); c.Get(context.Background(), 1) }()
	}
	all.Wait()
	f.kill()
	serve(t, path, func(net.Conn, asked) []string { return []string{`{"parameters":{"job":{}}}`} })
	began := time.Now()
	if _, err := c.Get(context.Background(), 1); err != nil {
		t.Fatalf("%v after %v; %d dead connections are still kept", err, time.Since(began), len(c.idle))
	}
}

func TestEventsCloseEndsNext(t *testing.T) {
	f := serve(t, socket(t), func(net.Conn, asked) []string { return []string{`{"parameters":{"events":[],"last":3}}`} })
	e, err := (&Client{Path: f.path, Timeout: 5 * time.Second}).Events(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { time.Sleep(100 * time.Millisecond); e.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	within(t, 3*time.Second, "Next after Close", func() { e.Next(ctx) })
}

const assign = `{"parameters":{"assign":{"id":1,"attempt":1,"attempt_token":"a","queue":"w","owner":0,"slot_numbers":[0],"job":{}}}}`
const registered = `{"parameters":{"token":"T","worker":1}}`

// A result that was not answered is sent again; an assignment that is told again runs once, also where the answer to its result is read first.
func TestWorkerReconnects(t *testing.T) {
	var completes, ran, registers int32
	var orders net.Conn
	var second atomic.Value
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f := serve(t, socket(t), func(c net.Conn, a asked) []string {
		switch a.Method {
		case "Register":
			if atomic.AddInt32(&registers, 1) == 1 {
				return []string{registered, assign, assign}
			}
			orders = c
			second.Store(a.Parameters["token"])
			return []string{registered}
		case "Complete":
			if orders == nil { // it has not come back yet
				return nil
			}
			if atomic.AddInt32(&completes, 1) > 1 {
				return []string{`{"error":"org.jobmill.AttemptFinished","parameters":{}}`}
			}
			told := orders
			go func() {
				time.Sleep(50 * time.Millisecond)
				fmt.Fprintf(told, "%s\x00", assign)
				time.Sleep(50 * time.Millisecond)
				cancel()
			}()
			return []string{`{"parameters":{}}`}
		}
		return []string{`{"parameters":{"attempts":0}}`}
	})
	within(t, 10*time.Second, "Run", func() {
		(&Worker{Queues: []string{"w"}, Path: f.path}).Run(ctx, func(context.Context, *Task) (any, error) {
			atomic.AddInt32(&ran, 1)
			return nil, nil
		})
	})
	if ran != 1 || second.Load() != "T" {
		t.Fatal("handlers:", ran, "completes:", completes, "token:", second.Load())
	}
}

func endsWith(t *testing.T, work Work) map[string]any {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := make(chan map[string]any, 9)
	f := serve(t, socket(t), func(c net.Conn, a asked) []string {
		switch a.Method {
		case "Register":
			return []string{registered, assign}
		case "Complete":
			got <- a.Parameters
			cancel()
		}
		return []string{`{"parameters":{"attempts":0}}`}
	})
	go (&Worker{Queues: []string{"w"}, Path: f.path}).Run(ctx, work)
	select {
	case p := <-got:
		return p
	case <-time.After(3 * time.Second):
		t.Fatal("no Complete was ever sent")
		return nil
	}
}

func TestPanic(t *testing.T) {
	p := endsWith(t, func(context.Context, *Task) (any, error) { panic("oh") })
	if !strings.Contains(p["error"].(string), "oh") {
		t.Fatal(p)
	}
}

func TestGoexit(t *testing.T) {
	p := endsWith(t, func(context.Context, *Task) (any, error) { runtime.Goexit(); return nil, nil })
	if p["error"] == nil {
		t.Fatal(p)
	}
}

func TestErrorThatPanics(t *testing.T) {
	p := endsWith(t, func(context.Context, *Task) (any, error) { return panics{}, nil })
	if p["error"] == nil {
		t.Fatal(p)
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

// A worker that ran to its end is a new one the next time.
func TestRunTwice(t *testing.T) {
	var tokens []any
	stop := make(chan func(), 1)
	f := serve(t, socket(t), func(c net.Conn, a asked) []string {
		if a.Method == "Register" {
			tokens = append(tokens, a.Parameters["token"])
			(<-stop)()
			return []string{registered}
		}
		return []string{`{"parameters":{"attempts":0}}`}
	})
	w := &Worker{Queues: []string{"w"}, Path: f.path}
	for i := 0; i < 2; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		stop <- cancel
		within(t, 5*time.Second, "Run", func() { w.Run(ctx, func(context.Context, *Task) (any, error) { return nil, nil }) })
	}
	if tokens[1] != nil {
		t.Fatal("the second Run registers with the first one's token:", tokens)
	}
}
