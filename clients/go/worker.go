// SPDX-License-Identifier: LGPL-2.1-or-later

package jobmill

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Worker is given jobs of its queues, whose files say Executor=worker, and runs a function for each.
type Worker struct {
	Queues   []string
	Slots    int    // how many at once; 0: one
	Name     string // what it says of itself
	Metadata any    // an object, or nil
	Path     string // of the daemon's socket; "": DefaultPath()

	lock      sync.Mutex
	token     string           // what the daemon knows it by
	tasks     map[string]*Task // by attempt token: those that run
	done      map[string]any   // those whose Complete was not answered yet
	completed int              // answers to Complete
	session   *session
}

// Task is a job that a worker was given.
type Task struct {
	Assignment
	worker *Worker
	cancel context.CancelFunc
	lock   sync.Mutex
	reason string
}

// Payload is the job's payload.
func (t *Task) Payload() []byte {
	if t.Job.PayloadBase64 != "" {
		b, _ := base64.StdEncoding.DecodeString(t.Job.PayloadBase64) // the daemon has made it
		return b
	}
	return []byte(t.Job.Payload)
}

// CancelReason is what the result will be of a job that is to end, cancelled or timeout; "": it goes on.
func (t *Task) CancelReason() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.reason
}

func (t *Task) end(reason string) {
	t.lock.Lock()
	if t.reason == "" {
		t.reason = reason
	}
	t.lock.Unlock()
	t.cancel()
}

// Progress tells how far it is, for people; "40%" at its beginning is understood.
func (t *Task) Progress(status string) {
	w := t.worker
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.session != nil {
		w.session.ask(question{}, "Progress", map[string]any{"token": w.token, "id": t.ID, "attempt": t.Attempt, "status": status})
	}
}

// Work does a job. What it returns is the verdict, an object; nil is success, an error the reason that people see. ctx ends when the job is to:
// who does not return within its stop time-out is killed, with the process.
type Work func(ctx context.Context, task *Task) (any, error)

// Run gives each job to work, in a goroutine of its own, until ctx ends, or somebody drains the worker: it is then given nothing more, completes
// what it has, and returns nil. An error is what the daemon says who does not take this worker.
func (w *Worker) Run(ctx context.Context, work Work) error {
	if w.Path == "" {
		w.Path = DefaultPath()
	}
	if w.Slots == 0 {
		w.Slots = 1
	}
	w.token, w.tasks, w.done = "", map[string]*Task{}, map[string]any{}
	stop := make(chan struct{})
	stopOnce := sync.Once{}
	returned := make(chan struct{})
	defer close(returned)
	go func() {
		select {
		case <-ctx.Done():
			stopOnce.Do(func() { close(stop) })
		case <-returned:
		}
	}()
	for backoff := backoffFirst; ; {
		s := &session{worker: w, work: work, stop: stop, drain: func() { stopOnce.Do(func() { close(stop) }) }}
		over, err := s.run()
		var told *Error
		if errors.As(err, &told) && (told.Name != "NoSuchWorker" || w.token == "") {
			return err
		}
		if over || (ctx.Err() != nil && w.token == "") { // or nobody has ever heard of it
			return nil
		}
		if told != nil {
			w.forgotten()
		}
		if s.heard {
			backoff = backoffFirst
		}
		_ = pause(context.Background(), &backoff)
	}
}

// forgotten: the daemon knows this worker no more, and what it had is lost.
func (w *Worker) forgotten() {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, t := range w.tasks {
		t.end("lost")
	}
	w.token, w.tasks, w.done = "", map[string]*Task{}, map[string]any{}
}

// complete notes how a job has ended, and tells it.
func (w *Worker) complete(t *Task, value any, err error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.tasks[t.AttemptToken] != t {
		return // nobody waits for its result any more
	}
	delete(w.tasks, t.AttemptToken)
	w.done[t.AttemptToken] = completion{Token: w.token, ID: t.ID, Attempt: t.Attempt, how: howItEnded(value, err)}
	if w.session != nil {
		w.session.askDone(t.AttemptToken)
	}
}

type how struct {
	ExitStatus *int            `json:"exit_status,omitempty"`
	Error      string          `json:"error,omitempty"`
	Verdict    json.RawMessage `json:"verdict,omitempty"`
}

