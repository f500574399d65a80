package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger/serve"
)

// TrialOptions of a run of Trial.
type TrialOptions struct {
	// Samples that one of the stores hides.
	Samples int
	// Rounds of questions with warm caches, and Restarts after each of which comes one round
	// with cold ones.
	Rounds, Restarts int
	// JSON prints one object for each row instead of tables.
	JSON bool
	Out  io.Writer
	// Tell is told what happens meanwhile.
	Tell func(string)
}

// ErrTold is returned by Trial where an app can tell by time what it may not know, and
// where the comparison does not see what there is to see.
var ErrTold = errors.New("the time of answers tells what an app may not know")

const trialPassphrase = "bench"

// Stores of a trial: one hides samples, the others hold none. They are in one daemon, each
// with a projector of its own, as they would be with an owner who knows of several.
const (
	hiding = iota
	bare
	again
	subjects
)

var subjectNames = [subjects]string{"hiding", "bare", "second bare"}

// Trial asks three stores, which an app must not be able to tell apart, the same questions
// in random order, and compares when their answers come: of the store that hides samples
// and of a bare one, of types in the first that an app must not tell apart, and, for what
// chance and machine do, of the two bare ones.
func Trial(ctx context.Context, o TrialOptions) error {
	dir, err := os.MkdirTemp("", "healthledger-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t, err := newTrial(dir, o)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.prepare(ctx); err != nil {
		return err
	}
	warm, err := t.warm(ctx)
	if err != nil {
		return err
	}
	cold, err := t.cold(ctx)
	if err != nil {
		return err
	}
	rows := append(t.rows("warm", warm), t.rows("cold", cold)...)
	judge(rows)
	return t.report(rows)
}

type trial struct {
	TrialOptions
	program   *program
	stop      func()
	decade    *decade
	questions []question
	subjects  [subjects]*subject
	samples   int
	random    *rand.Rand
}

func newTrial(dir string, o TrialOptions) (*trial, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d, err := newDecade(o.Samples)
	if err != nil {
		return nil, err
	}
	p := &program{self: self, dir: filepath.Join(dir, "data")}
	seed := uint64(time.Now().UnixNano())
	return &trial{TrialOptions: o, program: p, decade: d, questions: questions(d), random: rand.New(rand.NewPCG(seed, seed))}, os.Mkdir(p.dir, 0o700)
}

func (t *trial) close() {
	for _, s := range t.subjects {
		if s != nil {
			s.disconnect()
		}
	}
	if t.stop != nil {
		t.stop()
	}
}

func (t *trial) serve() (a serve.LocalAddress, err error) {
	if t.stop, err = t.program.serve("--http", "127.0.0.1:0"); err != nil {
		return a, err
	}
	return serve.ReadAddress(t.program.dir)
}

// prepare makes the stores and fills one. They are unlocked then, and calm.
func (t *trial) prepare(ctx context.Context) error {
	a, err := t.serve()
	if err != nil {
		return err
	}
	for i, name := range subjectNames {
		if t.subjects[i], err = newSubject(ctx, name, t.decade, a); err != nil {
			return fmt.Errorf("%s store: %w", name, err)
		}
		if err := t.subjects[i].connect(ctx, a); err != nil {
			return err
		}
	}
	t.Tell(short(t.Samples) + " samples: filling the store that hides them")
	if t.samples, err = t.subjects[hiding].fill(ctx, t.decade); err != nil {
		return err
	}
	for i, s := range t.subjects {
		if err := s.unlock(ctx); err != nil {
			return err
		}
		if err := s.record(ctx, t.decade, i == hiding); err != nil {
			return fmt.Errorf("%s store: %w", s.name, err)
		}
	}
	return t.calm(ctx)
}

func (t *trial) calm(ctx context.Context) error {
	const while = time.Second
	return calm(ctx, while, func() (int64, error) { return sizeOf(filepath.Join(t.program.dir, "stores")) })
}

// cell is what is asked: which question, over which way, of which kind, of which store.
type cell struct {
	question, way, kind, subject int
}

// times of answers, one for each round.
type times map[cell][]time.Duration

func (t *trial) warm(ctx context.Context) (times, error) {
	t.Tell(fmt.Sprintf("%d rounds with warm caches", t.Rounds))
	if err := t.round(ctx, times{}); err != nil {
		return nil, err
	}
	all := times{}
	for range t.Rounds {
		if err := t.round(ctx, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// cold asks once after each start of a daemon, of projectors that have just opened their
// views and of files that are not in memory.
func (t *trial) cold(ctx context.Context) (times, error) {
	t.Tell(fmt.Sprintf("%d restarts, each with a round with cold caches", t.Restarts))
	all := times{}
	for range t.Restarts {
		if err := t.restart(ctx); err != nil {
			return nil, err
		}
		if err := t.round(ctx, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (t *trial) restart(ctx context.Context) error {
	for _, s := range t.subjects {
		s.disconnect()
	}
	t.stop()
	a, err := t.serve()
	if err != nil {
		return err
	}
	for _, i := range t.random.Perm(subjects) {
		s := t.subjects[i]
		if err := s.connect(ctx, a); err != nil {
			return err
		}
		if err := s.unlock(ctx); err != nil {
			return err
		}
		if err := s.greet(ctx); err != nil {
			return err
		}
	}
	return forget(t.program.dir)
}

// forget asks the kernel to drop what it has in memory of the files below a folder. It
// drops what is on the disk already, and needs no privilege.
func forget(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// round asks everything once. What is compared is asked within moments of each other, in
// random order, so that what the machine does meanwhile hits the one as often as the other.
func (t *trial) round(ctx context.Context, all times) error {
	for _, at := range t.random.Perm(len(t.questions) * len(ways)) {
		q := &t.questions[at/len(ways)]
		w := at % len(ways)
		for _, of := range t.random.Perm(len(q.kinds) * subjects) {
			c := cell{at / len(ways), w, of / subjects, of % subjects}
			s := t.subjects[c.subject]
			body, err := proto.Marshal(q.request(s, q.kinds[c.kind]))
			if err != nil {
				return err
			}
			took, err := s.time(ctx, ways[w], q.method, body, q.refused)
			if err != nil {
				return fmt.Errorf("%s of %s type: %w", q.name, q.kinds[c.kind].name, err)
			}
			all[c] = append(all[c], took)
		}
	}
	return nil
}