type completion struct {
	Token   string `json:"token"`
	ID      int64  `json:"id"`
	Attempt int64  `json:"attempt"`
	how
}

const errorMax = 1024 // bytes: a longer one is no error text for the daemon

func howItEnded(value any, err error) how {
	if err == nil && value == nil {
		return how{ExitStatus: Ptr(0)}
	}
	if err == nil {
		var text []byte
		if text, err = json.Marshal(value); err == nil {
			return how{Verdict: text}
		}
	}
	text := err.Error()
	if text == "" {
		text = fmt.Sprintf("%T", err)
	}
	text = strings.ReplaceAll(text, "\x00", " ")
	if len(text) > errorMax {
		text = strings.ToValidUTF8(text[:errorMax], "")
	}
	return how{Error: text}
}

// question is what an answer on the second connection is to.
type question struct {
	token string // of an attempt: Complete
	drain bool
}

// session is from one registration until a connection breaks, or all is done. The connections go together: then it is clear what was answered.
// All but orders, heard and work belong to the worker's lock.
type session struct {
	worker          *Worker
	work            Work
	stop            <-chan struct{}
	drain           func()
	orders, reports *conn
	out             []byte // to be written to reports
	asked           []question
	stopping        bool
	drainAskedAt    int // how much was completed when Drain was asked for; -1: never
	drained         int // at its answer: how many jobs the daemon still had given it; -1: not known
	flush           chan struct{}
	heard           bool
	before          map[string]bool // tokens of attempts that it had when it began: they are told again, maybe after their results are recorded
	over            chan struct{}
}

// run tells whether it was the last one.
func (s *session) run() (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var err error
	if s.orders, err = dial(ctx, s.worker.Path); err != nil {
		return false, err
	}
	defer s.orders.Close()
	if s.reports, err = dial(ctx, s.worker.Path); err != nil {
		return false, err
	}
	defer s.reports.Close()
	s.drainAskedAt, s.drained = -1, -1
	s.flush, s.over = make(chan struct{}, 1), make(chan struct{})
	if err = s.begin(); err != nil {
		return false, err
	}
	failed := make(chan error, 4)
	ended := make(chan struct{})
	var all sync.WaitGroup
	for _, f := range []func(<-chan struct{}) error{s.readOrders, s.readAnswers, s.write, s.watch} {
		all.Add(1)
		go func(f func(<-chan struct{}) error) {
			defer all.Done()
			failed <- f(ended)
		}(f)
	}
	over := false
	select {
	case err = <-failed:
	case <-s.over:
		over = true
	}
	s.worker.lock.Lock()
	s.worker.session = nil
	s.worker.lock.Unlock()
	close(ended)
	s.orders.Close()
	s.reports.Close()
	all.Wait()
	return over, err
}

func (s *session) begin() error {
	w := s.worker
	w.lock.Lock()
	defer w.lock.Unlock()
	who := map[string]any{"protocol": protocol, "token": w.token}
	if w.token == "" {
		who = map[string]any{"protocol": protocol, "queues": w.Queues, "slots": w.Slots}
		if w.Name != "" {
			who["name"] = w.Name
		}
		if w.Metadata != nil {
			who["metadata"] = w.Metadata
		}
	}
	message, err := encode("Register", who, true)
	if err != nil {
		return err
	}
	if _, err = s.orders.Write(message); err != nil {
		return err
	}
	w.session = s
	s.before = map[string]bool{}
	for token := range w.tasks {
		s.before[token] = true
	}
	for token := range w.done {
		s.before[token] = true
		s.askDone(token)
	}
	return nil
}

// ask sends what is answered later. With the lock.
func (s *session) ask(q question, method string, parameters any) {
	message, err := encode(method, parameters, false)
	if err != nil {
		return // it is of numbers and texts
	}
	s.asked = append(s.asked, q)
	s.out = append(s.out, message...)
	select {
	case s.flush <- struct{}{}:
	default:
	}
}

func (s *session) askDone(token string) {
	s.ask(question{token: token}, "Complete", s.worker.done[token])
}

// write sends what was asked. Whatever comes meanwhile goes out with it.
func (s *session) write(ended <-chan struct{}) error {
	var spare []byte
	for {
		select {
		case <-s.flush:
		case <-ended:
			return nil
		}
		s.worker.lock.Lock()
		out := s.out
		s.out = spare[:0]
		s.worker.lock.Unlock()
		if _, err := s.reports.Write(out); err != nil {
			return err
		}
		spare = out
	}
}

func (s *session) readOrders(<-chan struct{}) error {
	for {
		r, err := s.orders.read()
		if err == nil {
			err = r.err()
		}
		if err != nil {
			return err
		}
		s.heard = true
		if err = s.order(r.Parameters); err != nil {
			return err
		}
	}
}

func (s *session) order(parameters json.RawMessage) error {
	var p struct {
		Token  string
		Assign *Assignment
		Cancel *Cancellation
		Drain  *struct{}
	}
	if err := json.Unmarshal(parameters, &p); err != nil {
		return err
	}
	w := s.worker
	w.lock.Lock()
	defer w.lock.Unlock()
	if p.Token != "" {
		w.token = p.Token
	}
	if p.Drain != nil {
		s.drain()
	}
	if p.Cancel != nil {
		if t := w.tasks[p.Cancel.AttemptToken]; t != nil {
			t.end(p.Cancel.Reason)
		}
	}
	if p.Assign != nil {
		s.start(p.Assign)
	}
	s.look()
	return nil
}

// start runs a job, unless it is known.
func (s *session) start(a *Assignment) {
	w := s.worker
	if s.before[a.AttemptToken] || w.tasks[a.AttemptToken] != nil || w.done[a.AttemptToken] != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Task{Assignment: *a, worker: w, cancel: cancel}
	w.tasks[a.AttemptToken] = t
	work := s.work
	go func() {
		defer cancel()
		value, err := any(nil), error(errGoexit)
		defer func() { w.complete(t, value, err) }() // also where work ends its goroutine
		value, err = guarded(ctx, t, work)
	}()
}

var errGoexit = errors.New("the handler has ended its goroutine")

func guarded(ctx context.Context, t *Task, work Work) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return work(ctx, t)
}

func (s *session) readAnswers(<-chan struct{}) error {
	for {
		r, err := s.reports.read()
		if err != nil {
			return err
		}
		if err = s.answer(r); err != nil {
			return err
		}
	}
}

var errNotNow = errors.New("a result could not be recorded yet")

// answer takes the next one. A result that comes too late, or twice, is one less.
func (s *session) answer(r *reply) error {
	w := s.worker
	w.lock.Lock()
	defer w.lock.Unlock()
	q := s.asked[0]
	s.asked = s.asked[1:]
	err, _ := r.err().(*Error)
	if err != nil && (err.Is(ErrStorageFull) || err.Is(ErrStorageError) || err.Is(ErrTooMany)) {
		return errNotNow
	}
	if q.drain {
		var p struct{ Attempts int }
		if err != nil || json.Unmarshal(r.Parameters, &p) != nil {
			return errNotNow
		}
		s.drained = p.Attempts
	}
	if c, ok := w.done[q.token].(completion); ok {
		if err != nil && (err.Is(ErrInvalidParameter) || err.Is(ErrInvalidMessage)) && c.Error == "" {
			c.how = how{Error: "The verdict was refused: " + err.Error()} // too long, or nested too deeply
			w.done[q.token] = c
			return errNotNow
		}
		delete(w.done, q.token)
		w.completed++
	}
	s.look()
	return nil
}

func (s *session) watch(ended <-chan struct{}) error {
	select {
	case <-s.stop:
		s.worker.lock.Lock()
		s.stopping = true
		s.look()
		s.worker.lock.Unlock()
		<-ended
	case <-ended:
	}
	return nil
}

// look asks how it stands if the worker is to stop: at once, and whenever all that it knows of is completed and the daemon had more, which was on
// its way. With the lock.
func (s *session) look() {
	w := s.worker
	idle := len(w.tasks) == 0 && len(w.done) == 0
	if !s.stopping || w.token == "" {
		return
	}
	if s.drained == 0 && idle {
		select {
		case <-s.over:
		default:
			close(s.over)
		}
		return
	}
	if s.drainAskedAt < 0 || (s.drained > 0 && idle && s.drainAskedAt != w.completed) {
		s.drainAskedAt, s.drained = w.completed, -1
		s.ask(question{drain: true}, "Drain", map[string]any{"token": w.token})
	}
}
